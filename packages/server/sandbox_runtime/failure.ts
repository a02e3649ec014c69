/**
 * What a function threw, as the platform is told: any value at all, since anything can be thrown.
 *
 * @module
 */

import { codeFrame } from "./code_frame.ts";
import { ownSource } from "./stack.ts";

export interface Failure {
  readonly message: string;
  readonly stack: string | null;
  readonly isOutOfMemory: boolean;
}

const MESSAGE_MAX_CHARACTERS = 8_192;
const STACK_MAX_CHARACTERS = 16_384;
/** Of causes, and of errors that one AggregateError holds. */
const RELATED_MAX_COUNT = 50;
const KEYS_MAX_COUNT = 10;
/** What V8 says when the kernel refuses memory outside the heap. */
const OUT_OF_MEMORY = /^(Array buffer allocation failed|WebAssembly\.(Memory|Instance).*could not allocate memory)/;
const UNSHOWN = "The function threw a value that cannot be shown";
const { stringify } = JSON;
const NativeAggregateError = AggregateError;

export function describeFailure(thrown: unknown): Failure {
  if (!isError(thrown)) {
    return { message: cut(describeValue(thrown), MESSAGE_MAX_CHARACTERS), stack: null, isOutOfMemory: false };
  }
  const message = cut(textOf(thrown, "message") ?? UNSHOWN, MESSAGE_MAX_CHARACTERS) ||
    `The function threw ${textOf(thrown, "name") || "an error"} without a message`;
  return {
    message,
    stack: withFrame(cut(stackWithCauses(thrown), STACK_MAX_CHARACTERS)),
    isOutOfMemory: thrown instanceof RangeError && OUT_OF_MEMORY.test(message),
  };
}

/** A getter of the error may throw. */
function textOf(error: object, name: "message" | "stack" | "name"): string | undefined {
  const value = read(error, name);
  return typeof value === "string" ? value : undefined;
}

function read(from: object, name: string): unknown {
  try {
    return Reflect.get(from, name);
  } catch {
    return undefined;
  }
}

/** A proxy may throw at any question. */
function isError(value: unknown): value is Error {
  try {
    return value instanceof Error;
  } catch {
    return false;
  }
}

function describeValue(value: unknown): string {
  try {
    if (typeof value === "string") return value;
    if (value instanceof Response) {
      return `The function threw a Response with status ${value.status}: return it instead`;
    }
    if (typeof value === "object" && value !== null) return shape(value);
    return `The function threw ${String(value)}`;
  } catch {
    return UNSHOWN;
  }
}

function shape(value: object): string {
  try {
    return stringify(value) ?? Object.keys(value).join(", ");
  } catch {
    return `{ ${Object.keys(value).slice(0, KEYS_MAX_COUNT).join(", ")} }`;
  }
}

/** As Node shows it: the error, the errors that an AggregateError holds, and what caused it. */
function stackWithCauses(error: Error): string {
  const parts: string[] = [];
  const seen = new Set<unknown>();
  let leftOutCount = 0;
  const add = (one: unknown, prefix: string) => {
    if (seen.has(one)) return;
    if (seen.size >= RELATED_MAX_COUNT) {
      leftOutCount += 1;
      return;
    }
    seen.add(one);
    if (!isError(one)) {
      parts.push(`${prefix}${describeValue(one)}`);
      return;
    }
    parts.push(
      `${prefix}${textOf(one, "stack") ?? `${textOf(one, "name") ?? "Error"}: ${textOf(one, "message") ?? ""}`}`,
    );
    const errors = one instanceof NativeAggregateError ? read(one, "errors") : undefined;
    if (Array.isArray(errors)) errors.forEach((inner, index) => add(inner, `[errors ${index}]: `));
    const cause = read(one, "cause");
    if (cause !== undefined) add(cause, "Caused by: ");
  };
  add(error, "");
  if (leftOutCount > 0) parts.push(`… and ${leftOutCount} more errors`);
  return parts.join("\n");
}

function withFrame(stack: string): string {
  const frame = codeFrame(stack, ownSource);
  return frame === undefined ? stack : `${stack}\n\n${frame}`;
}

function cut(text: string, maxCharacters: number): string {
  return text.length <= maxCharacters ? text : `${text.slice(0, maxCharacters)} … (${text.length} characters)`;
}

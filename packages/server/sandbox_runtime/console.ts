/**
 * Gives every `console` call to the request that made it, however many requests run at once.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { currentCall } from "./current_call.ts";
import { NativeConsole } from "./deno_internals.ts";

export type CapturedLevel = "debug" | "info" | "warn" | "error";

export interface CapturedLine {
  readonly atMs: number;
  readonly level: CapturedLevel;
  readonly message: string;
  readonly fields: Record<string, unknown> | null;
}

const LEVELS: readonly CapturedLevel[] = ["debug", "info", "warn", "error"];
const FIELDS_MAX_CHARACTERS = 8 * 1024;

/**
 * Replaces the global console.
 *
 * @param emit gets each line; `call` is undefined for code that runs outside any request
 */
export function captureConsole(emit: (line: CapturedLine, call: Call | undefined) => void): void {
  let pendingFields: Record<string, unknown> | null = null;

  const captured = new NativeConsole((text, level) => {
    const message = text.endsWith("\n") ? text.slice(0, -1) : text;
    emit({ atMs: Date.now(), level: LEVELS[level] ?? "info", message, fields: pendingFields }, currentCall());
  });

  for (const method of ["log", "info", "debug", "warn", "error"] as const) {
    const print = captured[method];
    captured[method] = (...values: unknown[]) => {
      pendingFields = fieldsOf(values);
      try {
        print(...values);
      } finally {
        pendingFields = null;
      }
    };
  }
  Object.defineProperty(globalThis, "console", {
    value: captured,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}

/** The plain objects among the arguments, merged, if they survive as JSON and are not large. */
function fieldsOf(values: readonly unknown[]): Record<string, unknown> | null {
  const objects = values.filter(isPlainObject);
  if (objects.length === 0) return null;
  try {
    const text = JSON.stringify(Object.assign({}, ...objects));
    return text.length <= FIELDS_MAX_CHARACTERS ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

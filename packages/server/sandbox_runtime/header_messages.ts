/**
 * Names the header that `Response`, `Headers` and `Request` refuse. Deno says "Argument 2 is not a valid ByteString",
 * which tells nobody that it is the quote in a file name.
 *
 * @module
 */
import { headerProblem } from "./header_rules.ts";

// Captured before user code runs.
const { apply, construct, get } = Reflect;
const { defineProperty } = Object;
const NativeHeaders = Headers;

export function nameRefusedHeaders(): void {
  for (const name of ["Response", "Headers", "Request"] as const) {
    const headersOf = name === "Headers" ? (values: unknown[]) => values[0] : (values: unknown[]) => ofInit(values[1]);
    const native = globalThis[name];
    const named = new Proxy(native, {
      construct(target, values, newTarget) {
        try {
          return construct(target, values, newTarget);
        } catch (error) {
          throw inOurWords(error, headersOf(values));
        }
      },
    });
    defineProperty(native.prototype, "constructor", { value: named, writable: true, configurable: true });
    defineProperty(globalThis, name, { value: named, writable: true, configurable: true });
  }
  wrap(Response, "json", (values) => ofInit(values[1]));
  for (const name of ["append", "set"]) wrap(NativeHeaders.prototype, name, (values) => [values]);
}

function wrap(target: object, name: string, headersOf: (values: unknown[]) => unknown): void {
  const native: unknown = get(target, name);
  if (typeof native !== "function") return;
  const value = function (this: unknown, ...values: unknown[]): unknown {
    try {
      return apply(native, this, values);
    } catch (error) {
      throw inOurWords(error, headersOf(values));
    }
  };
  defineProperty(value, "name", { value: name });
  defineProperty(target, name, { value, writable: true, configurable: true, enumerable: true });
}

function ofInit(init: unknown): unknown {
  return typeof init === "object" && init !== null ? get(init, "headers") : undefined;
}

/** The error itself, unless one of the headers is the reason. */
function inOurWords(error: unknown, headers: unknown): unknown {
  if (!(error instanceof TypeError) || typeof headers !== "object" || headers === null) return error;
  try {
    const pairs = Symbol.iterator in headers ? [...headers as Iterable<[unknown, unknown]>] : Object.entries(headers);
    for (const [name, value] of pairs) {
      const problem = headerProblem(String(name), String(value).trim());
      if (problem !== undefined) return new TypeError(`Cannot use ${problem}`, { cause: error });
    }
  } catch {
    // Whatever it is, it was no list of headers.
  }
  return error;
}

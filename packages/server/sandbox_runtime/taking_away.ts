/**
 * How something is taken away from user code.
 *
 * @module
 */

// Captured before user code runs.
const { defineProperty } = Object;

/** What stands in the place of what a function may not use. */
export function refusal(sentence: string): () => never {
  return function () {
    throw new TypeError(sentence);
  };
}

/** So that user code can put its own in the place again, as packages do that watch for the end of the process. */
export function replace(target: object, name: string, value: unknown): void {
  defineProperty(target, name, { value, writable: true, configurable: true, enumerable: true });
}

/** So that user code cannot change it back. */
export function define(target: object, name: string, value: unknown): void {
  defineProperty(target, name, { value, writable: false, configurable: false, enumerable: false });
}

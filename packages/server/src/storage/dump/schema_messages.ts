/**
 * What the thread that runs pg_dump and the one that has the connection say to each other.
 *
 * @module
 */
/** In the first number of the shared memory; the second is how many bytes of an answer follow them. */
export const ANSWER = { awaited: 0, part: 1, last: 2 } as const;

export const SHARED_HEADER_BYTES = 8;

export interface ToWorker {
  readonly args: readonly string[];
  readonly shared: SharedArrayBuffer;
}

export type FromWorker =
  | { readonly kind: "ask"; readonly bytes: Uint8Array }
  | { readonly kind: "more" }
  | { readonly kind: "done"; readonly text: string }
  | { readonly kind: "failed"; readonly reason: string };

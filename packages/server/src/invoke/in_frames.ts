/**
 * A body that is there whole, as a sandbox takes it.
 *
 * @module
 */
import { INLINE_BODY_MAX_BYTES } from "../../sandbox_runtime/frames.ts";

/** A large one follows its request in frames. */
export function inFrames(body: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null {
  if (body.length === 0) return null;
  return body.length <= INLINE_BODY_MAX_BYTES ? body : ReadableStream.from([body]);
}

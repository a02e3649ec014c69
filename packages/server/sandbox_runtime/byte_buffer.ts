/**
 * Puts many small chunks into one: a chunk of a few bytes takes hundreds in a queue.
 *
 * @module
 */
/** Larger ones are worth their place, and putting them together costs a copy. */
export const SMALL_CHUNK_BYTES = 4 * 1024;
const FIRST_BYTES = 4 * 1024;

export class ByteBuffer {
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;

  add(chunk: Uint8Array): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length = needed;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }
}

/**
 * Bodies that travel in frames under a window of credit: the end that receives and the end that sends, the same on both
 * sides of the socket.
 *
 * @module
 */
import { ByteBuffer, SMALL_CHUNK_BYTES } from "./byte_buffer.ts";
import { BODY_CHUNK_MAX_BYTES, BODY_WINDOW_BYTES } from "./frames.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface BodyInbox {
  readonly stream: ReadableStream<Bytes>;
  /** False: more than there was credit for. */
  push(chunk: Bytes): boolean;
  end(): void;
  fail(reason: unknown): void;
}

/** What the inbox tells the sender. */
export interface BodySender {
  /** So many bytes were taken by the reader and may be sent anew. */
  credit(byteCount: number): void;
  /** Nobody will read the rest. */
  unwanted(): void;
}

/** With so many waiting, small ones are put together: the window counts their bytes, and they take far more. */
const CHUNKS_MAX_COUNT = 64;

export function createBodyInbox(sender: BodySender): BodyInbox {
  let controller: ReadableStreamDefaultController<Bytes>;
  let isOver = false;
  const waiting: Bytes[] = [];
  let late: ByteBuffer | undefined;
  let window = BODY_WINDOW_BYTES;
  let isPulled = false;

  const stream = new ReadableStream<Bytes>({
    start(given) {
      controller = given;
    },
    pull() {
      isPulled = true;
      deliver();
    },
    cancel() {
      isOver = true;
      waiting.length = 0;
      late = undefined;
      sender.unwanted();
    },
  }, { highWaterMark: 0 });

  function next(): Bytes | undefined {
    const chunk = waiting.shift();
    if (chunk !== undefined || late === undefined) return chunk;
    const { bytes } = late;
    late = undefined;
    return bytes;
  }

  // Credit is given when a chunk is handed to the reader, so a slow reader slows the sender.
  function deliver() {
    if (!isPulled) return;
    const chunk = next();
    if (chunk !== undefined) {
      isPulled = false;
      window += chunk.length;
      controller.enqueue(chunk);
      sender.credit(chunk.length);
    } else if (isOver) {
      isPulled = false;
      controller.close();
    }
  }

  return {
    stream,
    push(chunk) {
      if (isOver || chunk.length === 0) return true;
      window -= chunk.length;
      if (chunk.length < SMALL_CHUNK_BYTES && waiting.length >= CHUNKS_MAX_COUNT) {
        (late ??= new ByteBuffer()).add(chunk);
      } else {
        if (late !== undefined) waiting.push(late.bytes);
        late = undefined;
        waiting.push(chunk);
      }
      deliver();
      return window >= 0;
    },
    end() {
      if (isOver) return;
      isOver = true;
      deliver();
      if (waiting.length === 0 && late === undefined && !isPulled) closeQuietly();
    },
    fail(reason) {
      if (isOver) return;
      isOver = true;
      controller.error(reason);
    },
  };

  // A body that ended with nothing left must read as closed without another pull.
  function closeQuietly() {
    try {
      controller.close();
    } catch {
      // Already closed by deliver.
    }
  }
}

export type ChunkReader = ReadableStreamDefaultReader<unknown>;

/** Sends a body in pieces, as far as the other side gives credit. */
export class BodyOutbox {
  readonly #write: (piece: Uint8Array) => void;
  #credit = BODY_WINDOW_BYTES;
  #isWanted = true;
  #wake: (() => void) | undefined;

  constructor(write: (piece: Uint8Array) => void) {
    this.#write = write;
  }

  /** The other side takes so many bytes more; more than the window means that it was forged. */
  credited(byteCount: number): void {
    this.#credit = Math.min(BODY_WINDOW_BYTES, this.#credit + byteCount);
    this.#wake?.();
  }

  /** Nobody wants the rest. */
  stop(): void {
    this.#isWanted = false;
    this.#wake?.();
  }

  /** Resolves when all of it has left, with true, or when nobody wants it, with false. */
  async send(bytes: Uint8Array): Promise<boolean> {
    for (let start = 0; start < bytes.length; start += BODY_CHUNK_MAX_BYTES) {
      const piece = bytes.subarray(start, start + BODY_CHUNK_MAX_BYTES);
      while (this.#credit < piece.length && this.#isWanted) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
      if (!this.#isWanted) return false;
      this.#credit -= piece.length;
      this.#write(piece);
    }
    return this.#isWanted;
  }

  /** Sends what the reader gives until its end, which it returns true for, or until nobody wants more. */
  async pump(reader: ChunkReader, bytesOf: (chunk: unknown) => Uint8Array): Promise<boolean> {
    while (this.#isWanted) {
      const { done, value } = await reader.read();
      if (done) return this.#isWanted;
      if (!await this.send(bytesOf(value))) return false;
    }
    return false;
  }
}

/** Nobody reads on; what its own cancel does then is its business. */
export async function cancelQuietly(reader: ChunkReader, reason?: unknown): Promise<void> {
  try {
    await reader.cancel(reason);
  } catch {
    // It failed while it was told to stop.
  }
}

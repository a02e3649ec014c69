/**
 * A request body that arrives in frames, under a window of credit.
 *
 * @module
 */

export interface BodyInbox {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  push(chunk: Uint8Array<ArrayBuffer>): void;
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

export function createBodyInbox(sender: BodySender): BodyInbox {
  let controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  let isOver = false;
  const waiting: Uint8Array<ArrayBuffer>[] = [];
  let isPulled = false;

  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
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
      sender.unwanted();
    },
  }, { highWaterMark: 0 });

  // Credit is given when a chunk is handed to the reader, so a slow reader slows the sender.
  function deliver() {
    if (!isPulled) return;
    const chunk = waiting.shift();
    if (chunk !== undefined) {
      isPulled = false;
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
      if (isOver) return;
      waiting.push(chunk);
      deliver();
    },
    end() {
      if (isOver) return;
      isOver = true;
      deliver();
      if (waiting.length === 0 && !isPulled) closeQuietly();
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

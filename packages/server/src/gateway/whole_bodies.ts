/**
 * Reads bodies whole, for whoever must have seen the last byte before anything runs.
 *
 * Owns: how much of them is kept at once, over all requests; small ones always find room.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { bodyTooLarge } from "../sandbox/exchange.ts";

export interface WholeBodies {
  /** @throws {PlatformError} BODY_TOO_LARGE, POOL_EXHAUSTED, as a rejection */
  read(
    reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
    maxBytes: number,
  ): Promise<Uint8Array<ArrayBuffer>>;
}

const ALWAYS_BYTES = 64 * 1024;
const TOGETHER_MAX_BYTES = 64 * 1024 * 1024;

export function createWholeBodies(togetherMaxBytes: number = TOGETHER_MAX_BYTES): WholeBodies {
  let togetherBytes = 0;

  return {
    async read(reader, maxBytes) {
      const chunks: Uint8Array<ArrayBuffer>[] = [];
      let byteCount = 0;
      let countedBytes = 0;
      try {
        for (;;) {
          const { value: chunk, done } = await reader.read();
          if (done) return joined(chunks, byteCount);
          chunks.push(chunk);
          byteCount += chunk.length;
          if (byteCount > maxBytes) throw bodyTooLarge(maxBytes);
          if (byteCount <= ALWAYS_BYTES) continue;
          const more = byteCount - countedBytes;
          if (togetherBytes + more > togetherMaxBytes) throw tooManyBodies();
          togetherBytes += more;
          countedBytes = byteCount;
        }
      } finally {
        togetherBytes -= countedBytes;
        void reader.cancel().catch(() => {});
      }
    },
  };
}

function joined([first, ...others]: readonly Uint8Array<ArrayBuffer>[], byteCount: number): Uint8Array<ArrayBuffer> {
  if (first === undefined || others.length === 0) return first ?? new Uint8Array();
  const whole = new Uint8Array(byteCount);
  let at = 0;
  for (const chunk of [first, ...others]) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function tooManyBodies(): PlatformError {
  return new PlatformError(
    "POOL_EXHAUSTED",
    "Cannot read the request body: too many large ones are being verified at once; send it again later",
    { details: { retry_after: 5 } },
  );
}

/**
 * What a process writes to stdout and stderr itself, past the console: its end is kept, its lines are handed on, and a
 * process that writes faster than it may is held up.
 *
 * @module
 */
import { delay } from "../core/clock.ts";
import { TokenBucket } from "../core/token_bucket.ts";

export interface ProcessOutput {
  /** The last kilobytes of all streams. */
  tail(): string;
}

export interface OutputOptions {
  now(): number;
  /** Called for each line, without its end; long ones come in pieces. */
  onLine(text: string): void;
}

const TAIL_BYTES = 16 * 1024;
const LINE_MAX_CHARACTERS = 8 * 1024;
const PACE = { capacity: 1024 * 1024, refillPerSec: 1024 * 1024 };
/** From here on a dying runtime speaks of itself: pages of addresses that say nothing to the author of a function. */
const RUNTIME_IS_DYING = /^(<--- Last few GCs|#|==== C stack trace|Stack backtrace|thread '.*' panicked)/;

/** Reads the streams to their end. */
export async function readOutput(
  streams: readonly ReadableStream<Uint8Array<ArrayBuffer>>[],
  options: OutputOptions,
): Promise<ProcessOutput> {
  const tail = createTail(TAIL_BYTES);
  await Promise.all(streams.map((stream) => readStream(stream, tail, options)));
  return { tail: () => tail.text() };
}

async function readStream(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  tail: Tail,
  { now, onLine }: OutputOptions,
): Promise<void> {
  const decoder = new TextDecoder();
  const bucket = new TokenBucket(now(), PACE);
  let pending = "";
  let isDying = false;

  function hand(line: string): void {
    isDying ||= RUNTIME_IS_DYING.test(line);
    if (!isDying && line !== "") onLine(line);
  }
  for await (const chunk of stream) {
    tail.push(chunk);
    const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
    pending = lines.pop() ?? "";
    lines.forEach(hand);
    if (pending.length > LINE_MAX_CHARACTERS) {
      hand(pending);
      pending = "";
    }
    const waitMs = bucket.charge(chunk.length, now());
    if (waitMs > 0) await delay(waitMs);
  }
  hand(pending);
}

interface Tail {
  push(chunk: Uint8Array): void;
  text(): string;
}

/** Keeps the last bytes of a stream that may be endless. */
function createTail(maxBytes: number): Tail {
  let kept: Uint8Array = new Uint8Array(0);
  return {
    push(chunk) {
      const both = new Uint8Array(kept.length + chunk.length);
      both.set(kept);
      both.set(chunk, kept.length);
      kept = both.slice(Math.max(0, both.length - maxBytes));
    },
    text: () => new TextDecoder().decode(kept),
  };
}

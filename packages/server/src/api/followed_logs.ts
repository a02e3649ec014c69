/**
 * Log lines of a function as they are written, as server-sent events.
 *
 * Lines are in the database when their execution is over, whichever server ran it: so that is where they are looked for,
 * twice a second, as long as anybody follows.
 *
 * @module
 */
import { type LogEntry, PlatformError } from "@fluxbase/contract";
import { delay } from "../core/clock.ts";

export interface FollowOptions {
  /** Lines since then, in any order; those of before may come again. */
  lines(since: Date): Promise<readonly LogEntry[]>;
  /** Lines of before are not wanted. */
  readonly sinceMs: number;
  readonly signal: AbortSignal;
  /** Who follows: nobody takes the places of all others. */
  readonly who: string;
}

const LOOK_EVERY_MS = 500;
/** A line that was written so long ago may still come: its execution was not over. */
const LATE_MS = 120_000;
const PING_EVERY_MS = 15_000;
const FOLLOWERS_MAX_COUNT = 50;
const FOLLOWERS_OF_ONE_MAX_COUNT = 10;
const encoder = new TextEncoder();

let followerCount = 0;
const countOf = new Map<string, number>();

/** @throws {PlatformError} RATE_LIMITED */
function takePlace(who: string): Disposable {
  const own = countOf.get(who) ?? 0;
  if (own >= FOLLOWERS_OF_ONE_MAX_COUNT) {
    throw new PlatformError("RATE_LIMITED", `Cannot follow: this credential follows logs ${own} times already`);
  }
  if (followerCount >= FOLLOWERS_MAX_COUNT) {
    throw new PlatformError("RATE_LIMITED", `Cannot follow: ${FOLLOWERS_MAX_COUNT} clients of this server follow logs`);
  }
  followerCount += 1;
  countOf.set(who, own + 1);
  return {
    [Symbol.dispose]() {
      followerCount -= 1;
      const left = (countOf.get(who) ?? 1) - 1;
      if (left === 0) countOf.delete(who);
      else countOf.set(who, left);
    },
  };
}

/** @throws {PlatformError} RATE_LIMITED */
export function followLogs({ lines, sinceMs, signal, who }: FollowOptions): ReadableStream<Uint8Array> {
  const place = takePlace(who);
  const left = new AbortController();
  const stopped = AbortSignal.any([signal, left.signal]);
  /** Ids of lines that were sent, and when. */
  const sent = new Map<string, number>();

  async function follow(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    let pingedMs = Date.now();
    let fromMs = sinceMs;
    controller.enqueue(encoder.encode(": following\n\n"));
    while (!stopped.aborted) {
      const nowMs = Date.now();
      const found = await lines(new Date(fromMs));
      fromMs = Math.max(sinceMs, nowMs - LATE_MS);
      const fresh = found.filter(({ id, timestamp }) => !sent.has(id) && Date.parse(timestamp) >= sinceMs)
        .sort((a, b) => a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : a.line_number - b.line_number);
      for (const entry of fresh) {
        sent.set(entry.id, nowMs);
        controller.enqueue(encoder.encode(`id: ${entry.id}\ndata: ${JSON.stringify(entry)}\n\n`));
      }
      for (const [id, sentMs] of sent) {
        if (nowMs - sentMs <= 2 * LATE_MS) break;
        sent.delete(id);
      }
      if (nowMs - pingedMs >= PING_EVERY_MS) {
        pingedMs = nowMs;
        controller.enqueue(encoder.encode(": still here\n\n"));
      }
      // Whoever does not read is not read for.
      while (!stopped.aborted && (controller.desiredSize ?? 0) <= 0) await delay(LOOK_EVERY_MS, stopped);
      await delay(LOOK_EVERY_MS, stopped);
    }
  }

  return new ReadableStream<Uint8Array>({
    start(controller) {
      void follow(controller).catch(() => {}).finally(() => {
        place[Symbol.dispose]();
        try {
          controller.close();
        } catch {
          // The client has gone.
        }
      });
    },
    cancel: () => left.abort(),
  }, { highWaterMark: 1_000 });
}

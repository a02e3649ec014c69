/**
 * Limits the work that the frames of one sandbox make in the server.
 *
 * @module
 */
import { delay } from "../core/clock.ts";
import { TokenBucket } from "../core/token_bucket.ts";

/**
 * Work that frames make here, in microseconds of the server's thread, measured and rounded up. Answers are not counted:
 * there is one for each request.
 */
export const FRAME_COST_US = { any: 1, logLine: 5, call: 50, perByte: 0.0001, perParsedByte: 0.005 };
/** A sandbox may take a quarter of the server's thread with frames that answer nothing. */
const FRAME_BUDGET = { capacity: 100_000, refillPerSec: 250_000 };
const HELD_UP_MAX_MS = 100;
export class FrameBudget {
  readonly #bucket: TokenBucket;
  #costUs = 0;

  constructor(nowMs: number) {
    this.#bucket = new TokenBucket(nowMs, FRAME_BUDGET);
  }

  add(costUs: number): void {
    this.#costUs += costUs;
  }

  /** Holds up a sandbox whose frames make more work than they may. */
  pace(now: () => number): Promise<void> | undefined {
    if (this.#costUs === 0) return undefined;
    const waitMs = this.#bucket.charge(this.#costUs, now());
    this.#costUs = 0;
    return waitMs > 1 ? delay(Math.min(waitMs, HELD_UP_MAX_MS)) : undefined;
  }
}

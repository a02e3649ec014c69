/**
 * A rate with a burst: so much at once, and so much a second in the long run.
 *
 * @module
 */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perMs: number;
  #tokens: number;
  #filledAtMs: number;

  /** Full at the start. */
  constructor(nowMs: number, { capacity, refillPerSec }: { capacity: number; refillPerSec: number }) {
    this.#capacity = capacity;
    this.#perMs = refillPerSec / 1_000;
    this.#tokens = capacity;
    this.#filledAtMs = nowMs;
  }

  /** Takes the tokens if they are there; false takes none. */
  take(count: number, nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** Takes the tokens even where there are fewer; returns after how many milliseconds the debt is paid. */
  charge(count: number, nowMs: number): number {
    this.#refill(nowMs);
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs;
  }

  #refill(nowMs: number): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + (nowMs - this.#filledAtMs) * this.#perMs);
    this.#filledAtMs = nowMs;
  }
}

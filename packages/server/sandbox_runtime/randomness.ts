/**
 * Randomness of a copied process: V8's `Math.random` would go on in each copy with the numbers of the others, so it takes
 * its numbers from the generator for keys, which the system feeds.
 *
 * @module
 */

const POOL_COUNT = 1_024;
/** 2⁻⁵³: the distance of two neighbours among the numbers from 0 to 1. */
const STEP = 2 ** -53;
/** The generator for keys keeps numbers ahead, fewer than this. */
const AHEAD_BYTES = 1_024;

/** How far the numbers of copies are apart at most: each is drawn in a few nanoseconds. */
const DISTANCE_MAX_COUNT = 2 ** 17;

// Captured before user code runs.
const nativeRandom = Math.random;
const fill = crypto.getRandomValues.bind(crypto);
const pool = new Uint32Array(2 * POOL_COUNT);
let usedCount = pool.length;

export function replaceRandom(): void {
  const replacement = {
    random(): number {
      if (usedCount === pool.length) {
        fill(pool);
        usedCount = 0;
      }
      const high = pool[usedCount++] ?? 0;
      const low = pool[usedCount++] ?? 0;
      return ((high >>> 5) * 0x400_0000 + (low >>> 6)) * STEP;
    },
  };
  Object.defineProperty(Math, "random", {
    value: replacement.random,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}

/** In a copy: what was drawn before belongs to all copies. */
export function forgetRandomness(): void {
  usedCount = pool.length;
  fill(new Uint8Array(AHEAD_BYTES));
  // Deno's own code goes on with V8's numbers, for the boundaries of forms: at least not from the same place.
  const distance = fill(new Uint32Array(1))[0] ?? 0;
  for (let left = distance % DISTANCE_MAX_COUNT; left > 0; left -= 1) nativeRandom();
}

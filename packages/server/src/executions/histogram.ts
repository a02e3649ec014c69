/**
 * Durations in buckets that can be added up: those of a minute make those of an hour, and any set of them a percentile.
 *
 * @module
 */

/** Each bucket ends 5 % above the one before, so a percentile is at most 2.5 % off. */
const GROWTH = 1.05;
/** Where the first bucket ends. */
const FIRST_MS = 0.1;
/** The last one is open: it begins at 36 hours. */
export const BUCKETS_COUNT = 430;

const LOG_GROWTH = Math.log(GROWTH);
const MIDDLE = Math.sqrt(GROWTH);

export function bucketOf(ms: number): number {
  if (!(ms > FIRST_MS)) return 0;
  return Math.min(BUCKETS_COUNT - 1, Math.ceil(Math.log(ms / FIRST_MS) / LOG_GROWTH));
}

/** What a duration in this bucket is taken for. */
export function msOf(bucket: number): number {
  return FIRST_MS * GROWTH ** bucket / MIDDLE;
}

/**
 * The durations that these parts of all are not above; of nothing there are none.
 *
 * @param buckets numbers of durations by bucket, in any order
 * @param parts from 0 to 1, rising
 */
export function percentiles(buckets: ReadonlyMap<number, number>, parts: readonly number[]): number[] | null {
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return null;
  return parts.map((part) => {
    let left = Math.max(1, Math.ceil(part * total));
    for (const [bucket, count] of sorted) {
      left -= count;
      if (left <= 0) return msOf(bucket);
    }
    return msOf(sorted.at(-1)?.[0] ?? 0);
  });
}

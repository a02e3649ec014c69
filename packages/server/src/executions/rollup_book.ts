/**
 * Counts invocations that get no row of their own, per function and second. Counts are exact; details are gone.
 *
 * @module
 */
import type { ExecutionRecord, Rollup } from "../storage/executions.ts";

/** Up to 1, 2, 4 … 32,768 ms; the last bucket is open. */
export const LATENCY_BUCKETS_COUNT = 17;

interface Entry {
  readonly functionId: string;
  readonly secondMs: number;
  count: number;
  errorCount: number;
  readonly latencyBuckets: number[];
}

export interface RollupBook {
  add(record: ExecutionRecord): void;
  /** Takes everything out. */
  take(node: string): Rollup[];
  /** Puts back what could not be written. */
  restore(rollups: readonly Rollup[]): void;
}

export function createRollupBook(): RollupBook {
  let entries = new Map<string, Entry>();
  // In a flood most invocations are of the function and the second that the one before was of.
  let last: Entry | undefined;

  function entryFor(functionId: string, secondMs: number): Entry {
    if (last?.functionId === functionId && last.secondMs === secondMs) return last;
    return last = findEntry(functionId, secondMs);
  }

  function findEntry(functionId: string, secondMs: number): Entry {
    const key = `${functionId} ${secondMs}`;
    let entry = entries.get(key);
    if (entry === undefined) {
      entry = {
        functionId,
        secondMs,
        count: 0,
        errorCount: 0,
        latencyBuckets: new Array(LATENCY_BUCKETS_COUNT).fill(0),
      };
      entries.set(key, entry);
    }
    return entry;
  }

  return {
    add({ functionId, startedAtMs, durationMs, status }) {
      const entry = entryFor(functionId, Math.floor(startedAtMs / 1000) * 1000);
      entry.count += 1;
      if (status !== "success") entry.errorCount += 1;
      const bucket = bucketOf(durationMs);
      entry.latencyBuckets[bucket] = (entry.latencyBuckets[bucket] ?? 0) + 1;
    },
    take(node) {
      const taken = [...entries.values()].map((entry) => ({ ...entry, node }));
      entries = new Map();
      last = undefined;
      return taken;
    },
    restore(rollups) {
      for (const rollup of rollups) {
        const entry = entryFor(rollup.functionId, rollup.secondMs);
        entry.count += rollup.count;
        entry.errorCount += rollup.errorCount;
        rollup.latencyBuckets.forEach((count, index) =>
          entry.latencyBuckets[index] = (entry.latencyBuckets[index] ?? 0) + count
        );
      }
    },
  };
}

export function bucketOf(durationMs: number): number {
  const bucket = durationMs <= 1 ? 0 : Math.ceil(Math.log2(durationMs));
  return Math.min(bucket, LATENCY_BUCKETS_COUNT - 1);
}

/**
 * Counters of this process.
 *
 * @module
 */
import type { Counter, Taken } from "./counters.ts";

interface Entry {
  count: number;
  readonly endsAtMs: number;
}

/** Of all callers of all functions: some 10 MB. */
const ENTRIES_MAX_COUNT = 100_000;

export interface MemoryCounters {
  take(counters: readonly Counter[], nowMs: number): Taken;
}

export function createMemoryCounters(): MemoryCounters {
  // In the order of insertion.
  const entries = new Map<string, Entry>();

  function sweep(nowMs: number): void {
    for (const [key, { endsAtMs }] of entries) if (endsAtMs <= nowMs) entries.delete(key);
    // Whoever comes from so many addresses is not stopped by counting them: the oldest make room.
    for (const key of entries.keys()) {
      if (entries.size < ENTRIES_MAX_COUNT / 2) break;
      entries.delete(key);
    }
  }

  return {
    take(counters, nowMs) {
      const found = counters.map(({ key }) => entries.get(key));
      const isAllowed = counters.every(({ limit }, index) => (found[index]?.count ?? 0) < limit);
      if (isAllowed) {
        counters.forEach(({ key, endsAtMs }, index) => {
          const entry = found[index];
          if (entry !== undefined) entry.count += 1;
          else entries.set(key, { count: 1, endsAtMs });
        });
        if (entries.size > ENTRIES_MAX_COUNT) sweep(nowMs);
      }
      return { isAllowed, counts: counters.map(({ key }) => entries.get(key)?.count ?? 0) };
    },
  };
}

/**
 * What has been counted of each function since this server started, for whoever asks again and again and compares.
 *
 * Owns: that there is an end to them. The first 1,000 functions that are called have totals of their own; all others
 * share one. Whose totals are apart keeps them, so that none ever goes back.
 *
 * @module
 */
import { EVERY_FUNCTION, type MinuteCounts } from "../storage/metrics.ts";
import type { Counts } from "./count_names.ts";

export interface FunctionTotals {
  add(minutes: readonly MinuteCounts[]): void;
  /** By the id of the function. Those that are gone are added to the others for good. */
  read(
    isThere: (functionId: string) => boolean,
  ): { readonly own: ReadonlyMap<string, Counts>; readonly others: Counts };
}

const OWN_MAX_COUNT = 1_000;

export function createFunctionTotals(maxCount = OWN_MAX_COUNT): FunctionTotals {
  const own = new Map<string, Record<string, number>>();
  const others: Record<string, number> = {};

  function totalsOf(functionId: string): Record<string, number> {
    let totals = own.get(functionId);
    if (totals !== undefined) return totals;
    if (own.size >= maxCount) return others;
    own.set(functionId, totals = {});
    return totals;
  }

  return {
    add(minutes) {
      for (const { functionId, counts } of minutes) {
        if (functionId !== EVERY_FUNCTION) addTo(totalsOf(functionId), counts);
      }
    },
    read(isThere) {
      for (const [functionId, totals] of own) {
        if (isThere(functionId)) continue;
        addTo(others, totals);
        own.delete(functionId);
      }
      return { own, others };
    },
  };
}

function addTo(totals: Record<string, number>, counts: Counts): void {
  for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count;
}

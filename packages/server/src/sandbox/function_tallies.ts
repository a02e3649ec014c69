/**
 * What the pool remembers of each function: its fleets, and how often it is called.
 *
 * Heat is the number of calls of the last minutes, older ones counting less. A function keeps it while it has no
 * sandbox, so one that is called again and again is told from one that is called once.
 *
 * @module
 */

/** A fleet, as far as it counts for its function. */
export interface TalliedFleet {
  readonly size: number;
  readonly waitingCount: number;
}

export interface Tally {
  readonly functionId: string;
  /** That of its live version, and those of older ones that still serve. */
  readonly fleets: Set<TalliedFleet>;
  /** Since the last `cool`: a call only adds one. */
  callsCount: number;
  heat: number;
}

export interface FunctionTallies {
  of(functionId: string): Tally;
  /** Calls become older; functions that nobody calls any more are forgotten. Returns those. */
  cool(): Tally[];
}

/** After so long a call counts half. */
const HALF_LIFE_MS = 60_000;
/** Less than this is as good as never called. */
const HEAT_MIN = 0.01;

export function createFunctionTallies(now: () => number): FunctionTallies {
  const byFunction = new Map<string, Tally>();
  let cooledAtMs = now();

  return {
    of(functionId) {
      let tally = byFunction.get(functionId);
      if (tally === undefined) {
        byFunction.set(functionId, tally = { functionId, fleets: new Set(), callsCount: 0, heat: 0 });
      }
      return tally;
    },
    cool() {
      const nowMs = now();
      const part = 0.5 ** ((nowMs - cooledAtMs) / HALF_LIFE_MS);
      cooledAtMs = nowMs;
      const forgotten: Tally[] = [];
      for (const tally of byFunction.values()) {
        tally.heat = tally.heat * part + tally.callsCount;
        tally.callsCount = 0;
        if (tally.heat >= HEAT_MIN || tally.fleets.size > 0) continue;
        byFunction.delete(tally.functionId);
        forgotten.push(tally);
      }
      return forgotten;
    },
  };
}

export function heatOf({ heat, callsCount }: Tally): number {
  return heat + callsCount;
}

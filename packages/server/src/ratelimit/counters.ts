/**
 * What counts calls, in memory or for several servers together.
 *
 * @module
 */
/** One window of one caller. */
export interface Counter {
  readonly key: string;
  readonly limit: number;
  readonly endsAtMs: number;
}

/** Counts of the counters, in their order; `isAllowed` tells whether the call is among them. */
export interface Taken {
  readonly isAllowed: boolean;
  readonly counts: readonly number[];
}

export interface Counters {
  take(counters: readonly Counter[], nowMs: number): Taken | Promise<Taken>;
}

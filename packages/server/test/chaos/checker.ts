/**
 * Remembers everything that a cluster has acknowledged, and what it has answered wrongly.
 *
 * @module
 */
import type { Node } from "./cluster.ts";

export interface Checker {
  readonly liveMs: number;
  readonly writes: Set<string>;
  readonly tasks: Map<string, string>;
  /** Versions that were acknowledged, by when. */
  readonly deployed: { readonly number: number; readonly atMs: number }[];
  readonly counts: { calls: number; refused: number };
  readonly wrong: string[];
  databaseIsAway(isAway: boolean): void;
  readonly isDatabaseAway: boolean;
  /** Of a request that began then and failed: whether a fault explains it. */
  failed(what: string, attempt: Attempt): void;
}

export interface Attempt {
  readonly node: Node;
  readonly beganAtMs: number;
  /** It cannot do without the database. */
  readonly needsDatabase: boolean;
  readonly reason: string;
}

/** How long things may take; more on a machine that has other things to do. */
export interface Patience {
  /** After a fault is over: connections are opened again, what was lost is noticed. */
  readonly afterFaultMs: number;
  /** Until what is deployed is live on every server. */
  readonly liveMs: number;
}

const PATIENCE: Patience = { afterFaultMs: 5_000, liveMs: 2_000 };

export function createChecker({ afterFaultMs, liveMs }: Patience = PATIENCE): Checker {
  let isAway = false;
  let backAtMs = -Infinity;
  const wrong: string[] = [];
  const counts = { calls: 0, refused: 0 };
  return {
    liveMs,
    writes: new Set(),
    tasks: new Map(),
    deployed: [],
    counts,
    wrong,
    get isDatabaseAway() {
      return isAway || performance.now() < backAtMs + afterFaultMs;
    },
    databaseIsAway(now) {
      isAway = now;
      if (!now) backAtMs = performance.now();
    },
    failed(what, { node, beganAtMs, needsDatabase, reason }) {
      counts.refused += 1;
      const isExplained = !node.isUp || beganAtMs < node.disturbedAtMs + afterFaultMs ||
        (needsDatabase && (isAway || beganAtMs < backAtMs + afterFaultMs));
      if (!isExplained) wrong.push(`${what} failed at ${node.name} although nothing was done to it: ${reason}`);
    },
  };
}

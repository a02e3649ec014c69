/**
 * Remembers everything that a cluster has acknowledged, and what it has answered wrongly.
 *
 * @module
 */
import type { Node } from "./cluster.ts";

export interface Checker {
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

/** After a fault is over: connections are opened again, what was lost is noticed. */
const AFTER_MS = 5_000;

export function createChecker(): Checker {
  let isAway = false;
  let backAtMs = -Infinity;
  const wrong: string[] = [];
  const counts = { calls: 0, refused: 0 };
  return {
    writes: new Set(),
    tasks: new Map(),
    deployed: [],
    counts,
    wrong,
    get isDatabaseAway() {
      return isAway || performance.now() < backAtMs + AFTER_MS;
    },
    databaseIsAway(now) {
      isAway = now;
      if (!now) backAtMs = performance.now();
    },
    failed(what, { node, beganAtMs, needsDatabase, reason }) {
      counts.refused += 1;
      const isExplained = !node.isUp || beganAtMs < node.disturbedAtMs + AFTER_MS ||
        (needsDatabase && (isAway || beganAtMs < backAtMs + AFTER_MS));
      if (!isExplained) wrong.push(`${what} failed at ${node.name} although nothing was done to it: ${reason}`);
    },
  };
}

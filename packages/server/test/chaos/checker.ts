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
  readonly changes: Readonly<Record<ChangeName, Changes>>;
  readonly counts: { calls: number; refused: number; overloaded: number; keys: number; sessions: number };
  readonly wrong: string[];
  databaseIsAway(isAway: boolean): void;
  /** What happens from here on is put down to it. */
  begin(fault: string): void;
  /** The most calls that failed in one fault of a kind, of those that need no database. */
  readonly failedMost: Readonly<Record<string, number>>;
  /** Of a request that began then and failed: whether a fault explains it. */
  failed(what: string, attempt: Attempt): void;
  /** Whether a server may not know yet what was acknowledged `liveMs` before. */
  mayBeStale(node: Node | undefined, beganAtMs: number): boolean;
}

export type ChangeName = "version" | "secret";

/** Of something that always has one number, each larger than the one before. */
export interface Changes {
  /** Larger than every one that was tried. */
  next(): number;
  acknowledged(number: number): void;
  /** It was tried, and nobody knows whether it happened or will. */
  unknown(number: number): void;
  /** What may be seen in an answer to a call that began then; undefined: nothing is wrong with it. */
  wrongIn(seen: number, beganAtMs: number): string | undefined;
  readonly count: number;
}

export interface Attempt {
  /** Undefined: the balancer did not say. */
  readonly node: Node | undefined;
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

/** A machine that starts no sandbox in time says so; how often is bounded by whoever reads the counts. */
const OVERLOADED = "POOL_EXHAUSTED";

export const PATIENCE: Patience = { afterFaultMs: 5_000, liveMs: 2_000 };

export interface CheckerOptions {
  readonly nodes: readonly Node[];
  readonly wrong?: string[];
  readonly patience?: Patience;
}

export function createChecker({ nodes, wrong = [], patience = PATIENCE }: CheckerOptions): Checker {
  const { afterFaultMs, liveMs } = patience;
  let isAway = false;
  let backAtMs = -Infinity;
  let fault = "none";
  let failedNow = 0;
  const failedMost: Record<string, number> = {};
  const counts = { calls: 0, refused: 0, overloaded: 0, keys: 0, sessions: 0 };
  const someOf = (node: Node | undefined) => node === undefined ? nodes : [node];
  const isDatabaseAway = (beganAtMs: number) => isAway || beganAtMs < backAtMs + afterFaultMs;
  return {
    ...{ liveMs, counts, wrong, failedMost, writes: new Set(), tasks: new Map() },
    changes: { version: createChanges(liveMs), secret: createChanges(liveMs) },
    databaseIsAway(now) {
      isAway = now;
      if (!now) backAtMs = performance.now();
    },
    begin(name) {
      fault = name;
      failedNow = 0;
    },
    failed(what, { node, beganAtMs, needsDatabase, reason }) {
      counts.refused += 1;
      if (!needsDatabase) {
        failedNow += 1;
        failedMost[fault] = Math.max(failedMost[fault] ?? 0, failedNow);
      }
      if (reason.includes(OVERLOADED)) {
        counts.overloaded += 1;
        return;
      }
      const isExplained = (needsDatabase && isDatabaseAway(beganAtMs)) ||
        someOf(node).some((one) =>
          one.isHurt || beganAtMs < one.disturbedAtMs + afterFaultMs ||
          (needsDatabase && (one.isApart || beganAtMs < one.backAtMs + afterFaultMs))
        );
      if (isExplained) return;
      wrong.push(`${what} failed at ${node?.name ?? "the balancer"} although nothing was done to it: ${reason}`);
    },
    mayBeStale: (node, beganAtMs) =>
      isDatabaseAway(beganAtMs) ||
      someOf(node).some((one) =>
        one.isHurt || one.isApart || beganAtMs < Math.max(one.disturbedAtMs, one.backAtMs) + liveMs
      ),
  };
}

function createChanges(liveMs: number): Changes {
  const known: { readonly number: number; readonly atMs: number }[] = [];
  const unknown = new Set<number>();
  let last = -1;
  return {
    next: () => last += 1,
    acknowledged: (number) => void known.push({ number, atMs: performance.now() }),
    unknown: (number) => void unknown.add(number),
    wrongIn(seen, beganAtMs) {
      const oldest = known.findLast(({ atMs }) => atMs < beganAtMs - liveMs)?.number ?? 0;
      if (seen >= oldest || unknown.has(seen)) return undefined;
      return `${seen} although ${oldest} was acknowledged ${liveMs / 1_000} s before`;
    },
    get count() {
      return known.length;
    },
  };
}

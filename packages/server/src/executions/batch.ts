/**
 * What is written to the database together: grows until it is closed, and goes to the disk piece by piece meanwhile.
 *
 * @module
 */
import type { ExecutionRecord, FunctionLineRecord, Rollup } from "../storage/executions.ts";
import { createRollupBook } from "./rollup_book.ts";
import type { SpooledBatch, SpoolEntry } from "./spool.ts";

interface Parts {
  readonly records: readonly ExecutionRecord[];
  readonly lines: readonly FunctionLineRecord[];
  readonly rollups: readonly Rollup[];
}

export interface Batch extends Parts {
  readonly id: string;
  readonly records: ExecutionRecord[];
  readonly lines: FunctionLineRecord[];
  /** Several may be of one second. */
  readonly rollups: Rollup[];
  logBytes: number;
  /** How much of each part is on disk. */
  kept: Readonly<Record<keyof Parts, number>>;
}

export function createBatch(): Batch {
  return {
    id: crypto.randomUUID(),
    records: [],
    lines: [],
    rollups: [],
    logBytes: 0,
    kept: { records: 0, lines: 0, rollups: 0 },
  };
}

/** What is not on disk. */
export function unkeptOf({ records, lines, rollups, kept }: Batch): Parts {
  return {
    records: records.slice(kept.records),
    lines: lines.slice(kept.lines),
    rollups: rollups.slice(kept.rollups),
  };
}

/** Call it when the disk has taken what `unkeptOf` gave. */
export function markKept(batch: Batch, { records, lines, rollups }: Parts): void {
  const { kept } = batch;
  batch.kept = {
    records: kept.records + records.length,
    lines: kept.lines + lines.length,
    rollups: kept.rollups + rollups.length,
  };
}

export function spooled({ id }: Batch, { records, lines, rollups }: Parts): SpooledBatch {
  return { id, entries: [...records, ...lines, ...rollups] };
}

export function partsOf(entries: readonly SpoolEntry[]): Parts {
  const records: ExecutionRecord[] = [];
  const lines: FunctionLineRecord[] = [];
  const rollups: Rollup[] = [];
  for (const entry of entries) {
    if ("status" in entry) records.push(entry);
    else if ("latencyBuckets" in entry) rollups.push(entry);
    else lines.push(entry);
  }
  return { records, lines, rollups };
}

/** Counts of the same second become one: a statement may change a row only once. */
export function merged(rollups: readonly Rollup[]): Rollup[] {
  return [...Map.groupBy(rollups, ({ node }) => node)].flatMap(([node, ofNode]) => {
    const book = createRollupBook();
    book.restore(ofNode);
    return book.take(node);
  });
}

/**
 * What is written to the database together: grows until it is closed, and goes to the disk piece by piece meanwhile.
 *
 * @module
 */
import type { ExecutionRecord, FunctionLineRecord } from "../storage/executions.ts";
import type { MinuteCounts } from "../storage/metrics.ts";
import type { SpooledBatch, SpoolEntry } from "./spool.ts";

interface Parts {
  readonly records: readonly ExecutionRecord[];
  readonly lines: readonly FunctionLineRecord[];
  readonly minutes: readonly MinuteCounts[];
}

export interface Batch extends Parts {
  readonly id: string;
  readonly records: ExecutionRecord[];
  readonly lines: FunctionLineRecord[];
  /** Several may be of one row. */
  readonly minutes: MinuteCounts[];
  logBytes: number;
  /** How much of each part is on disk. */
  kept: Readonly<Record<keyof Parts, number>>;
}

export function createBatch(): Batch {
  return {
    id: crypto.randomUUID(),
    records: [],
    lines: [],
    minutes: [],
    logBytes: 0,
    kept: { records: 0, lines: 0, minutes: 0 },
  };
}

/** What is not on disk. */
export function unkeptOf({ records, lines, minutes, kept }: Batch): Parts {
  return {
    records: records.slice(kept.records),
    lines: lines.slice(kept.lines),
    minutes: minutes.slice(kept.minutes),
  };
}

/** Call it when the disk has taken what `unkeptOf` gave. */
export function markKept(batch: Batch, { records, lines, minutes }: Parts): void {
  const { kept } = batch;
  batch.kept = {
    records: kept.records + records.length,
    lines: kept.lines + lines.length,
    minutes: kept.minutes + minutes.length,
  };
}

export function spooled({ id }: Batch, { records, lines, minutes }: Parts): SpooledBatch {
  return { id, entries: [...records, ...lines, ...minutes] };
}

export function partsOf(entries: readonly SpoolEntry[]): Parts {
  const records: ExecutionRecord[] = [];
  const lines: FunctionLineRecord[] = [];
  const minutes: MinuteCounts[] = [];
  for (const entry of entries) {
    if ("status" in entry) records.push(entry);
    else if ("counts" in entry) minutes.push(entry);
    else lines.push(entry);
  }
  return { records, lines, minutes };
}

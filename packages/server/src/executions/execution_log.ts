/**
 * Writes what happened in every invocation, in batches behind the response.
 *
 * Owns: which invocation gets a row and which is folded into a count, what is kept while Postgres is away, retention.
 * Does not own: the statements (../storage/executions.ts).
 *
 * Up to a budget of rows a second every invocation has its row. Above it, successes without log lines are folded into
 * rollups, so that a flood does not turn the database into the bottleneck; counts stay exact.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import {
  addRollups,
  dropOldExecutions,
  ensurePartitions,
  type ExecutionRecord,
  type FunctionLineRecord,
  insertExecutions,
  type LogLineRecord,
} from "../storage/executions.ts";
import { createRollupBook } from "./rollup_book.ts";
import { openSpool, type SpoolEntry } from "./spool.ts";

export interface ExecutionLogOptions {
  readonly db: Database["db"];
  readonly clock: Clock;
  readonly log: Log;
  /** Where records wait while Postgres is away. */
  readonly spoolDir: string;
  /** Rows a second that this node writes before it folds. */
  readonly rowsPerSec: number;
  readonly retentionDays: number;
  /** Distinguishes the rollups of nodes. */
  readonly node: string;
}

export interface ExecutionLogStats {
  readonly recordedCount: number;
  readonly foldedCount: number;
  readonly waitingCount: number;
}

export interface ExecutionLog {
  /** Never waits, never throws: the caller has its answer already. */
  record(record: ExecutionRecord): void;
  /** For a line that a function wrote outside any request. */
  recordLine(line: FunctionLineRecord): void;
  /** Resolves when everything recorded before is written, or spooled because Postgres is away. */
  flush(): Promise<void>;
  stats(): ExecutionLogStats;
  [Symbol.asyncDispose](): Promise<void>;
}

const FLUSH_MS = 100;
/** Rows in one statement: making its parameter holds up the event loop for half a millisecond. */
const BATCH_COUNT = 250;
/** Rows that may wait in memory; beyond it records are folded, whatever they are. */
const WAITING_MAX_COUNT = 20_000;
/** Log lines that may wait in memory; beyond it those of later executions are left out, with a line that says so. */
const WAITING_MAX_LOG_BYTES = 64 * 1024 * 1024;
const LINE_OVERHEAD_BYTES = 200;
const MAINTENANCE_MS = 3_600_000;
const PARTITIONS_AHEAD_COUNT = 3;
const DAY_MS = 86_400_000;

export async function startExecutionLog(options: ExecutionLogOptions): Promise<ExecutionLog> {
  const { db, clock, log, node } = options;
  const rollups = createRollupBook();
  const spool = openSpool(options.spoolDir);
  let waiting: ExecutionRecord[] = [];
  let waitingLines: FunctionLineRecord[] = [];
  let waitingLogBytes = 0;
  let recordedCount = 0;
  let foldedCount = 0;
  let budgetSecond = 0;
  let rowsThisSecond = 0;
  let isAway = false;
  let flushing: Promise<void> = Promise.resolve();
  let timer: ReturnType<typeof setTimeout> | undefined;

  await maintain();
  const maintenance = setInterval(
    () => void maintain().catch((error) => log.warn("Maintenance of executions failed", { error })),
    MAINTENANCE_MS,
  );
  await spool.drain(writeRows).catch((error) => log.warn("Cannot write spooled executions yet", { error }));

  async function maintain(): Promise<void> {
    const now = new Date(clock.epochMs());
    await ensurePartitions(db, now, PARTITIONS_AHEAD_COUNT);
    await dropOldExecutions(db, new Date(now.getTime() - options.retentionDays * DAY_MS));
  }

  function record(entry: ExecutionRecord): void {
    recordedCount += 1;
    if (getsRow(entry)) {
      waiting.push(entry.logs.length === 0 ? entry : withLogsThatFit(entry));
    } else {
      foldedCount += 1;
      rollups.add(entry);
    }
    timer ??= setTimeout(() => void flush(), FLUSH_MS);
  }

  function withLogsThatFit(entry: ExecutionRecord): ExecutionRecord {
    const bytes = entry.logs.reduce((sum, line) => sum + bytesOf(line), 0);
    if (waitingLogBytes + bytes > WAITING_MAX_LOG_BYTES) {
      const message = `[log left out: ${entry.logs.length} lines, because too many wait to be written]`;
      return { ...entry, logs: [{ atMs: entry.startedAtMs, level: "warn", message, fields: null }] };
    }
    waitingLogBytes += bytes;
    return entry;
  }

  function recordLine(line: FunctionLineRecord): void {
    const bytes = bytesOf(line);
    if (waitingLogBytes + bytes > WAITING_MAX_LOG_BYTES) return;
    waitingLogBytes += bytes;
    waitingLines.push(line);
    timer ??= setTimeout(() => void flush(), FLUSH_MS);
  }

  function getsRow(entry: ExecutionRecord): boolean {
    if (waiting.length >= WAITING_MAX_COUNT) return false;
    if (entry.status !== "success" || entry.logs.length > 0) return true;
    const second = Math.floor(entry.startedAtMs / 1000);
    if (second !== budgetSecond) {
      budgetSecond = second;
      rowsThisSecond = 0;
    }
    rowsThisSecond += 1;
    return rowsThisSecond <= options.rowsPerSec;
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    flushing = flushing.then(writeAll);
    return flushing;
  }

  async function writeAll(): Promise<void> {
    const entries: SpoolEntry[] = [...waiting, ...waitingLines];
    const folded = rollups.take(node);
    waiting = [];
    waitingLines = [];
    waitingLogBytes = 0;
    if (entries.length === 0 && folded.length === 0 && !isAway) return;
    let writtenCount = 0;
    try {
      if (isAway) await spool.drain(writeRows);
      for (; writtenCount < entries.length; writtenCount += BATCH_COUNT) {
        await writeRows(entries.slice(writtenCount, writtenCount + BATCH_COUNT));
      }
      await addRollups(db, folded);
      if (isAway) log.info("Executions are written to the database again");
      isAway = false;
    } catch (error) {
      if (!isAway) log.warn("Cannot write executions: they wait on disk until the database is back", { error });
      isAway = true;
      rollups.restore(folded);
      await keep(entries.slice(writtenCount));
      timer ??= setTimeout(() => void flush(), 10 * FLUSH_MS);
    }
  }

  async function keep(entries: readonly SpoolEntry[]): Promise<void> {
    if (entries.length === 0 || await spool.append(entries)) return;
    const { records, lines } = sorted(entries);
    log.warn("Cannot keep executions on disk: they are only counted now", {
      count: records.length,
      lines: lines.length,
    });
    foldedCount += records.length;
    for (const record of records) rollups.add(record);
  }

  async function writeRows(entries: readonly SpoolEntry[]): Promise<void> {
    const { records, lines } = sorted(entries);
    try {
      await insertExecutions(db, records, lines);
    } catch (error) {
      // Spooled records may be of a day whose partition this node has not made.
      if (!isMissingPartition(error)) throw error;
      const instants = [...records.map(({ startedAtMs }) => startedAtMs), ...lines.map(({ atMs }) => atMs)];
      for (const day of new Set(instants.map((atMs) => Math.floor(atMs / DAY_MS)))) {
        await ensurePartitions(db, new Date(day * DAY_MS), 1);
      }
      await insertExecutions(db, records, lines);
    }
  }

  return {
    record,
    recordLine,
    flush,
    stats: () => ({ recordedCount, foldedCount, waitingCount: waiting.length }),
    async [Symbol.asyncDispose]() {
      clearInterval(maintenance);
      await flush();
      clearTimeout(timer);
      // Counts have no place on disk: what the database did not take goes into the log at least.
      const lost = rollups.take(node).reduce((sum, { count }) => sum + count, 0);
      if (lost > 0) log.error("The database is away: folded executions are lost", { count: lost });
    },
  };
}

function sorted(entries: readonly SpoolEntry[]): { records: ExecutionRecord[]; lines: FunctionLineRecord[] } {
  const records: ExecutionRecord[] = [];
  const lines: FunctionLineRecord[] = [];
  for (const entry of entries) {
    if ("status" in entry) records.push(entry);
    else lines.push(entry);
  }
  return { records, lines };
}

function bytesOf({ message }: LogLineRecord): number {
  return message.length + LINE_OVERHEAD_BYTES;
}

function isMissingPartition(error: unknown): boolean {
  return error instanceof Error && /no partition of relation/.test(error.message);
}

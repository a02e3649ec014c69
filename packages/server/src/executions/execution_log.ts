/**
 * Writes what happened in every invocation, in batches behind the response.
 *
 * Owns: which invocation gets a row and which is only counted, when it is on disk and when in the database,
 * retention.
 * Does not own: the statements (../storage/executions.ts), the files (./spool.ts).
 *
 * Up to a budget of rows a second every invocation has its row. Above it, successes without log lines are only counted,
 * so that a flood does not turn the database into the bottleneck. Counts by minute are of all invocations, with a row or
 * without.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import { codeOf } from "../storage/db.ts";
import {
  dropOldExecutions,
  ensurePartitions,
  type ExecutionRecord,
  type FunctionLineRecord,
  insertBatch,
  isMissingPartition,
  type LogLineRecord,
} from "../storage/executions.ts";
import { added } from "../storage/metrics.ts";
import { type Batch, createBatch, markKept, partsOf, spooled, unkeptOf } from "./batch.ts";
import { COUNT } from "./count_names.ts";
import { createFunctionTotals, type FunctionTotals } from "./function_totals.ts";
import { createMinuteBook, type Refusal, type Usage } from "./minute_book.ts";
import { openSpool, type SpooledBatch, type SpoolFile } from "./spool.ts";

export interface ExecutionLogOptions {
  readonly db: Database["db"];
  readonly clock: Clock;
  readonly log: Log;
  /** Where records are kept until the database has them. */
  readonly spoolDir: string;
  /** Rows a second that this node writes before it folds. */
  readonly rowsPerSec: number;
  readonly retentionDays: number;
  /** The name of this server. */
  readonly node: string;
}

export interface ExecutionLogStats {
  readonly recordedCount: number;
  readonly foldedCount: number;
  readonly waitingCount: number;
  /** Lines that were left out because too many waited. */
  readonly droppedLinesCount: number;
}

export interface ExecutionLog {
  /** The name of this server. */
  readonly node: string;
  /** As far as it was flushed. */
  readonly totals: FunctionTotals;
  /** Never waits, never throws: the caller has its answer already. */
  record(record: ExecutionRecord): void;
  /** Counts a call that became no execution. */
  refused(refusal: Refusal): void;
  /** Counts what a sandbox took. */
  used(usage: Usage): void;
  /** For a line that a function wrote outside any request, or in one that goes on. */
  recordLine(line: FunctionLineRecord): void;
  /** Resolves when everything recorded before is written, or kept on disk because the database is away. */
  flush(): Promise<void>;
  stats(): ExecutionLogStats;
  [Symbol.asyncDispose](): Promise<void>;
}

/** So much of what was answered can be lost when this process is killed, besides what the disk takes to be written. */
const KEEP_MS = 25;
const FLUSH_MS = 100;
/** Where there is nothing but counts: whoever asks for them has them written first. */
const COUNTS_FLUSH_MS = 1_000;
const AGAIN_MS = 1_000;
/** Rows in one statement: making its parameter holds up the event loop for half a millisecond. */
const BATCH_COUNT = 250;
const BATCH_LOG_BYTES = 4 * 1024 * 1024;
/** Rows that may wait in memory; beyond it records are folded, whatever they are. */
const WAITING_MAX_COUNT = 20_000;
/** Log lines that may wait in memory; beyond it those of later executions are left out, with a line that says so. */
const WAITING_MAX_LOG_BYTES = 64 * 1024 * 1024;
const LINE_OVERHEAD_BYTES = 200;
const USAGE_MS = 10_000;
/** Rows of counts that the disk has refused; beyond it those of one row become one. */
const COUNTS_MAX_COUNT = 10_000;
const MAINTENANCE_MS = 3_600_000;
/** After partitions that somebody read could not be dropped. */
const MAINTENANCE_AGAIN_MS = 60_000;
const PARTITIONS_AHEAD_COUNT = 3;
const DAY_MS = 86_400_000;
/** What is wrong is the data: classes 22 and 23. */
const DATA_ERROR = /^2[23]/;

export async function startExecutionLog(options: ExecutionLogOptions): Promise<ExecutionLog> {
  const { db, clock, log } = options;
  const minutes = createMinuteBook();
  const totals = createFunctionTotals();
  const spool = await openSpool(options.spoolDir);
  let open = createBatch();
  /** Closed, and not handed to the database yet. */
  let closed: Batch[] = [];
  let waitingCount = 0;
  let waitingLogBytes = 0;
  let recordedCount = 0;
  let foldedCount = 0;
  let droppedLinesCount = 0;
  let budgetSecond = 0;
  let rowsThisSecond = 0;
  let isAway = false;
  let isFull = false;
  let isStopping = false;
  let keeping: Promise<void> = Promise.resolve();
  let flushing: Promise<void> = Promise.resolve();
  let draining: Promise<void> | undefined;
  let keepTimer: ReturnType<typeof setTimeout> | undefined;
  let usageTimer: ReturnType<typeof setTimeout> | undefined;
  let flushTimer: ReturnType<typeof setTimeout> | undefined;
  /** Of the flush that is due; none: Infinity. */
  let flushWithinMs = Infinity;
  let drainTimer: ReturnType<typeof setTimeout> | undefined;
  let maintenanceTimer: ReturnType<typeof setTimeout> | undefined;

  let maintaining = maintain();
  if (spool.hasAside()) drain();

  async function maintain(): Promise<void> {
    let againMs = MAINTENANCE_MS;
    try {
      const now = new Date(clock.epochMs());
      await ensurePartitions(db, now, PARTITIONS_AHEAD_COUNT);
      const { heldCount } = await dropOldExecutions(db, new Date(now.getTime() - options.retentionDays * DAY_MS), now);
      if (heldCount > 0) {
        againMs = MAINTENANCE_AGAIN_MS;
        log.warn("Old executions are being read and cannot be dropped yet", { partitions: heldCount });
      }
    } catch (error) {
      againMs = MAINTENANCE_AGAIN_MS;
      log.warn("Cannot drop old executions or prepare for the next days yet", { error });
    }
    if (!isStopping) maintenanceTimer = setTimeout(() => maintaining = maintain(), againMs);
  }

  function record(entry: ExecutionRecord): void {
    recordedCount += 1;
    minutes.add(entry);
    if (getsRow(entry)) {
      open.records.push(entry.logs.length === 0 ? entry : withLogsThatFit(entry));
      waitingCount += 1;
      closeIfFull();
      schedule();
    } else {
      foldedCount += 1;
      schedule(COUNTS_FLUSH_MS);
    }
  }

  function closeIfFull(): void {
    if (open.records.length + open.lines.length >= BATCH_COUNT || open.logBytes >= BATCH_LOG_BYTES) close();
  }

  function close(): void {
    closed.push(open);
    open = createBatch();
  }

  function schedule(withinMs = FLUSH_MS): void {
    keepTimer ??= setTimeout(() => void keep(), KEEP_MS);
    if (flushWithinMs <= withinMs) return;
    clearTimeout(flushTimer);
    flushWithinMs = withinMs;
    flushTimer = setTimeout(() => void flush(), withinMs);
  }

  /** What no call waits to see is written with the next batch, or after a while. */
  function used(usage: Usage): void {
    minutes.addUsage(usage);
    usageTimer ??= setTimeout(() => {
      usageTimer = undefined;
      schedule(COUNTS_FLUSH_MS);
    }, USAGE_MS);
  }

  function refused(refusal: Refusal): void {
    minutes.addRefusal(refusal);
    schedule(COUNTS_FLUSH_MS);
  }

  function withLogsThatFit(entry: ExecutionRecord): ExecutionRecord {
    const bytes = entry.logs.reduce((sum, line) => sum + bytesOf(line), 0);
    if (waitingLogBytes + bytes > WAITING_MAX_LOG_BYTES) {
      droppedLinesCount += entry.logs.length;
      const message = `[log left out: ${entry.logs.length} lines, because too many wait to be written]`;
      return { ...entry, logs: [{ atMs: entry.startedAtMs, level: "warn", message, fields: null }] };
    }
    waitingLogBytes += bytes;
    open.logBytes += bytes;
    return entry;
  }

  function recordLine(line: FunctionLineRecord): void {
    const bytes = bytesOf(line);
    if (waitingLogBytes + bytes > WAITING_MAX_LOG_BYTES) return void (droppedLinesCount += 1);
    waitingLogBytes += bytes;
    open.logBytes += bytes;
    open.lines.push(line);
    closeIfFull();
    schedule();
  }

  function getsRow(entry: ExecutionRecord): boolean {
    if (waitingCount >= WAITING_MAX_COUNT) return false;
    if (entry.status !== "success" || entry.logs.length > 0 || (entry.linesBefore ?? 0) > 0) return true;
    const second = Math.floor(entry.startedAtMs / 1000);
    if (second !== budgetSecond) {
      budgetSecond = second;
      rowsThisSecond = 0;
    }
    rowsThisSecond += 1;
    return rowsThisSecond <= options.rowsPerSec;
  }

  /** One after the other: what belongs to one batch goes to one file. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = keeping.then(work);
    keeping = done.then(() => {});
    return done;
  }

  /** Puts on disk what is not there yet. */
  function keep(): Promise<void> {
    clearTimeout(keepTimer);
    keepTimer = undefined;
    return inTurn(async () => {
      takeCounts();
      await append([...closed, open]);
    });
  }

  function takeCounts(): void {
    if (minutes.isEmpty) return;
    const taken = minutes.take();
    totals.add(taken);
    open.minutes.push(...taken);
  }

  async function append(batches: readonly Batch[]): Promise<void> {
    const pieces = batches.map((batch) => ({ batch, parts: unkeptOf(batch) }));
    const isKept = await spool.append(pieces.map(({ batch, parts }) => spooled(batch, parts)));
    if (isKept) { for (const { batch, parts } of pieces) markKept(batch, parts); }
    else if (!isFull) log.warn("Cannot keep executions on disk until they are written");
    isFull = !isKept;
  }

  /** Takes out what is recorded so far: nobody adds to a batch that is being written, since it is written once. */
  function take(): Promise<{ batches: readonly Batch[]; file: SpoolFile | undefined }> {
    return inTurn(async () => {
      takeCounts();
      close();
      const batches = closed;
      closed = [];
      await append(batches);
      return { batches, file: spool.cut() };
    });
  }

  function flush(): Promise<void> {
    clearTimeout(flushTimer);
    flushWithinMs = Infinity;
    flushing = flushing.then(writeAll);
    return flushing;
  }

  async function writeAll(): Promise<void> {
    const { batches, file } = await take();
    let writtenCount = 0;
    try {
      if (!isAway) {
        for (const batch of batches) {
          await write(spooled(batch, batch));
          writtenCount += 1;
        }
      }
    } catch (error) {
      log.warn("Cannot write executions: they wait on disk until the database is back", { error });
      isAway = true;
    }
    if (writtenCount === batches.length) await file?.remove();
    else file?.setAside();
    for (const batch of batches.slice(writtenCount)) fold(batch);
    for (const { records, logBytes } of batches) {
      waitingCount -= records.length;
      waitingLogBytes -= logBytes;
    }
    if (isAway) drainTimer ??= setTimeout(drain, AGAIN_MS);
  }

  /** What neither the database nor the disk has taken is counted at least. */
  function fold(batch: Batch): void {
    const { records, lines, minutes: counts } = unkeptOf(batch);
    if (records.length + lines.length > 0) {
      log.warn("Executions are only counted now", { count: records.length, lines: lines.length });
    }
    foldedCount += records.length;
    open.minutes.push(...counts);
    if (open.minutes.length > COUNTS_MAX_COUNT) open.minutes.splice(0, Infinity, ...added(open.minutes));
  }

  /** What was set aside, by this process or one before it. New records need not wait for it. */
  function drain(): void {
    clearTimeout(drainTimer);
    drainTimer = undefined;
    draining ??= spool.drain(async (batch) => {
      if (isStopping) throw new Error("The server stops");
      await write(batch);
      if (isAway) log.info("Executions are written to the database again");
      isAway = false;
    }).then(() => {
      // With nothing to try it with, the next batch tells.
      isAway = false;
    }, (error) => {
      if (isStopping) return;
      if (!isAway) log.warn("Cannot write the executions that wait on disk yet", { error });
      isAway = true;
    }).finally(() => {
      draining = undefined;
      if (!isStopping && (isAway || spool.hasAside())) drainTimer ??= setTimeout(drain, AGAIN_MS);
    });
  }

  async function write({ id, entries }: SpooledBatch): Promise<void> {
    try {
      await insert({ id, entries });
    } catch (error) {
      if (!DATA_ERROR.test(codeOf(error))) throw error;
      if (entries.length === 1) {
        // Nothing must be able to hold up what comes after it.
        return log.error("The database refuses an execution or a line of log: it is left out", { id, error });
      }
      // In memory and on disk their order differs, and each must have the same id in both.
      const { records, lines, minutes } = partsOf(entries);
      const inOrder = [...records, ...lines, ...minutes];
      for (const [index, entry] of inOrder.entries()) await write({ id: `${id}/${index}`, entries: [entry] });
    }
  }

  async function insert({ id, entries }: SpooledBatch): Promise<void> {
    const parts = partsOf(entries);
    const batch = { id, ...parts, minutes: added(parts.minutes) };
    try {
      await insertBatch(db, batch);
    } catch (error) {
      // What waited on disk may be of a day whose partition this server has not made.
      if (!isMissingPartition(error)) throw error;
      const instants = [
        ...batch.records.map(({ startedAtMs }) => startedAtMs),
        ...batch.lines.map(({ atMs }) => atMs),
        ...batch.minutes.map(({ minuteMs }) => minuteMs),
      ];
      for (const day of new Set(instants.map((atMs) => Math.floor(atMs / DAY_MS)))) {
        await ensurePartitions(db, new Date(day * DAY_MS), 1);
      }
      await insertBatch(db, batch);
    }
  }

  return {
    node: options.node,
    totals,
    record,
    recordLine,
    refused,
    used,
    flush,
    stats: () => ({ recordedCount, foldedCount, waitingCount, droppedLinesCount }),
    async [Symbol.asyncDispose]() {
      isStopping = true;
      clearTimeout(maintenanceTimer);
      clearTimeout(usageTimer);
      await flush();
      clearTimeout(drainTimer);
      await Promise.all([draining, maintaining]);
      clearTimeout(keepTimer);
      clearTimeout(flushTimer);
      await spool[Symbol.asyncDispose]();
      const lost = open.minutes.reduce((sum, { counts }) => sum + (counts[COUNT.calls] ?? 0), 0);
      if (lost > 0) log.error("Neither the database nor the disk takes counts of executions: they are lost", { lost });
    },
  };
}

function bytesOf({ message }: LogLineRecord): number {
  return message.length + LINE_OVERHEAD_BYTES;
}

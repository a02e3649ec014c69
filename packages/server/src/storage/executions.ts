/**
 * Statements about executions and their log lines; counts are written along (./metrics.ts).
 *
 * Batches go in as one JSON parameter: one statement whatever the number of rows, and 1,000 rows block the event loop
 * for about 1 ms, where arrays of texts took more than 10.
 *
 * @module
 */
import type { ErrorCode, ExecutionStatus, LogLevel, TriggerType } from "@fluxbase/contract";
import { type RawBuilder, sql } from "kysely";
import { codeOf, type Database, type Db } from "./db.ts";
import { asJson } from "./json.ts";
import { countsInsert, dropOldHours, hoursOf, type MinuteCounts, MINUTES_DAYS } from "./metrics.ts";

export interface LogLineRecord {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | null;
}

/** One invocation that is over. */
export interface ExecutionRecord {
  readonly id: string;
  /** The client's own id of the request; it may be anybody's. */
  readonly requestId: string | null;
  readonly functionId: string;
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
  readonly triggerType: TriggerType;
  readonly status: ExecutionStatus;
  readonly statusCode: number | null;
  readonly durationMs: number;
  readonly queueMs: number;
  readonly coldStart: boolean;
  readonly method: string;
  readonly path: string;
  readonly userId: string | null;
  readonly errorMessage: string | null;
  readonly errorCode: ErrorCode | null;
  readonly errorStack: string | null;
  readonly startedAtMs: number;
  /** The server that ran it. */
  readonly node: string;
  /** Null where it was over before anybody looked at its sandbox. */
  readonly cpuMs: number | null;
  readonly memoryMiB: number | null;
  /** Of bodies. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** From the start to the head of the answer; null where nothing was answered. */
  readonly firstByteMs: number | null;
  readonly logs: readonly LogLineRecord[];
}

/** A line that a function wrote outside any request. */
export interface FunctionLineRecord extends LogLineRecord {
  readonly functionId: string;
}

/** What is written together, once. */
export interface ExecutionBatch {
  /** Of a batch that is offered again it is the same. */
  readonly id: string;
  readonly records: readonly ExecutionRecord[];
  readonly lines: readonly FunctionLineRecord[];
  /** At most one of a function, version, trigger and minute, in the order of all servers. */
  readonly minutes: readonly MinuteCounts[];
}

/**
 * One statement: nobody sees one part without the others, and a batch is one round trip. A batch that is written already
 * is left as it is: whoever got no answer may offer it again.
 */
export async function insertBatch(db: Db, { id, records, lines, minutes }: ExecutionBatch): Promise<void> {
  const rows = records.map(({ logs: _, ...record }) => record);
  const lineRows: LineRow[] = [
    ...records.flatMap(({ id, functionId, startedAtMs, logs }) =>
      logs.map((line, index) => ({ id, functionId, startedAtMs, lineNumber: index + 1, ...line }))
    ),
    ...lines.map((line, index) => ({ id: null, startedAtMs: line.atMs, lineNumber: index + 1, ...line })),
  ];
  await sql`
    with batch as (insert into fluxbase.execution_batches (id) values (${id}) on conflict do nothing returning id)
    ${
    sql.join([
      ...rows.length > 0 ? [sql`, executions as (${rowsInsert(rows)})`] : [],
      ...lineRows.length > 0 ? [sql`, execution_logs as (${linesInsert(lineRows)})`] : [],
      ...minutes.length > 0
        ? [
          sql`, minutes as (${countsInsert("minute", minutes)})`,
          sql`, hours as (${countsInsert("hour", hoursOf(minutes))})`,
        ]
        : [],
    ], sql``)
  }
    select`.execute(db);
}

function rowsInsert(rows: readonly object[]): RawBuilder<unknown> {
  return sql`
    insert into fluxbase.executions
      (id, request_id, function_id, function_name, namespace, version, trigger_type, status, status_code, duration_ms, queue_ms,
       cold_start, method, path, user_id, error_message, error_code, error_stack, started_at, completed_at,
       node, cpu_ms, memory_mib, bytes_in, bytes_out, first_byte_ms)
    select entry."id", "requestId", "functionId", "functionName", "namespace", "version", "triggerType", "status", "statusCode", "durationMs", "queueMs",
           "coldStart", "method", "path", "userId", "errorMessage", "errorCode", "errorStack",
           to_timestamp("startedAtMs" / 1000), to_timestamp(("startedAtMs" + "durationMs") / 1000),
           "node", "cpuMs", "memoryMiB", "bytesIn", "bytesOut", "firstByteMs"
      from batch, json_to_recordset(${asJson(rows)}::json) as entry (
        "id" text, "requestId" text, "functionId" uuid, "functionName" text, "namespace" text, "version" int4, "triggerType" text,
        "status" text, "statusCode" int4, "durationMs" float8, "queueMs" float8, "coldStart" bool, "method" text,
        "path" text, "userId" text, "errorMessage" text, "errorCode" text, "errorStack" text, "startedAtMs" float8,
        "node" text, "cpuMs" float8, "memoryMiB" float8, "bytesIn" int8, "bytesOut" int8, "firstByteMs" float8)`;
}

interface LineRow extends LogLineRecord {
  readonly id: string | null;
  readonly functionId: string;
  readonly startedAtMs: number;
  readonly lineNumber: number;
}

function linesInsert(lines: readonly LineRow[]): RawBuilder<unknown> {
  return sql`
    insert into fluxbase.execution_logs (execution_id, function_id, started_at, line_number, logged_at, level, message, fields)
    select entry."id", "functionId", to_timestamp("startedAtMs" / 1000), "lineNumber", to_timestamp("atMs" / 1000), "level", "message", "fields"
      from batch, json_to_recordset(${asJson(lines)}::json) as entry (
        "id" text, "functionId" uuid, "startedAtMs" float8, "lineNumber" int4, "atMs" float8, "level" text,
        "message" text, "fields" jsonb)`;
}

export interface StoredExecution
  extends Omit<ExecutionRecord, "logs" | "startedAtMs" | "node" | "bytesIn" | "bytesOut"> {
  /** Null for what was recorded before these were. */
  readonly node: string | null;
  readonly bytesIn: number | null;
  readonly bytesOut: number | null;
  readonly startedAt: Date;
  readonly completedAt: Date | null;
  /** All lines as one text. */
  readonly logText: string;
}

export interface ExecutionFilter {
  readonly functionId?: string;
  readonly functionName?: string;
  readonly namespace?: string;
  /** The client's own. */
  readonly requestId?: string;
  readonly status?: ExecutionStatus;
  readonly since?: Date;
}

/** Newest first. */
export async function listExecutions(
  db: Db,
  filter: ExecutionFilter & { readonly limit: number; readonly offset: number },
): Promise<StoredExecution[]> {
  const { rows } = await sql<StoredExecution>`
    select id, request_id as "requestId", function_id as "functionId", function_name as "functionName", namespace, version, trigger_type as "triggerType",
           status, status_code as "statusCode", duration_ms as "durationMs", queue_ms as "queueMs", cold_start as "coldStart",
           method, path, user_id as "userId", error_message as "errorMessage", error_code as "errorCode", error_stack as "errorStack",
           started_at as "startedAt", completed_at as "completedAt",
           node, cpu_ms as "cpuMs", memory_mib as "memoryMiB", bytes_in::float8 as "bytesIn", bytes_out::float8 as "bytesOut",
           first_byte_ms as "firstByteMs",
           coalesce((select string_agg(l.message, E'\n' order by l.line_number) from fluxbase.execution_logs l
                      where l.execution_id = e.id and l.started_at = e.started_at and l.function_id = e.function_id), '') as "logText"
      from fluxbase.executions e
     where ${matching(filter)}
     order by started_at desc
     limit ${filter.limit} offset ${filter.offset}`.execute(db);
  return rows;
}

export async function countExecutions(db: Db, filter: ExecutionFilter): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count from fluxbase.executions where ${matching(filter)}`.execute(db);
  return rows[0]?.count ?? 0;
}

function matching(
  { functionId, functionName, namespace, requestId, status, since }: ExecutionFilter,
): RawBuilder<unknown> {
  const conditions: RawBuilder<unknown>[] = [sql`true`];
  if (functionId !== undefined) conditions.push(sql`function_id = ${functionId}`);
  if (functionName !== undefined) conditions.push(sql`function_name = ${functionName}`);
  if (namespace !== undefined) conditions.push(sql`namespace = ${namespace}`);
  if (requestId !== undefined) conditions.push(sql`(request_id = ${requestId} or id = ${requestId})`);
  if (status !== undefined) conditions.push(sql`status = ${status}`);
  if (since !== undefined) conditions.push(sql`started_at >= ${since}`);
  return sql.join(conditions, sql` and `);
}

/** The newest one with this id: ids of old ones were chosen by clients, who may have used one twice. */
export async function findExecution(
  db: Db,
  id: string,
): Promise<{ readonly functionId: string; readonly executionId: string; readonly startedAt: Date } | undefined> {
  return await db.selectFrom("fluxbase.executions")
    .select(["function_id as functionId", "id as executionId", "started_at as startedAt"])
    .where("id", "=", id).orderBy("started_at", "desc").limit(1).executeTakeFirst();
}

export interface StoredLogLine {
  /** Null for a line that was written outside any request. */
  readonly executionId: string | null;
  readonly lineNumber: number;
  readonly loggedAt: Date;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | null;
}

export interface LogFilter {
  readonly functionId: string;
  readonly level?: LogLevel;
  readonly since?: Date;
  /** Its own, or the one that the client brought with the request. */
  readonly executionId?: string;
  /** Start of that execution. */
  readonly startedAt?: Date;
  readonly afterLine?: number;
  readonly limit: number;
}

/** Newest first; of one execution after a line: the lines that follow it, in no order that matters. */
export async function listLogLines(db: Db, filter: LogFilter): Promise<StoredLogLine[]> {
  let query = db.selectFrom("fluxbase.execution_logs")
    .select([
      "execution_id as executionId",
      "line_number as lineNumber",
      "logged_at as loggedAt",
      "level",
      "message",
      "fields",
    ])
    .where("function_id", "=", filter.functionId);
  if (filter.level !== undefined) query = query.where("level", "=", filter.level);
  if (filter.since !== undefined) query = query.where("logged_at", ">=", filter.since);
  const { executionId } = filter;
  if (executionId !== undefined) {
    const brought = db.selectFrom("fluxbase.executions").select("id")
      .where("request_id", "=", executionId).where("function_id", "=", filter.functionId);
    query = query.where(({ eb, or }) => or([eb("execution_id", "=", executionId), eb("execution_id", "in", brought)]));
  }
  if (filter.startedAt !== undefined) query = query.where("started_at", "=", filter.startedAt);
  if (filter.afterLine === undefined) {
    query = query.orderBy("logged_at", "desc").orderBy("line_number", "desc");
  } else {
    query = query.where("line_number", ">", filter.afterLine).orderBy("line_number");
  }
  return await query.limit(filter.limit).execute();
}

/** Makes the partitions of today and the next days. */
export async function ensurePartitions(db: Db, today: Date, dayCount: number): Promise<void> {
  for (let index = 0; index < dayCount; index += 1) {
    const day = new Date(today.getTime() + index * 86_400_000).toISOString().slice(0, 10);
    await sql`select fluxbase.ensure_partition('executions', ${day}::date), fluxbase.ensure_partition('execution_logs', ${day}::date),
                     fluxbase.ensure_partition('execution_minutes', ${day}::date)`.execute(db);
  }
}

const CHECK_VIOLATION = "23514";

/**
 * Whether rows are of a day that has no partition. Postgres has no code for that alone, and its text is in the language
 * of the server; a check of a table that fails is named.
 */
export function isMissingPartition(error: unknown): boolean {
  return codeOf(error) === CHECK_VIOLATION && Reflect.get(Object(error), "constraint") === undefined;
}

const LOCK_NOT_AVAILABLE = "55P03";
/** Whoever reads while a drop waits for its lock waits behind it. */
const DROP_LOCK_MS = 100;

export interface Dropped {
  readonly count: number;
  /** Somebody reads them: to be tried again. */
  readonly heldCount: number;
}

/** Drops what is older than the retention, and counts that are older than theirs. */
export async function dropOldExecutions(db: Database["db"], before: Date, now: Date): Promise<Dropped> {
  const day = before.toISOString().slice(0, 10);
  const minutesDay = new Date(now.getTime() - MINUTES_DAYS * 86_400_000).toISOString().slice(0, 10);
  const { rows } = await sql<{ name: string }>`
    select child.relname as name
      from pg_inherits
      join pg_class child on child.oid = pg_inherits.inhrelid
      join (values ('fluxbase.executions'::regclass, ${day}::date), ('fluxbase.execution_logs'::regclass, ${day}::date),
                   ('fluxbase.execution_minutes'::regclass, ${minutesDay}::date)) as parent (oid, day) on parent.oid = inhparent
     where right(child.relname, 8) < to_char(parent.day, 'YYYYMMDD')`.execute(db);
  let heldCount = 0;
  for (const { name } of rows) if (!await dropPartition(db, name)) heldCount += 1;
  await dropOldHours(db, now);
  await sql`delete from fluxbase.execution_batches where written_at < ${day}::date`.execute(db);
  return { count: rows.length - heldCount, heldCount };
}

/** Each in a transaction of its own: its lock on the whole table ends with it. False: somebody reads it. */
async function dropPartition(db: Database["db"], name: string): Promise<boolean> {
  try {
    await db.transaction().execute(async (trx) => {
      await sql`select set_config('lock_timeout', ${`${DROP_LOCK_MS}ms`}, true)`.execute(trx);
      await sql`drop table if exists ${sql.table(`fluxbase.${name}`)}`.execute(trx);
    });
    return true;
  } catch (error) {
    if (codeOf(error) === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}

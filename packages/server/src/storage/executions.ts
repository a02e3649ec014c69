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
  /** The task that it was an attempt of. */
  readonly taskId: string | null;
  readonly taskAttempt: number | null;
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
  /** Of the trace that it belongs to; null where nobody traced it. */
  readonly traceId: string | null;
  /** Null where it was over before anybody looked at its sandbox. */
  readonly cpuMs: number | null;
  readonly memoryMiB: number | null;
  /** Of bodies. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** From the start to the head of the answer; null where nothing was answered. */
  readonly firstByteMs: number | null;
  /** The execution that made it. */
  readonly parentId?: string | null;
  readonly details?: ExecutionFacts | null;
  /** Those that were not written while it ran. */
  readonly logs: readonly LogLineRecord[];
  /** So many were. */
  readonly linesBefore?: number;
}

/** More of an execution, for who looks at it; milliseconds count from its start. */
export interface ExecutionFacts {
  readonly caller: { readonly kind: string; readonly role: string | null; readonly keyId: string | null };
  /** The execution that it ran again. */
  readonly replayOf?: string;
  readonly timeoutMs: number;
  readonly memoryMiB: number;
  /** Absent when none ever got it. */
  readonly sandbox?: { readonly ageMs: number; readonly ordinal: number };
  /** Absent when its sandbox was there. */
  readonly cold?: { readonly beganMs: number; readonly spawnedMs: number; readonly loadedMs: number };
}

/** A line that a function wrote outside any request, or in one that goes on. */
export interface FunctionLineRecord extends LogLineRecord {
  readonly functionId: string;
  readonly of?: LineOfExecution;
}

export interface LineOfExecution {
  readonly executionId: string;
  readonly startedAtMs: number;
  /** From 1. */
  readonly lineNumber: number;
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
    ...records.flatMap(({ id, functionId, startedAtMs, logs, linesBefore = 0 }) =>
      logs.map((line, index) => ({ id, functionId, startedAtMs, lineNumber: linesBefore + index + 1, ...line }))
    ),
    ...lines.map(({ of, ...line }, index) => ({
      id: of?.executionId ?? null,
      startedAtMs: of?.startedAtMs ?? line.atMs,
      lineNumber: of?.lineNumber ?? index + 1,
      ...line,
    })),
  ];
  const seq = lineRows.length === 0 ? sql`null` : sql`nextval('fluxbase.log_batch_seq')`;
  await sql`
    with batch as (insert into fluxbase.execution_batches (id, seq) values (${id}, ${seq}) on conflict do nothing returning seq)
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
       node, cpu_ms, memory_mib, bytes_in, bytes_out, first_byte_ms, trace_id, task_id, task_attempt, parent_id, details)
    select entry."id", "requestId", "functionId", "functionName", "namespace", "version", "triggerType", "status", "statusCode", "durationMs", "queueMs",
           "coldStart", "method", "path", "userId", "errorMessage", "errorCode", "errorStack",
           to_timestamp("startedAtMs" / 1000), to_timestamp(("startedAtMs" + "durationMs") / 1000),
           "node", "cpuMs", "memoryMiB", "bytesIn", "bytesOut", "firstByteMs", "traceId", "taskId", "taskAttempt",
           "parentId", "details"
      from batch, json_to_recordset(${asJson(rows)}::json) as entry (
        "id" text, "requestId" text, "functionId" uuid, "functionName" text, "namespace" text, "version" int4, "triggerType" text,
        "status" text, "statusCode" int4, "durationMs" float8, "queueMs" float8, "coldStart" bool, "method" text,
        "path" text, "userId" text, "errorMessage" text, "errorCode" text, "errorStack" text, "startedAtMs" float8,
        "node" text, "cpuMs" float8, "memoryMiB" float8, "bytesIn" int8, "bytesOut" int8, "firstByteMs" float8,
        "traceId" text, "taskId" uuid, "taskAttempt" int4, "parentId" text, "details" jsonb)`;
}

interface LineRow extends LogLineRecord {
  readonly id: string | null;
  readonly functionId: string;
  readonly startedAtMs: number;
  readonly lineNumber: number;
}

function linesInsert(lines: readonly LineRow[]): RawBuilder<unknown> {
  return sql`
    insert into fluxbase.execution_logs (execution_id, function_id, started_at, line_number, logged_at, level, message, fields, batch_seq)
    select entry."id", "functionId", to_timestamp("startedAtMs" / 1000), "lineNumber", to_timestamp("atMs" / 1000), "level", "message", "fields", batch.seq
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
  readonly startedAtUs: string;
  readonly completedAt: Date | null;
  /** All lines as one text. */
  readonly logText: string;
}

export interface ExecutionFilter {
  readonly id?: string;
  /** Made by this execution. */
  readonly parentId?: string;
  readonly functionId?: string;
  readonly functionName?: string;
  readonly namespace?: string;
  /** The client's own. */
  readonly requestId?: string;
  readonly version?: number;
  readonly status?: ExecutionStatus;
  readonly statusCode?: number;
  readonly errorCode?: ErrorCode;
  readonly userId?: string;
  readonly triggerType?: string;
  readonly traceId?: string;
  /** Those whose request was kept, or those whose was not. */
  readonly isCaptured?: boolean;
  /** In the message of its error, in any case of letters. */
  readonly text?: string;
  readonly since?: Date;
  readonly until?: Date;
}

/** Where a page ends: the next one begins after it. */
export interface ExecutionMark {
  readonly startedAtUs: string;
  readonly id: string;
}

/** Newest first. Costs what the page costs, however far it is, unless there is an offset. */
export async function listExecutions(
  db: Db,
  filter: ExecutionFilter & { readonly limit: number; readonly offset: number; readonly after?: ExecutionMark },
): Promise<StoredExecution[]> {
  const { after, limit, offset } = filter;
  const further = after === undefined
    ? sql``
    : sql`and (started_at, id) < (${instantOf(after.startedAtUs)}, ${after.id})`;
  const { rows } = await sql<StoredExecution>`
    select id, request_id as "requestId", function_id as "functionId", function_name as "functionName", namespace, version, trigger_type as "triggerType",
           status, status_code as "statusCode", duration_ms as "durationMs", queue_ms as "queueMs", cold_start as "coldStart",
           method, path, user_id as "userId", error_message as "errorMessage", error_code as "errorCode", error_stack as "errorStack",
           started_at as "startedAt", ${microsecondsOf("started_at")} as "startedAtUs", completed_at as "completedAt",
           node, cpu_ms as "cpuMs", memory_mib as "memoryMiB", bytes_in::float8 as "bytesIn", bytes_out::float8 as "bytesOut",
           first_byte_ms as "firstByteMs", trace_id as "traceId", task_id as "taskId", task_attempt as "taskAttempt",
           parent_id as "parentId", details,
           coalesce((select string_agg(l.message, E'\n' order by l.line_number) from fluxbase.execution_logs l
                      where l.execution_id = e.id and l.started_at = e.started_at and l.function_id = e.function_id), '') as "logText"
      from fluxbase.executions e
     where ${matching(filter)} ${further}
     order by started_at desc, id desc
     limit ${limit} offset ${offset}`.execute(db);
  return rows;
}

/** More than so many are not counted one by one: that takes the longer the more there are. */
export const COUNTED_MAX_COUNT = 10_000;

/** At most one more than COUNTED_MAX_COUNT. */
export async function countExecutions(db: Db, filter: ExecutionFilter): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count
      from (select from fluxbase.executions where ${matching(filter)} limit ${COUNTED_MAX_COUNT + 1}) as counted`
    .execute(db);
  return rows[0]?.count ?? 0;
}

/** Statuses are part of the text: the planner has to see which of the indexes of failures answers them. */
function matching(filter: ExecutionFilter): RawBuilder<unknown> {
  const { functionId, functionName, namespace, requestId, version, status, statusCode, since, until } = filter;
  const { id, parentId, errorCode, userId, triggerType, traceId, isCaptured, text } = filter;
  const conditions: RawBuilder<unknown>[] = [sql`true`];
  if (id !== undefined) conditions.push(sql`id = ${id}`);
  if (parentId !== undefined) conditions.push(sql`parent_id = ${parentId}`);
  if (functionId !== undefined) conditions.push(sql`function_id = ${functionId}`);
  if (functionName !== undefined) conditions.push(sql`function_name = ${functionName}`);
  if (namespace !== undefined) conditions.push(sql`namespace = ${namespace}`);
  if (requestId !== undefined) conditions.push(sql`(request_id = ${requestId} or id = ${requestId})`);
  if (version !== undefined) conditions.push(sql`version = ${version}`);
  if (status !== undefined) conditions.push(sql`status = ${sql.lit(status)}`);
  if (statusCode !== undefined) conditions.push(sql`status_code = ${statusCode}`);
  if (errorCode !== undefined) conditions.push(sql`error_code = ${errorCode}`);
  if (userId !== undefined) conditions.push(sql`user_id = ${userId}`);
  if (triggerType !== undefined) conditions.push(sql`trigger_type = ${triggerType}`);
  if (traceId !== undefined) conditions.push(sql`trace_id = ${traceId}`);
  if (isCaptured !== undefined) {
    const kept = sql`select execution_id from fluxbase.execution_captures
      where ${functionId === undefined ? sql`true` : sql`function_id = ${functionId}`}`;
    conditions.push(isCaptured ? sql`id in (${kept})` : sql`id not in (${kept})`);
  }
  if (text !== undefined) conditions.push(sql`error_message ilike ${containing(text)}`);
  if (since !== undefined) conditions.push(sql`started_at >= ${since}`);
  if (until !== undefined) conditions.push(sql`started_at < ${until}`);
  return sql.join(conditions, sql` and `);
}

/** A pattern of LIKE that takes the text as it is. */
function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, "\\$&")}%`;
}

/** A Date has milliseconds only, and two rows of one millisecond must not be taken for the same. */
function microsecondsOf(column: string): RawBuilder<string> {
  return sql`(extract(epoch from ${sql.ref(column)}) * 1000000)::int8::text`;
}

function instantOf(microseconds: string): RawBuilder<Date> {
  return sql`(timestamptz 'epoch' + ${microseconds}::int8 * interval '1 microsecond')`;
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
  readonly functionId: string;
  /** Null for a function that is gone for good. */
  readonly functionName: string | null;
  readonly namespace: string | null;
  readonly lineNumber: number;
  /** Null for what was written before batches had numbers. */
  readonly batchSeq: string | null;
  readonly loggedAt: Date;
  readonly loggedAtUs: string;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | null;
}

export interface LogFilter {
  readonly functionId?: string;
  readonly namespace?: string;
  readonly functionName?: string;
  readonly level?: LogLevel;
  readonly since?: Date;
  readonly until?: Date;
  /** In the message, in any case of letters. */
  readonly text?: string;
  /** Its own, or the one that the client brought with the request. */
  readonly executionId?: string;
  readonly limit: number;
}

export interface LogMark {
  readonly loggedAtUs: string;
  readonly executionId: string;
  readonly lineNumber: number;
}

const LOG_LINE = sql`
  l.execution_id as "executionId", l.function_id as "functionId", f.name as "functionName", f.namespace, l.line_number as "lineNumber", l.batch_seq as "batchSeq",
  l.logged_at as "loggedAt", ${microsecondsOf("l.logged_at")} as "loggedAtUs", l.level, l.message, l.fields`;

/** Newest first. */
export async function listLogLines(
  db: Db,
  filter: LogFilter & { readonly after?: LogMark | undefined },
): Promise<StoredLogLine[]> {
  const { functionId, namespace, functionName, level, since, until, text, executionId, after, limit } = filter;
  const conditions: RawBuilder<unknown>[] = [sql`true`];
  if (functionId !== undefined) conditions.push(sql`function_id = ${functionId}`);
  if (namespace !== undefined || functionName !== undefined) {
    const named = [
      ...namespace === undefined ? [] : [sql`namespace = ${namespace}`],
      ...functionName === undefined ? [] : [sql`name = ${functionName}`],
    ];
    conditions.push(
      sql`function_id = any (array(select id from fluxbase.functions where ${sql.join(named, sql` and `)}))`,
    );
  }
  if (level !== undefined) conditions.push(sql`level = ${sql.lit(level)}`);
  if (since !== undefined) conditions.push(sql`logged_at >= ${since}`);
  if (until !== undefined) conditions.push(sql`logged_at < ${until}`);
  if (text !== undefined) conditions.push(sql`message ilike ${containing(text)}`);
  if (executionId !== undefined) {
    conditions.push(
      sql`(execution_id = ${executionId} or execution_id in (
             select id from fluxbase.executions where request_id = ${executionId}
               ${functionId === undefined ? sql`` : sql`and function_id = ${functionId}`}))`,
    );
  }
  if (after !== undefined) {
    conditions.push(
      sql`(logged_at, coalesce(execution_id, ''), line_number) < (${
        instantOf(after.loggedAtUs)
      }, ${after.executionId}, ${after.lineNumber})`,
    );
  }
  const { rows } = await sql<StoredLogLine>`
    select ${LOG_LINE}
      from (select execution_id, function_id, line_number, batch_seq, logged_at, level, message, fields from fluxbase.execution_logs where ${
    sql.join(conditions, sql` and `)
  }
             order by logged_at desc, coalesce(execution_id, '') desc, line_number desc limit ${limit}) as l
      left join fluxbase.functions f on f.id = l.function_id
     order by l.logged_at desc, coalesce(l.execution_id, '') desc, l.line_number desc`.execute(db);
  return rows;
}

/** In their order, those after a line. */
export async function listLinesOfExecution(
  db: Db,
  { functionId, executionId, startedAt, afterLine, limit }: {
    readonly functionId: string;
    readonly executionId: string;
    readonly startedAt: Date;
    readonly afterLine: number;
    readonly limit: number;
  },
): Promise<StoredLogLine[]> {
  const { rows } = await sql<StoredLogLine>`
    select ${LOG_LINE}
      from fluxbase.execution_logs l left join fluxbase.functions f on f.id = l.function_id
     where l.execution_id = ${executionId} and l.function_id = ${functionId} and l.started_at = ${startedAt}
       and l.line_number > ${afterLine}
     order by l.line_number limit ${limit}`.execute(db);
  return rows;
}

/** Batches with lines that were written lately, and that are not among those that are known. */
export async function listNewBatches(db: Db, known: readonly string[], withinSec: number): Promise<string[]> {
  const { rows } = await sql<{ seq: string }>`
    select seq from fluxbase.execution_batches
     where written_at > now() - ${withinSec} * interval '1 second' and seq is not null
       and seq <> all (${known}::int8[])`.execute(db);
  return rows.map(({ seq }) => seq);
}

/** The newest lines of some batches, oldest first, and how many there are beside them. */
export async function listLinesOfBatches(
  db: Db,
  { batches, functionIds, limit, maxBytes }: {
    readonly batches: readonly string[];
    /** Undefined: of all functions. */
    readonly functionIds: readonly string[] | undefined;
    readonly limit: number;
    /** Of their messages. */
    readonly maxBytes: number;
  },
): Promise<{ readonly lines: readonly StoredLogLine[]; readonly moreCount: number }> {
  const { rows } = await sql<StoredLogLine & { total: number }>`
    select ${LOG_LINE}, total
      from (select *, count(*) over ()::float8 as total,
                   sum(octet_length(message)) over (order by logged_at desc, execution_id, line_number desc) as bytes
              from fluxbase.execution_logs
             where batch_seq = any (${batches}::int8[])
               ${functionIds === undefined ? sql`` : sql`and function_id = any (${functionIds}::uuid[])`}
             order by logged_at desc, execution_id, line_number desc limit ${limit}) as l
      left join fluxbase.functions f on f.id = l.function_id
     where l.bytes <= ${maxBytes}
     order by l.logged_at, l.execution_id, l.line_number`.execute(db);
  return { lines: rows, moreCount: Math.max(0, (rows[0]?.total ?? 0) - rows.length) };
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

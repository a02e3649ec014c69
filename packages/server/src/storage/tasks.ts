/**
 * Statements about tasks: requests to run a function that are kept until they are answered or given up.
 *
 * Who claims one holds it for a lease. What became of an attempt is only taken from who still holds it.
 *
 * @module
 */
import type { ErrorCode, TaskState, TriggerType } from "@fluxbase/contract";
import { sql } from "kysely";
import type { Db } from "./db.ts";
import { asJson } from "./json.ts";
import type { TaskCaller } from "./schema.ts";

/** Wakes servers that have room, and those that run a task that was cancelled. */
export const TASKS_CHANNEL = "fluxbase_tasks";

export interface NewTask {
  readonly id: string;
  readonly functionId: string;
  readonly triggerType: TriggerType;
  /** Of the schedule or hook. */
  readonly sourceId: string | null;
  readonly caller: TaskCaller;
  readonly method: string;
  /** Path and query as the function sees them. */
  readonly url: string;
  /** What of the path follows the function's own. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  /** Of tasks of one function with the same key there is one, for a day. */
  readonly dedupeKey: string | null;
  /** Null: at once. */
  readonly runAt: Date | null;
  readonly retries: number;
  /** The execution that made it. */
  readonly parentId?: string | null;
  readonly createdBy: string | null;
}

const DEDUPE_HOURS = 24;
const DEDUPE_TRIES = 3;

/** @returns the id under which it is kept: that of the task before it with the same key, if there is one */
export async function insertTask(db: Db, task: NewTask): Promise<string> {
  for (let tries = 0; tries < DEDUPE_TRIES; tries += 1) {
    const row = await db.insertInto("fluxbase.tasks").values({
      id: task.id,
      function_id: task.functionId,
      trigger_type: task.triggerType,
      source_id: task.sourceId,
      caller: JSON.stringify(task.caller),
      method: task.method,
      url: task.url,
      path: task.path,
      headers: JSON.stringify(task.headers),
      body: task.body,
      dedupe_key: task.dedupeKey,
      run_at: task.runAt ?? sql<Date>`now()`,
      retries: task.retries,
      parent_id: task.parentId ?? null,
      created_by: task.createdBy,
    }).onConflict((conflict) =>
      conflict.columns(["function_id", "dedupe_key"]).where("dedupe_key", "is not", null).doNothing()
    ).returning("id").executeTakeFirst();
    if (row !== undefined) return row.id;
    const known = await db.selectFrom("fluxbase.tasks").select("id")
      .where("function_id", "=", task.functionId).where("dedupe_key", "=", task.dedupeKey)
      .where("created_at", ">", sql<Date>`now() - make_interval(hours => ${DEDUPE_HOURS})`).executeTakeFirst();
    if (known !== undefined) return known.id;
    await db.updateTable("fluxbase.tasks").set({ dedupe_key: null })
      .where("function_id", "=", task.functionId).where("dedupe_key", "=", task.dedupeKey)
      .where("created_at", "<=", sql<Date>`now() - make_interval(hours => ${DEDUPE_HOURS})`).execute();
  }
  throw new Error(`Cannot store task ${task.id}: its key is taken and given up again all the time`);
}

/** Those of nobody who waits for an answer; they have no keys. */
export async function insertTasks(db: Db, tasks: readonly NewTask[]): Promise<void> {
  if (tasks.length === 0) return;
  const rows = tasks.map(({ body, runAt, ...task }) => ({
    ...task,
    body: body?.toBase64() ?? null,
    runAt: runAt?.toISOString() ?? null,
  }));
  await sql`
    insert into fluxbase.tasks
      (id, function_id, trigger_type, source_id, caller, method, url, path, headers, body, run_at, retries, created_by)
    select n."id", n."functionId", n."triggerType", n."sourceId", n."caller", n."method", n."url", n."path", n."headers",
           decode(n."body", 'base64'), coalesce(n."runAt", now()), n."retries", n."createdBy"
      from json_to_recordset(${asJson(rows)}::json) as n (
        "id" uuid, "functionId" uuid, "triggerType" text, "sourceId" text, "caller" jsonb, "method" text, "url" text,
        "path" text, "headers" jsonb, "body" text, "runAt" timestamptz, "retries" int4, "createdBy" text)`.execute(db);
}

/** Other servers may have room. */
export async function announceTasks(db: Db): Promise<void> {
  await sql`select pg_notify(${TASKS_CHANNEL}, '')`.execute(db);
}

/** What an attempt needs. */
export interface ClaimedTask {
  readonly id: string;
  readonly functionId: string;
  readonly triggerType: TriggerType;
  readonly sourceId: string | null;
  readonly caller: TaskCaller;
  readonly method: string;
  readonly url: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer> | null;
  readonly retries: number;
  readonly parentId: string | null;
  /** 1 for the first. */
  readonly attempt: number;
  readonly runAt: Date;
}

export interface ClaimOptions {
  readonly node: string;
  readonly roomCount: number;
  readonly leaseSec: number;
  /** Of a function that has no number of its own. */
  readonly concurrency: number;
}

/** Takes tasks that are due, one of each function before a second of any; gives those up whose server is gone. */
export async function claimTasks(
  db: Db,
  { node, roomCount, leaseSec, concurrency }: ClaimOptions,
): Promise<ClaimedTask[]> {
  const { rows } = await sql<ClaimedTask>`
    select id, function_id as "functionId", trigger_type as "triggerType", source_id as "sourceId", caller, method, url,
           path, headers, body, retries, parent_id as "parentId", attempts as attempt, run_at as "runAt"
      from fluxbase.claim_tasks(${node}, ${roomCount}, ${leaseSec}, ${concurrency})`.execute(db);
  return rows;
}

/** In milliseconds from now; null: none waits for its time. */
export async function nextTaskMs(db: Db): Promise<number | null> {
  const { rows } = await sql<{ ms: number | null }>`
    select (extract(epoch from min(run_at) - now()) * 1000)::float8 as ms
      from fluxbase.tasks where state = 'waiting' and run_at > now()`.execute(db);
  return rows[0]?.ms ?? null;
}

/** @returns the ids of those that are still this node's */
export async function renewLeases(
  db: Db,
  { node, ids, leaseSec }: { readonly node: string; readonly ids: readonly string[]; readonly leaseSec: number },
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    update fluxbase.tasks set lease_until = now() + make_interval(secs => ${leaseSec})
     where id = any(${ids}::uuid[]) and lease_node = ${node} and state = 'running' returning id`.execute(db);
  return rows.map(({ id }) => id);
}

export interface AttemptOutcome {
  readonly id: string;
  readonly attempt: number;
  readonly executionId: string | null;
  readonly state: "done" | "dead" | "waiting";
  /** Seconds until the next attempt of one that waits. */
  readonly inSec: number;
  /** The attempt did not begin, and is not one. */
  readonly isUncounted: boolean;
  readonly statusCode: number | null;
  readonly answerType: string | null;
  readonly answer: Uint8Array | null;
  readonly isCut: boolean;
  readonly error: string | null;
  readonly errorCode: ErrorCode | null;
}

/** Writes down what became of attempts; of those that this node holds no longer, nothing. */
export async function settleAttempts(db: Db, node: string, outcomes: readonly AttemptOutcome[]): Promise<void> {
  const rows = outcomes.map(({ answer, ...outcome }) => ({ ...outcome, answer: answer?.toBase64() ?? null }));
  await sql`
    update fluxbase.tasks t
       set state = o.state, finished_at = case when o.state <> 'waiting' then now() end,
           run_at = case when o.state = 'waiting' then now() + make_interval(secs => o."inSec") else t.run_at end,
           attempts = t.attempts - o."isUncounted"::int, lease_node = null, lease_until = null,
           execution_id = coalesce(o."executionId", t.execution_id), status_code = o."statusCode",
           answer_type = o."answerType", answer = decode(o.answer, 'base64'), answer_is_cut = o."isCut",
           error = o.error, error_code = o."errorCode"
      from json_to_recordset(${asJson(rows)}::json) as o (
        "id" uuid, "attempt" int4, "executionId" text, "state" text, "inSec" float8, "isUncounted" bool,
        "statusCode" int4, "answerType" text, "answer" text, "isCut" bool, "error" text, "errorCode" text)
     where t.id = o.id and t.attempts = o.attempt and t.lease_node = ${node} and t.state = 'running'`.execute(db);
}

export interface StoredTask {
  readonly id: string;
  readonly functionId: string;
  readonly functionName: string;
  readonly namespace: string;
  readonly state: TaskState;
  readonly triggerType: TriggerType;
  readonly sourceId: string | null;
  readonly caller: TaskCaller;
  readonly method: string;
  readonly url: string;
  readonly runAt: Date;
  readonly attempts: number;
  readonly retries: number;
  readonly executionId: string | null;
  readonly statusCode: number | null;
  readonly error: string | null;
  readonly errorCode: ErrorCode | null;
  readonly createdAt: Date;
  /** In microseconds since the epoch. */
  readonly createdAtUs: string;
  readonly createdBy: string | null;
  readonly finishedAt: Date | null;
}

export interface StoredTaskDetails extends StoredTask {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  readonly answerType: string | null;
  readonly answer: Uint8Array | null;
  readonly answerIsCut: boolean;
}

const COLUMNS = sql`
  t.id, t.function_id as "functionId", f.name as "functionName", f.namespace, t.state, t.trigger_type as "triggerType",
  t.source_id as "sourceId", t.caller, t.method, t.url, t.run_at as "runAt", t.attempts, t.retries,
  t.execution_id as "executionId", t.status_code as "statusCode", t.error, t.error_code as "errorCode",
  t.created_at as "createdAt", (extract(epoch from t.created_at) * 1000000)::int8::text as "createdAtUs",
  t.created_by as "createdBy", t.finished_at as "finishedAt"`;

export async function findTask(db: Db, id: string): Promise<StoredTaskDetails | undefined> {
  const { rows } = await sql<StoredTaskDetails>`
    select ${COLUMNS}, t.headers, t.body, t.answer_type as "answerType", t.answer, t.answer_is_cut as "answerIsCut"
      from fluxbase.tasks t join fluxbase.functions f on f.id = t.function_id where t.id = ${id}`.execute(db);
  return rows[0];
}

export interface TaskFilter {
  /** Null: all of them. */
  readonly namespaces: readonly string[] | null;
  readonly functionId?: string | undefined;
  readonly state?: TaskState | undefined;
  readonly triggerType?: string | undefined;
  readonly sourceId?: string | undefined;
  readonly before?: { readonly createdAtUs: string; readonly id: string } | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function listTasks(db: Db, filter: TaskFilter): Promise<StoredTask[]> {
  const conditions = [sql`true`];
  if (filter.namespaces !== null) conditions.push(sql`f.namespace = any(${filter.namespaces}::text[])`);
  if (filter.functionId !== undefined) conditions.push(sql`t.function_id = ${filter.functionId}`);
  if (filter.state !== undefined) conditions.push(sql`t.state = ${filter.state}`);
  if (filter.triggerType !== undefined) conditions.push(sql`t.trigger_type = ${filter.triggerType}`);
  if (filter.sourceId !== undefined) conditions.push(sql`t.source_id = ${filter.sourceId}`);
  if (filter.before !== undefined) {
    conditions.push(sql`(t.created_at, t.id) < (
      timestamptz 'epoch' + ${filter.before.createdAtUs}::int8 * interval '1 microsecond', ${filter.before.id}::uuid)`);
  }
  const { rows } = await sql<StoredTask>`
    select ${COLUMNS} from fluxbase.tasks t join fluxbase.functions f on f.id = t.function_id
     where ${sql.join(conditions, sql` and `)}
     order by t.created_at desc, t.id desc limit ${filter.limit}`.execute(db);
  return rows;
}

/** Of an execution, in the order in which it made them. */
export async function listTasksMadeBy(db: Db, parentId: string, limit: number): Promise<StoredTask[]> {
  const { rows } = await sql<StoredTask>`
    select ${COLUMNS} from fluxbase.tasks t join fluxbase.functions f on f.id = t.function_id
     where t.parent_id = ${parentId} order by t.created_at, t.id limit ${limit}`.execute(db);
  return rows;
}

/** A running one is told to stop. False: it is over. */
export async function cancelTask(db: Db, id: string): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    update fluxbase.tasks set state = 'cancelled', finished_at = now(), lease_until = null
     where id = ${id} and state in ('waiting', 'running')`.execute(db);
  if (numAffectedRows > 0n) await announceTasks(db);
  return numAffectedRows > 0n;
}

export interface WhichTasks {
  readonly id?: string;
  readonly functionId?: string;
  readonly states: readonly TaskState[];
}

/** As if they had never been tried. @returns how many */
export async function retryTasks(db: Db, { id, functionId, states }: WhichTasks): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    update fluxbase.tasks
       set state = 'waiting', attempts = 0, run_at = now(), finished_at = null, error = null, error_code = null
     where state = any(${states}::text[])
       and ${id === undefined ? sql`function_id = ${functionId}` : sql`id = ${id}`}`.execute(db);
  if (numAffectedRows > 0n) await announceTasks(db);
  return Number(numAffectedRows);
}

/** False: it is gone, or runs. */
export async function deleteTask(db: Db, id: string): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    delete from fluxbase.tasks where id = ${id} and state <> 'running'`.execute(db);
  return numAffectedRows > 0n;
}

/** What a deletion of a function takes along. @returns how many waited or ran */
export async function cancelTasksOf(db: Db, functionId: string): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    update fluxbase.tasks set state = 'cancelled', finished_at = now(), lease_until = null,
           error = 'the function was deleted'
     where function_id = ${functionId} and state in ('waiting', 'running')`.execute(db);
  if (numAffectedRows > 0n) await announceTasks(db);
  return Number(numAffectedRows);
}

/** Of these functions, those that have so many tasks waiting, or tasks with so many bytes. */
export async function listFullQueues(
  db: Db,
  functionIds: readonly string[],
  { maxCount, maxBytes }: { readonly maxCount: number; readonly maxBytes: number },
): Promise<string[]> {
  const { rows } = await sql<{ functionId: string }>`
    select function_id as "functionId" from fluxbase.tasks
     where state = 'waiting' and function_id = any(${functionIds}::uuid[])
     group by function_id
    having count(*) >= ${maxCount} or sum(coalesce(pg_column_size(body), 0)) >= ${maxBytes}`.execute(db);
  return rows.map(({ functionId }) => functionId);
}

export interface TaskCounts {
  readonly functionId: string;
  readonly state: TaskState;
  readonly count: number;
  /** Since the oldest that is due and waits could have begun. */
  readonly oldestSec: number;
}

export async function countTasks(db: Db): Promise<TaskCounts[]> {
  const { rows } = await sql<TaskCounts>`
    select function_id as "functionId", state, count(*)::int as count,
           coalesce(greatest(0, extract(epoch from now() - min(run_at) filter (where state = 'waiting'))), 0)::float8 as "oldestSec"
      from fluxbase.tasks where state in ('waiting', 'running', 'dead') group by function_id, state`.execute(db);
  return rows;
}

const PURGE_COUNT = 5_000;

/** Those that are over, after their days. */
export async function dropOldTasks(
  db: Db,
  { doneDays, deadDays }: { readonly doneDays: number; readonly deadDays: number },
): Promise<number> {
  let dropped = 0;
  for (;;) {
    const { numAffectedRows = 0n } = await sql`
      delete from fluxbase.tasks where id in (
        select id from fluxbase.tasks where finished_at < now() - make_interval(days =>
          case state when 'dead' then ${deadDays}::int else ${doneDays}::int end) limit ${PURGE_COUNT})`.execute(db);
    dropped += Number(numAffectedRows);
    if (numAffectedRows < BigInt(PURGE_COUNT)) return dropped;
  }
}

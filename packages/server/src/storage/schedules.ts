/**
 * Statements about schedules and their instants.
 *
 * Whose `look_at` is over is looked at by whichever server is first. Its clock does not matter: the time is the
 * database's.
 *
 * @module
 */
import type { CatchUp, Overlap, ScheduleSource, SkipReason, TaskState } from "@fluxbase/contract";
import { type RawBuilder, sql } from "kysely";
import type { Db } from "./db.ts";
import { asJson } from "./json.ts";

export const SCHEDULES_CHANNEL = "fluxbase_schedules";

/** Makes the schedules of a function those of its live version. Those of the API stay, also where one has the same name. */
export async function syncSchedules(db: Db, functionId: string): Promise<void> {
  await sql`
    with wanted as (
      select s.name, s.source, s.cron, s.time_zone, s.catch_up, s.overlap
        from fluxbase.functions f
        join fluxbase.versions v on v.function_id = f.id and v.number = f.live_version
       cross join jsonb_to_recordset(v.settings -> 'schedules')
               as s (name text, source text, cron text, time_zone text, catch_up text, overlap text)
       where f.id = ${functionId} and jsonb_typeof(v.settings -> 'schedules') = 'array'
    ), gone as (
      delete from fluxbase.schedules
       where function_id = ${functionId} and source <> 'api' and name not in (select name from wanted)
    )
    insert into fluxbase.schedules as s (function_id, name, source, cron, time_zone, catch_up, overlap)
    select ${functionId}, name, source, cron, time_zone, catch_up, overlap from wanted
    on conflict (function_id, name) do update
       set source = excluded.source, catch_up = excluded.catch_up, overlap = excluded.overlap,
           cron = excluded.cron, time_zone = excluded.time_zone,
           seen_until = case when (s.cron, s.time_zone) = (excluded.cron, excluded.time_zone) then s.seen_until else now() end,
           look_at = case when s.paused_at is null then now() end
     where s.source <> 'api' and (s.source, s.cron, s.time_zone, s.catch_up, s.overlap)
       is distinct from (excluded.source, excluded.cron, excluded.time_zone, excluded.catch_up, excluded.overlap)`
    .execute(db);
}

/** Of a function that is deleted: they come back when it does. */
export async function stopSchedules(db: Db, functionId: string): Promise<void> {
  await sql`update fluxbase.schedules set look_at = null where function_id = ${functionId}`.execute(db);
}

/** What was due while it was deleted is not made up for. */
export async function startSchedules(db: Db, functionId: string): Promise<void> {
  await sql`
    update fluxbase.schedules set look_at = now(), seen_until = now(), paused_at = null
     where function_id = ${functionId} and paused_at is null and (run_at is null or run_at > now())`.execute(db);
}

export interface StoredSchedule {
  readonly id: string;
  readonly functionId: string;
  readonly functionName: string;
  readonly namespace: string;
  readonly name: string;
  readonly source: ScheduleSource;
  readonly cron: string | null;
  readonly timeZone: string;
  readonly runAt: Date | null;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  readonly isPaused: boolean;
  readonly createdAt: Date;
  readonly createdBy: string | null;
}

const COLUMNS = sql`
  s.id, s.function_id as "functionId", f.name as "functionName", f.namespace, s.name, s.source, s.cron,
  s.time_zone as "timeZone", s.run_at as "runAt", s.catch_up as "catchUp", s.overlap,
  s.paused_at is not null as "isPaused", s.created_at as "createdAt", s.created_by as "createdBy"`;

/** By name. */
export async function listSchedules(db: Db, functionId: string): Promise<StoredSchedule[]> {
  const { rows } = await sql<StoredSchedule>`
    select ${COLUMNS} from fluxbase.schedules s join fluxbase.functions f on f.id = s.function_id
     where s.function_id = ${functionId} order by s.name`.execute(db);
  return rows;
}

/** By id or by name. */
export async function findSchedule(db: Db, functionId: string, which: string): Promise<StoredSchedule | undefined> {
  const { rows } = await sql<StoredSchedule>`
    select ${COLUMNS} from fluxbase.schedules s join fluxbase.functions f on f.id = s.function_id
     where s.function_id = ${functionId} and ${which} in (s.id::text, s.name)
     order by s.id::text = ${which} desc limit 1`.execute(db);
  return rows[0];
}

export interface ScheduleFields {
  readonly name: string;
  readonly cron: string | null;
  readonly timeZone: string;
  readonly runAt: Date | null;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  readonly isPaused: boolean;
}

/** A unique violation means that the name is taken. */
export async function insertSchedule(
  db: Db,
  functionId: string,
  { createdBy, ...fields }: ScheduleFields & { readonly createdBy: string | null },
): Promise<string> {
  const { rows } = await sql<{ id: string }>`
    insert into fluxbase.schedules
      (function_id, name, source, cron, time_zone, run_at, catch_up, overlap, paused_at, look_at, created_by)
    values (${functionId}, ${fields.name}, 'api', ${fields.cron}, ${fields.timeZone}, ${fields.runAt}, ${fields.catchUp},
      ${fields.overlap}, ${pausedAt(fields)}, ${lookAt(fields)}, ${createdBy})
    returning id`.execute(db);
  return rows[0]?.id ?? "";
}

/** It begins anew from now: what was due while it was paused, or by another rule, is not made up for. */
export async function updateSchedule(db: Db, id: string, fields: ScheduleFields): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    update fluxbase.schedules
       set name = ${fields.name}, cron = ${fields.cron}, time_zone = ${fields.timeZone}, run_at = ${fields.runAt},
           catch_up = ${fields.catchUp}, overlap = ${fields.overlap}, paused_at = ${pausedAt(fields)},
           look_at = ${lookAt(fields)}, seen_until = now()
     where id = ${id}`.execute(db);
  return numAffectedRows > 0n;
}

function pausedAt({ isPaused }: ScheduleFields): RawBuilder<unknown> {
  return isPaused ? sql`now()` : sql`null`;
}

function lookAt({ isPaused }: ScheduleFields): RawBuilder<unknown> {
  return isPaused ? sql`null` : sql`now()`;
}

export async function deleteSchedule(db: Db, id: string): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`delete from fluxbase.schedules where id = ${id}`.execute(db);
  return numAffectedRows > 0n;
}

export interface StoredTick {
  readonly scheduleId: string;
  readonly at: Date;
  readonly skipped: SkipReason | null;
  readonly taskId: string | null;
  readonly taskState: TaskState | null;
  readonly executionId: string | null;
  readonly statusCode: number | null;
  readonly error: string | null;
}

/** The last ones of each schedule, newest first. */
export async function listTicks(db: Db, scheduleIds: readonly string[], count: number): Promise<StoredTick[]> {
  const { rows } = await sql<StoredTick>`
    select k.schedule_id as "scheduleId", k.at, k.skipped, t.id as "taskId", t.state as "taskState",
           t.execution_id as "executionId", t.status_code as "statusCode", t.error
      from unnest(${scheduleIds}::uuid[]) as s (id)
     cross join lateral (select * from fluxbase.schedule_ticks where schedule_id = s.id order by at desc limit ${count}) k
      left join fluxbase.tasks t on t.id = k.task_id
     order by k.at desc`.execute(db);
  return rows;
}

export interface DueSchedule {
  readonly id: string;
  readonly functionId: string;
  readonly functionName: string;
  readonly name: string;
  readonly cron: string | null;
  readonly timeZone: string;
  readonly runAtMs: number | null;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  readonly seenUntilMs: number;
  /** As the live version has it; null: as usual. */
  readonly retries: number | null;
  /** Its function may be called. */
  readonly isCallable: boolean;
  /** The call of its last instant is not over. */
  readonly isBusy: boolean;
  /** Instants that wait for the one before them, ascending. */
  readonly waitingMs: readonly number[];
  /** The database's clock. */
  readonly nowMs: number;
}

/** Takes schedules to look at, which no other server gets before the transaction ends. */
export async function claimDueSchedules(trx: Db, count: number): Promise<DueSchedule[]> {
  const { rows } = await sql<DueSchedule>`
    with due as (
      select * from fluxbase.schedules where look_at <= clock_timestamp()
       order by look_at limit ${count} for update skip locked
    )
    select s.id, s.function_id as "functionId", f.name as "functionName", s.name, s.cron, s.time_zone as "timeZone",
           ${msOf(sql`s.run_at`)} as "runAtMs", s.catch_up as "catchUp", s.overlap, ${
    msOf(sql`s.seen_until`)
  } as "seenUntilMs",
           (v.settings ->> 'retries')::int as retries, f.enabled and f.deleted_at is null and f.live_version is not null as "isCallable",
           coalesce(t.state in ('waiting', 'running'), false) as "isBusy",
           array(select ${msOf(sql`k.at`)} from fluxbase.schedule_ticks k
                  where k.schedule_id = s.id and k.task_id is null and k.skipped is null order by k.at) as "waitingMs",
           ${msOf(sql`clock_timestamp()`)} as "nowMs"
      from due s
      join fluxbase.functions f on f.id = s.function_id
      left join fluxbase.versions v on v.function_id = f.id and v.number = f.live_version
      left join fluxbase.tasks t on t.id = s.last_task_id`.execute(trx);
  return rows;
}

function msOf(instant: RawBuilder<unknown>): RawBuilder<number> {
  return sql`(extract(epoch from ${instant}) * 1000)::float8`;
}

export interface NewTick {
  readonly scheduleId: string;
  readonly atMs: number;
  readonly taskId: string | null;
  readonly skipped: SkipReason | null;
}

/** @returns those that are new, as `${scheduleId} ${atMs}`; of others somebody has made a task already */
export async function insertTicks(trx: Db, ticks: readonly NewTick[]): Promise<Set<string>> {
  if (ticks.length === 0) return new Set();
  const { rows } = await sql<{ key: string }>`
    insert into fluxbase.schedule_ticks (schedule_id, at, task_id, skipped)
    select "scheduleId", to_timestamp("atMs" / 1000), "taskId", "skipped"
      from json_to_recordset(${asJson(ticks)}::json)
        as k ("scheduleId" uuid, "atMs" float8, "taskId" uuid, "skipped" text)
    on conflict (schedule_id, at) do nothing
    returning schedule_id || ' ' || (extract(epoch from at) * 1000)::int8 as key`.execute(trx);
  return new Set(rows.map(({ key }) => key));
}

/** Of instants that waited. */
export async function settleTicks(trx: Db, ticks: readonly NewTick[]): Promise<void> {
  if (ticks.length === 0) return;
  await sql`
    update fluxbase.schedule_ticks k set task_id = n."taskId", skipped = n."skipped"
      from json_to_recordset(${asJson(ticks)}::json)
        as n ("scheduleId" uuid, "atMs" float8, "taskId" uuid, "skipped" text)
     where k.schedule_id = n."scheduleId" and k.at = to_timestamp(n."atMs" / 1000)`.execute(trx);
}

export interface SeenSchedule {
  readonly id: string;
  readonly seenUntilMs: number;
  readonly lookAtMs: number | null;
  /** Null: as before. */
  readonly lastTaskId: string | null;
}

export async function moveSchedules(trx: Db, seen: readonly SeenSchedule[]): Promise<void> {
  await sql`
    update fluxbase.schedules s
       set seen_until = to_timestamp(n."seenUntilMs" / 1000), look_at = to_timestamp(n."lookAtMs" / 1000),
           last_task_id = coalesce(n."lastTaskId", s.last_task_id)
      from json_to_recordset(${asJson(seen)}::json)
        as n ("id" uuid, "seenUntilMs" float8, "lookAtMs" float8, "lastTaskId" uuid)
     where s.id = n."id"`.execute(trx);
}

export async function noteTask(db: Db, scheduleId: string, taskId: string): Promise<void> {
  await sql`update fluxbase.schedules set last_task_id = ${taskId} where id = ${scheduleId}`.execute(db);
}

/** In milliseconds from now; null: none is to be looked at. */
export async function nextLookMs(db: Db): Promise<number | null> {
  const { rows } = await sql<{ ms: number | null }>`
    select (extract(epoch from min(look_at) - clock_timestamp()) * 1000)::float8 as ms
      from fluxbase.schedules where look_at is not null`.execute(db);
  return rows[0]?.ms ?? null;
}

export interface ScheduleLag {
  readonly functionId: string;
  /** Since an instant of it should have been seen to; 0 when all are. */
  readonly lagSec: number;
}

export async function listScheduleLags(db: Db): Promise<ScheduleLag[]> {
  const { rows } = await sql<ScheduleLag>`
    select function_id as "functionId",
           greatest(0, extract(epoch from clock_timestamp() - min(look_at)))::float8 as "lagSec"
      from fluxbase.schedules where look_at is not null group by function_id`.execute(db);
  return rows;
}

/** Instants of so many days ago, and what has run once by then. */
export async function dropOldTicks(db: Db, days: number): Promise<void> {
  const before = sql`now() - make_interval(days => ${days})`;
  await sql`delete from fluxbase.schedule_ticks where at < ${before} and (task_id is not null or skipped is not null)`
    .execute(db);
  await sql`delete from fluxbase.schedules where source = 'api' and run_at < ${before} and look_at is null
    and paused_at is null`.execute(db);
}

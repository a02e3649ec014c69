/**
 * Statements about counts of calls by minute and by hour.
 *
 * Both are written together, so that neither has to be made of the other; minutes go after 14 days, hours after 400.
 *
 * @module
 */
import type { TriggerType } from "@fluxbase/contract";
import { type RawBuilder, sql } from "kysely";
import type { Db } from "./db.ts";
import { asJson } from "./json.ts";

export interface MinuteKey {
  readonly functionId: string;
  readonly version: number;
  /** Empty for what no single call is charged with. */
  readonly triggerType: TriggerType | "";
  readonly minuteMs: number;
}

/** To be added to a row. */
export interface MinuteCounts extends MinuteKey {
  /** By the names of ../executions/count_names.ts. */
  readonly counts: Readonly<Record<string, number>>;
  readonly memoryMiB: number;
}

/** Those of the same row become one, in the order that every server writes rows in: none waits for another in a circle. */
export function added(all: readonly MinuteCounts[]): MinuteCounts[] {
  const sums = new Map<string, MinuteCounts & { memoryMiB: number; readonly counts: Record<string, number> }>();
  for (const { functionId, version, triggerType, minuteMs, memoryMiB, counts } of all) {
    const key = `${functionId} ${minuteMs} ${version} ${triggerType}`;
    let sum = sums.get(key);
    if (sum === undefined) {
      sums.set(key, sum = { functionId, version, triggerType, minuteMs, memoryMiB: 0, counts: {} });
    }
    sum.memoryMiB = Math.max(sum.memoryMiB, memoryMiB);
    for (const [name, count] of Object.entries(counts)) sum.counts[name] = (sum.counts[name] ?? 0) + count;
  }
  return [...sums].sort(([a], [b]) => a < b ? -1 : 1).map(([, sum]) => ({
    ...sum,
    counts: Object.fromEntries(Object.entries(sum.counts).map(([name, count]) => [name, toMicroseconds(count)])),
  }));
}

/** Whole numbers stay what they are; sums of milliseconds lose the noise of binary fractions. */
export function toMicroseconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/** Has the sums over all functions. */
export const EVERY_FUNCTION = "00000000-0000-0000-0000-000000000000";
export const MINUTES_DAYS = 14;
const HOURS_DAYS = 400;
const DAY_MS = 86_400_000;

export type Step = "minute" | "hour";

/** Parts of the statement that writes a batch: each row at most once, and in the same order on every server. */
export function countsInsert(step: Step, rows: readonly MinuteCounts[]): RawBuilder<unknown> {
  const time = sql.ref(step);
  return sql`
    insert into ${
    sql.table(`fluxbase.execution_${step}s`)
  } as m (function_id, version, trigger_type, ${time}, counts, memory_mib)
    select "functionId", "version", "triggerType", date_trunc(${
    sql.lit(step)
  }, to_timestamp("minuteMs" / 1000), 'UTC'), "counts", "memoryMiB"
      from batch, json_to_recordset(${asJson(rows)}::json) as entry (
        "functionId" uuid, "version" int4, "triggerType" text, "minuteMs" float8, "counts" jsonb, "memoryMiB" float8)
    on conflict (function_id, ${time}, version, trigger_type) do update
      set counts = fluxbase.add_counts(m.counts, excluded.counts), memory_mib = greatest(m.memory_mib, excluded.memory_mib)`;
}

const HOUR_MS = 3_600_000;

export function hoursOf(minutes: readonly MinuteCounts[]): MinuteCounts[] {
  return added(minutes.map((counts) => ({ ...counts, minuteMs: counts.minuteMs - counts.minuteMs % HOUR_MS })));
}

export async function dropOldHours(db: Db, now: Date): Promise<void> {
  const before = new Date(now.getTime() - HOURS_DAYS * DAY_MS);
  await sql`delete from fluxbase.execution_hours where hour < ${before}`.execute(db);
}

export interface CountsQuery {
  /** Of which function; undefined for the sums over all of them, or over those of a namespace. */
  readonly functionId?: string;
  readonly namespace?: string;
  readonly source: Step;
  readonly from: Date;
  readonly to: Date;
  readonly stepSec: number;
  readonly by?: "version" | "trigger";
}

export interface StoredCounts {
  readonly at: Date;
  /** What it is split by; empty without. */
  readonly key: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly memoryMiB: number;
}

const KEYS: Readonly<Record<"version" | "trigger", RawBuilder<string>>> = {
  version: sql`version::text`,
  trigger: sql`trigger_type`,
};

/** In the order of time; steps without anything are left out. */
export async function listCounts(db: Db, query: CountsQuery): Promise<StoredCounts[]> {
  const { source, from, to, stepSec, by } = query;
  const time = sql.ref(source);
  const { rows } = await sql<StoredCounts>`
    with counted as (
      select date_bin(make_interval(secs => ${stepSec}), ${time}, timestamptz 'epoch') as at,
             ${by === undefined ? sql`''::text` : KEYS[by]} as key, counts, memory_mib
        from ${sql.table(`fluxbase.execution_${source}s`)}
       where ${functionsOf(query)} and ${time} >= ${from} and ${time} < ${to}),
    sums as (
      select at, key, name, sum(value::float8) as total
        from counted, jsonb_each_text(counts) as entry (name, value) group by at, key, name)
    select at, key, jsonb_object_agg(name, total) as counts,
           (select coalesce(max(memory_mib), 0) from counted c where c.at = sums.at and c.key = sums.key) as "memoryMiB"
      from sums group by at, key order by at, key`.execute(db);
  return rows;
}

function functionsOf({ functionId, namespace }: CountsQuery): RawBuilder<unknown> {
  return namespace === undefined
    ? sql`function_id = ${functionId ?? EVERY_FUNCTION}`
    : sql`function_id in (select id from fluxbase.functions where namespace = ${namespace})`;
}

export interface FunctionCounts extends StoredCounts {
  readonly functionId: string;
  readonly functionName: string;
  readonly namespace: string;
}

/** The functions with the most calls in this time, deleted ones too. */
export async function listBusiest(
  db: Db,
  { source, from, to, namespace, limit }: {
    readonly source: Step;
    readonly from: Date;
    readonly to: Date;
    readonly namespace?: string;
    readonly limit: number;
  },
): Promise<FunctionCounts[]> {
  const time = sql.ref(source);
  const { rows } = await sql<FunctionCounts>`
    with counted as (
      select function_id, counts, memory_mib from ${sql.table(`fluxbase.execution_${source}s`)}
       where function_id <> ${EVERY_FUNCTION} and ${time} >= ${from} and ${time} < ${to}
         ${
    namespace === undefined
      ? sql``
      : sql`and function_id in (select id from fluxbase.functions where namespace = ${namespace})`
  }),
    busiest as (
      select function_id, max(memory_mib) as memory_mib from counted group by function_id
       order by sum(coalesce((counts ->> 'calls')::float8, 0)) desc, function_id limit ${limit}),
    sums as (
      select function_id, name, sum(value::float8) as total
        from counted join busiest using (function_id), jsonb_each_text(counted.counts) as entry (name, value)
       group by function_id, name)
    select ${from}::timestamptz as at, f.namespace || '/' || f.name as key, f.id as "functionId", f.name as "functionName",
           f.namespace, jsonb_object_agg(s.name, s.total) as counts, max(b.memory_mib) as "memoryMiB"
      from busiest b join sums s using (function_id) join fluxbase.functions f on f.id = b.function_id
     group by f.id, f.name, f.namespace
     order by max(s.total) filter (where s.name = 'calls') desc nulls last, f.id`.execute(db);
  return rows;
}

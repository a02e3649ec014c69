/**
 * Statements about rules of alerts, where each stands, and what URLs are to be told.
 *
 * @module
 */
import type { AlertMetric, AlertState } from "@fluxbase/contract";
import { sql } from "kysely";
import type { Db } from "./db.ts";

export interface NewAlertRule {
  readonly id: string;
  readonly name: string;
  readonly metric: AlertMetric;
  readonly threshold: number;
  /** Null: all. */
  readonly namespace: string | null;
  readonly functionName: string | null;
  readonly windowSec: number;
  readonly forSec: number;
  readonly minCalls: number;
  readonly targetFunction: string | null;
  /** Sealed. */
  readonly targetUrl: Uint8Array | null;
  readonly createdBy: string | null;
}

export interface StoredAlertRule extends NewAlertRule {
  readonly state: AlertState;
  readonly turningSince: Date | null;
  readonly changedAt: Date | null;
  readonly value: number | null;
  readonly evaluatedAt: Date | null;
  readonly createdAt: Date;
}

const COLUMNS = [
  "id",
  "name",
  "metric",
  "threshold",
  "namespace",
  "function_name as functionName",
  "window_sec as windowSec",
  "for_sec as forSec",
  "min_calls as minCalls",
  "target_function as targetFunction",
  "target_url as targetUrl",
  "state",
  "turning_since as turningSince",
  "changed_at as changedAt",
  "value",
  "evaluated_at as evaluatedAt",
  "created_at as createdAt",
  "created_by as createdBy",
] as const;

export async function listAlertRules(db: Db): Promise<StoredAlertRule[]> {
  return await db.selectFrom("fluxbase.alert_rules").select(COLUMNS).orderBy("name").execute();
}

export async function findAlertRule(db: Db, name: string): Promise<StoredAlertRule | undefined> {
  return await db.selectFrom("fluxbase.alert_rules").select(COLUMNS).where("name", "=", name).executeTakeFirst();
}

export async function countAlertRules(db: Db): Promise<number> {
  const row = await db.selectFrom("fluxbase.alert_rules").select(sql<number>`count(*)::int`.as("count"))
    .executeTakeFirst();
  return row?.count ?? 0;
}

/** Undefined: there is one of this name. */
export async function insertAlertRule(db: Db, rule: NewAlertRule): Promise<StoredAlertRule | undefined> {
  return await db.insertInto("fluxbase.alert_rules").values({
    id: rule.id,
    name: rule.name,
    metric: rule.metric,
    threshold: rule.threshold,
    namespace: rule.namespace,
    function_name: rule.functionName,
    window_sec: rule.windowSec,
    for_sec: rule.forSec,
    min_calls: rule.minCalls,
    target_function: rule.targetFunction,
    target_url: rule.targetUrl,
    created_by: rule.createdBy,
  }).onConflict((conflict) => conflict.column("name").doNothing()).returning(COLUMNS).executeTakeFirst();
}

export async function deleteAlertRule(db: Db, name: string): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.alert_rules").where("name", "=", name).executeTakeFirst();
  return numDeletedRows > 0n;
}

export async function replaceAlertUrl(db: Db, id: string, { before, after }: Record<"before" | "after", Uint8Array>) {
  await db.updateTable("fluxbase.alert_rules").set({ target_url: after }).where("id", "=", id)
    .where("target_url", "=", before).execute();
}

/** Within a transaction: nobody else looks at it until that is over. */
export async function lockDueRule(trx: Db, everySec: number): Promise<StoredAlertRule & { now: Date } | undefined> {
  return await trx.selectFrom("fluxbase.alert_rules").select([...COLUMNS, sql<Date>`clock_timestamp()`.as("now")])
    .where((where) =>
      where.or([
        where("evaluated_at", "is", null),
        where("evaluated_at", "<=", sql<Date>`clock_timestamp() - ${everySec} * interval '1 second'`),
      ])
    ).orderBy("evaluated_at", (order) => order.asc().nullsFirst()).limit(1).forUpdate().skipLocked().executeTakeFirst();
}

export type AlertStanding = Pick<StoredAlertRule, "state" | "turningSince" | "changedAt" | "value">;

export async function keepStanding(
  trx: Db,
  id: string,
  standing: AlertStanding & { readonly at: Date },
): Promise<void> {
  await trx.updateTable("fluxbase.alert_rules").set({
    state: standing.state,
    turning_since: standing.turningSince,
    changed_at: standing.changedAt,
    value: standing.value,
    evaluated_at: standing.at,
  }).where("id", "=", id).execute();
}

/** Tasks that were given up in this time. */
export async function countDeadTasks(
  db: Db,
  { since, namespace, functionName }: { since: Date; namespace: string | null; functionName: string | null },
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from fluxbase.tasks t join fluxbase.functions f on f.id = t.function_id
     where t.state = 'dead' and t.finished_at >= ${since}
       and (${namespace}::text is null or f.namespace = ${namespace})
       and (${functionName}::text is null or f.name = ${functionName})`.execute(db);
  return rows[0]?.count ?? 0;
}

/** Instants of schedules that were skipped in this time, and schedules that are due and that no server looks at. */
export async function countMissedTicks(
  db: Db,
  { since, namespace, functionName }: { since: Date; namespace: string | null; functionName: string | null },
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with concerned as (
      select s.id, s.look_at, s.paused_at from fluxbase.schedules s join fluxbase.functions f on f.id = s.function_id
       where f.deleted_at is null and (${namespace}::text is null or f.namespace = ${namespace})
         and (${functionName}::text is null or f.name = ${functionName}))
    select ((select count(*) from fluxbase.schedule_ticks t where t.schedule_id in (select id from concerned)
                and t.skipped is not null and t.at >= ${since})
          + (select count(*) from concerned where look_at < now() - interval '1 minute' and paused_at is null))::int as count`
    .execute(db);
  return rows[0]?.count ?? 0;
}

export interface AlertDelivery {
  readonly id: string;
  readonly ruleId: string;
  readonly name: string;
  readonly targetUrl: Uint8Array | null;
  readonly body: unknown;
  /** This one included. */
  readonly attempts: number;
}

export async function insertAlertDelivery(db: Db, ruleId: string, body: object): Promise<void> {
  await db.insertInto("fluxbase.alert_deliveries").values({ rule_id: ruleId, body: JSON.stringify(body) }).execute();
}

/** Takes one that is due; unless it is done or given up it is due again later. */
export async function claimAlertDelivery(db: Db, firstPauseSec: number): Promise<AlertDelivery | undefined> {
  const { rows } = await sql<AlertDelivery>`
    update fluxbase.alert_deliveries d
       set attempts = d.attempts + 1, run_at = now() + make_interval(secs => ${firstPauseSec} * power(2, d.attempts))
      from fluxbase.alert_rules r
     where r.id = d.rule_id and d.id = (
       select id from fluxbase.alert_deliveries where run_at <= now() order by run_at limit 1 for update skip locked)
    returning d.id, d.rule_id as "ruleId", r.name, r.target_url as "targetUrl", d.body, d.attempts`.execute(db);
  return rows[0];
}

export async function removeAlertDelivery(db: Db, id: string): Promise<void> {
  await db.deleteFrom("fluxbase.alert_deliveries").where("id", "=", id).execute();
}

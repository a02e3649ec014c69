/**
 * Statements about counters of rate limits that servers share.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

export interface RateCounter {
  readonly key: string;
  readonly limit: number;
  readonly endsAtMs: number;
}

/** Counts a call in all of them or in none; the counts come in the order of the counters. */
export async function takeRate(
  db: Db,
  counters: readonly RateCounter[],
): Promise<{ isAllowed: boolean; counts: number[] }> {
  const sorted = counters.toSorted((a, b) => a.key < b.key ? -1 : 1);
  const { rows } = await sql<{ isAllowed: boolean; counts: number[] }>`
    select is_allowed as "isAllowed", counts from fluxbase.take_rate(
      ${sorted.map(({ key }) => key)}::text[], ${sorted.map(({ limit }) => limit)}::int[],
      ${sorted.map(({ endsAtMs }) => new Date(endsAtMs))}::timestamptz[])`.execute(db);
  const taken = rows[0] ?? { isAllowed: true, counts: [] };
  const counts = counters.map((counter) => taken.counts[sorted.indexOf(counter)] ?? 0);
  return { isAllowed: taken.isAllowed, counts };
}

export async function dropRateCounters(db: Db): Promise<void> {
  await sql`delete from fluxbase.rate_counters where ends_at < now()`.execute(db);
}

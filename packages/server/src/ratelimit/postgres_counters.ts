/**
 * Counters that all servers on one Postgres share.
 *
 * @module
 */
import type { Db } from "../storage/db.ts";
import { dropRateCounters, takeRate } from "../storage/rate_counters.ts";
import type { Counters } from "./counters.ts";

const SWEEP_MS = 60_000;

export function startPostgresCounters(db: Db): Counters & Disposable {
  const timer = setInterval(() => void dropRateCounters(db).catch(() => {}), SWEEP_MS);
  return {
    take: (counters) => takeRate(db, counters),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

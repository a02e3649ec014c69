/**
 * Ends transactions in the users' database that take too long.
 *
 * The time limits that a session begins with are its own to change, and a trigger that runs at the end of a transaction
 * is outside of them. So they are kept from here too, where users' code reaches nothing.
 *
 * @module
 */
import { sql } from "kysely";
import type { Log } from "../core/log.ts";
import type { Db } from "./db.ts";

export interface SessionLimitOptions {
  /** The users' database. */
  readonly app: Db;
  /** Longest time of a transaction, by the beginning of a role's name. */
  readonly limitsMs: Readonly<Record<string, number>>;
  readonly log: Log;
}

const LOOK_MS = 2_000;
/** What a session's own limits end needs no other. */
const GRACE_MS = 1_000;

export function startSessionLimits({ app, limitsMs, log }: SessionLimitOptions): AsyncDisposable {
  const [prefixes, limits] = [Object.keys(limitsMs), Object.values(limitsMs).map((ms) => ms + GRACE_MS)];
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    try {
      const { rows } = await sql<{ role: string }>`
        select a.usename as role, pg_catalog.pg_terminate_backend(a.pid)
        from pg_catalog.pg_stat_activity a
          join unnest(${prefixes}::text[], ${limits}::float8[]) l (prefix, ms)
            on pg_catalog.starts_with(a.usename::text, l.prefix)
        where a.datname = pg_catalog.current_database()
          and a.xact_start < pg_catalog.clock_timestamp() - l.ms * interval '1 millisecond'
      `.execute(app);
      for (const { role } of rows) log.warn("A transaction of users' code took too long and was ended", { role });
    } catch (error) {
      log.debug("Cannot look for transactions that take too long", { error });
    }
  }

  const timer = setInterval(() => {
    looking ??= look().finally(() => looking = undefined);
  }, LOOK_MS);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await looking;
    },
  };
}

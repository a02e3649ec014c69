/**
 * Statements about who follows the log, on all servers.
 *
 * @module
 */
import { sql } from "kysely";
import type { Database, Db } from "./db.ts";

export interface LogFollower {
  readonly id: string;
  /** The credential. */
  readonly who: string;
  readonly node: string;
}

/** One that its server has not spoken of for so long is gone with its server. */
const GONE_AFTER_SEC = 30;

export interface FollowerCounts {
  readonly all: number;
  readonly ofOne: number;
}

/** Undefined: there is a place, and it is taken. Else how many there are. */
export async function addFollower(
  db: Database["db"],
  { id, who, node }: LogFollower,
  most: FollowerCounts,
): Promise<FollowerCounts | undefined> {
  return await db.transaction().execute(async (trx) => {
    // One after the other, so that no two take the last place.
    await sql`select pg_advisory_xact_lock(hashtext('fluxbase.log_followers'))`.execute(trx);
    await sql`delete from fluxbase.log_followers where seen_at < now() - ${GONE_AFTER_SEC} * interval '1 second'`
      .execute(trx);
    const { rows: [found] } = await sql<FollowerCounts>`
      select count(*)::int as all, count(*) filter (where who = ${who})::int as "ofOne" from fluxbase.log_followers`
      .execute(trx);
    const { all, ofOne } = found ?? { all: 0, ofOne: 0 };
    if (all >= most.all || ofOne >= most.ofOne) return { all, ofOne };
    await trx.insertInto("fluxbase.log_followers").values({ id, who, node }).execute();
    return undefined;
  });
}

/** They are still there. */
export async function touchFollowers(db: Db, ids: readonly string[]): Promise<void> {
  await sql`update fluxbase.log_followers set seen_at = now() where id = any (${ids}::uuid[])`.execute(db);
}

export async function removeFollower(db: Db, id: string): Promise<void> {
  await db.deleteFrom("fluxbase.log_followers").where("id", "=", id).execute();
}

/**
 * Statements about changes that were sent with an Idempotency-Key.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

export interface KnownRequest {
  readonly bodyHash: Uint8Array;
  /** Null while it runs. */
  readonly answer: Uint8Array | null;
}

export interface IdempotentRequest {
  readonly place: Uint8Array;
  readonly bodyHash: Uint8Array;
}

/**
 * Undefined: it is new and belongs to who asks. One that has run for so long was left by a server that ended, and one
 * that is kept for long enough is as good as unknown.
 */
export async function claimRequest(
  db: Db,
  { place, bodyHash }: IdempotentRequest,
  { abandonedSec, keptSec }: { readonly abandonedSec: number; readonly keptSec: number },
): Promise<KnownRequest | undefined> {
  const { rows } = await sql`
    insert into fluxbase.idempotent_requests as r (place, body_hash) values (${place}, ${bodyHash})
    on conflict (place) do update set body_hash = excluded.body_hash, started_at = now(), answer = null
    where r.started_at < now() - make_interval(secs => case when r.answer is null then ${abandonedSec}::int else ${keptSec}::int end)
    returning true
  `.execute(db);
  if (rows.length > 0) return undefined;
  const known = await db.selectFrom("fluxbase.idempotent_requests").select(["body_hash as bodyHash", "answer"])
    .where("place", "=", place).executeTakeFirst();
  // It failed a moment ago and was forgotten: as good as one that still runs.
  return known ?? { bodyHash, answer: null };
}

export async function keepAnswer(db: Db, place: Uint8Array, answer: Uint8Array): Promise<void> {
  await db.updateTable("fluxbase.idempotent_requests").set({ answer }).where("place", "=", place).execute();
}

export async function forgetRequest(db: Db, place: Uint8Array): Promise<void> {
  await db.deleteFrom("fluxbase.idempotent_requests").where("place", "=", place).execute();
}

export async function dropOldRequests(db: Db): Promise<void> {
  await db.deleteFrom("fluxbase.idempotent_requests").where("started_at", "<", sql<Date>`now() - interval '1 day'`)
    .execute();
}

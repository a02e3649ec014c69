/**
 * Statements about secrets. The owner is a user's id, or empty for secrets of the server.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

export interface StoredSecret {
  readonly id: string;
  readonly userId: string;
  readonly key: string;
  readonly description: string | null;
  readonly createdBy: string | null;
  readonly updatedBy: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface SealedSecret {
  readonly key: string;
  readonly sealed: Uint8Array;
}

export interface SecretPlace {
  readonly userId: string;
  readonly key: string;
}

const COLUMNS = [
  "id",
  "user_id as userId",
  "key",
  "description",
  "created_by as createdBy",
  "updated_by as updatedBy",
  "created_at as createdAt",
  "updated_at as updatedAt",
] as const;

export interface NewSecret extends SecretPlace {
  readonly sealed: Uint8Array;
  readonly description: string | null;
  readonly author: string | null;
}

/** Undefined when it exists. */
export async function insertSecret(db: Db, { userId, key, sealed, description, author }: NewSecret) {
  return await db.insertInto("fluxbase.secrets")
    .values({ user_id: userId, key, sealed, description, created_by: author, updated_by: author })
    .onConflict((conflict) => conflict.columns(["user_id", "key"]).doNothing())
    .returning(COLUMNS).executeTakeFirst();
}

export interface SecretChange {
  readonly sealed?: Uint8Array;
  readonly description?: string | null;
  readonly author: string | null;
}

/** Undefined when there is none. */
export async function updateSecret(
  db: Db,
  { userId, key }: SecretPlace,
  { sealed, description, author }: SecretChange,
): Promise<StoredSecret | undefined> {
  return await db.updateTable("fluxbase.secrets").set({
    updated_at: sql<Date>`now()`,
    updated_by: author,
    ...(sealed === undefined ? {} : { sealed }),
    ...(description === undefined ? {} : { description }),
  }).where("user_id", "=", userId).where("key", "=", key).returning(COLUMNS).executeTakeFirst();
}

export async function deleteSecret(db: Db, { userId, key }: SecretPlace): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.secrets")
    .where("user_id", "=", userId).where("key", "=", key).executeTakeFirst();
  return numDeletedRows > 0n;
}

export async function findSecret(db: Db, { userId, key }: SecretPlace): Promise<StoredSecret | undefined> {
  return await db.selectFrom("fluxbase.secrets").select(COLUMNS)
    .where("user_id", "=", userId).where("key", "=", key).executeTakeFirst();
}

export async function listSecrets(db: Db, userId: string): Promise<StoredSecret[]> {
  return await db.selectFrom("fluxbase.secrets").select(COLUMNS).where("user_id", "=", userId).orderBy("key").execute();
}

export async function readSealedSecrets(db: Db, userId: string): Promise<SealedSecret[]> {
  return await db.selectFrom("fluxbase.secrets").select(["key", "sealed"]).where("user_id", "=", userId).execute();
}

/** Only if it is still what it was: somebody may have changed it in between. */
export async function replaceSealedSecret(
  db: Db,
  { userId, key }: SecretPlace,
  { before, after }: { readonly before: Uint8Array; readonly after: Uint8Array },
): Promise<void> {
  await db.updateTable("fluxbase.secrets").set({ sealed: after })
    .where("user_id", "=", userId).where("key", "=", key).where("sealed", "=", before).execute();
}

/** The one that was there first. */
export async function saltOf(db: Db, userId: string, fresh: Uint8Array): Promise<Uint8Array> {
  await db.insertInto("fluxbase.secret_salts").values({ user_id: userId, salt: fresh })
    .onConflict((conflict) => conflict.column("user_id").doNothing()).execute();
  return (await db.selectFrom("fluxbase.secret_salts").select("salt").where("user_id", "=", userId)
    .executeTakeFirstOrThrow()).salt;
}

/** Users who have secrets, of all or of some. */
export async function listSecretOwners(db: Db, ids?: readonly string[]): Promise<string[]> {
  let query = db.selectFrom("fluxbase.secrets").select("user_id as userId").distinct().where("user_id", "!=", "");
  if (ids !== undefined) query = query.where("user_id", "=", sql<string>`any(${ids}::text[])`);
  return (await query.execute()).map(({ userId }) => userId);
}

/**
 * Statements about secrets. The owner is a user's id, or empty for secrets of the server.
 *
 * @module
 */
import { type RawBuilder, sql, type SqlBool } from "kysely";
import type { Db } from "./db.ts";

export interface StoredSecret {
  readonly id: string;
  readonly userId: string;
  readonly key: string;
  /** Whose functions see it; null: those of all namespaces. */
  readonly namespaces: readonly string[] | null;
  readonly description: string | null;
  readonly createdBy: string | null;
  readonly updatedBy: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** Of the value: grows by one with each new one. */
  readonly version: number;
  readonly expiresAt: Date | null;
}

export interface SealedSecret {
  readonly key: string;
  readonly namespaces: readonly string[] | null;
  readonly sealed: Uint8Array;
  readonly expiresAt: Date | null;
}

export interface SecretPlace {
  readonly userId: string;
  readonly key: string;
  /** Sorted; null for all, and for secrets of users. */
  readonly namespaces: readonly string[] | null;
}

const COLUMNS = [
  "id",
  "user_id as userId",
  "key",
  "namespaces",
  "description",
  "created_by as createdBy",
  "updated_by as updatedBy",
  "created_at as createdAt",
  "updated_at as updatedAt",
  "version",
  "expires_at as expiresAt",
] as const;

export interface NewSecret extends SecretPlace {
  readonly sealed: Uint8Array;
  readonly description: string | null;
  readonly expiresAt: Date | null;
  readonly author: string | null;
}

/** Undefined when it exists. */
export async function insertSecret(
  db: Db,
  { userId, key, namespaces, sealed, description, expiresAt, author }: NewSecret,
): Promise<StoredSecret | undefined> {
  return await db.insertInto("fluxbase.secrets")
    .values({
      user_id: userId,
      key,
      namespaces: namespaces === null ? null : [...namespaces],
      sealed,
      description,
      expires_at: expiresAt,
      created_by: author,
      updated_by: author,
    })
    .onConflict((conflict) => conflict.columns(["user_id", "key", "namespaces"]).doNothing())
    .returning(COLUMNS).executeTakeFirst();
}

export interface SecretChange {
  readonly sealed?: Uint8Array;
  readonly description?: string | null;
  readonly expiresAt?: Date | null;
  readonly author: string | null;
}

/** Undefined when there is none. */
export async function updateSecret(
  db: Db,
  place: SecretPlace,
  { sealed, description, expiresAt, author }: SecretChange,
): Promise<StoredSecret | undefined> {
  return await db.updateTable("fluxbase.secrets").set({
    updated_at: sql<Date>`now()`,
    updated_by: author,
    ...(sealed === undefined ? {} : { sealed }),
    ...(description === undefined ? {} : { description }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
  }).where(isAt(place)).returning(COLUMNS).executeTakeFirst();
}

export async function deleteSecret(db: Db, place: SecretPlace): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.secrets").where(isAt(place)).executeTakeFirst();
  return numDeletedRows > 0n;
}

export async function findSecret(db: Db, place: SecretPlace): Promise<StoredSecret | undefined> {
  return await db.selectFrom("fluxbase.secrets").select(COLUMNS).where(isAt(place)).executeTakeFirst();
}

/** Undefined when there is none, or it is somebody else's. */
export async function findSecretById(
  db: Db,
  { userId, id }: { readonly userId: string; readonly id: string },
): Promise<StoredSecret | undefined> {
  return await db.selectFrom("fluxbase.secrets").select(COLUMNS).where("user_id", "=", userId).where("id", "=", id)
    .executeTakeFirst();
}

export interface SecretVersion {
  readonly version: number;
  readonly createdAt: Date;
  readonly createdBy: string | null;
}

/** The newest first: it is the one in use. */
export async function listSecretVersions(db: Db, secretId: string): Promise<SecretVersion[]> {
  return await db.selectFrom("fluxbase.secrets")
    .select(["version", "value_at as createdAt", "value_by as createdBy"]).where("id", "=", secretId)
    .unionAll(
      db.selectFrom("fluxbase.secret_versions")
        .select(["version", "created_at as createdAt", "created_by as createdBy"]).where("secret_id", "=", secretId),
    )
    .orderBy("version", "desc").execute();
}

/** Undefined when it is not kept, or not any more. */
export async function readSealedVersion(db: Db, secretId: string, version: number): Promise<Uint8Array | undefined> {
  const found = await db.selectFrom("fluxbase.secrets").select("sealed")
    .where("id", "=", secretId).where("version", "=", version)
    .unionAll(
      db.selectFrom("fluxbase.secret_versions").select("sealed")
        .where("secret_id", "=", secretId).where("version", "=", version),
    )
    .executeTakeFirst();
  return found?.sealed;
}

/** All of an owner, or those that are for no other namespaces than the given ones. */
export async function listSecrets(
  db: Db,
  { userId, within }: { readonly userId: string; readonly within: readonly string[] | null },
): Promise<StoredSecret[]> {
  let query = db.selectFrom("fluxbase.secrets").select(COLUMNS).where("user_id", "=", userId);
  if (within !== null) query = query.where(sql<SqlBool>`namespaces <@ ${[...within]}::text[]`);
  return await query.orderBy("key").orderBy(sql`namespaces nulls first`).execute();
}

function isAt({ userId, key, namespaces }: SecretPlace): RawBuilder<SqlBool> {
  const set = namespaces === null ? null : [...namespaces];
  return sql<SqlBool>`user_id = ${userId} and key = ${key} and namespaces is not distinct from ${set}::text[]`;
}

export async function readSealedSecrets(db: Db, userId: string): Promise<SealedSecret[]> {
  return await db.selectFrom("fluxbase.secrets").select(["key", "namespaces", "sealed", "expires_at as expiresAt"])
    .where("user_id", "=", userId).execute();
}

/** Only if it is still what it was: somebody may have changed it in between. */
export async function replaceSealedSecret(
  db: Db,
  place: SecretPlace,
  { before, after }: { readonly before: Uint8Array; readonly after: Uint8Array },
): Promise<void> {
  await db.updateTable("fluxbase.secrets").set({ sealed: after })
    .where(isAt(place)).where("sealed", "=", before).execute();
}

export interface SealedVersion extends SealedSecret {
  readonly secretId: string;
  readonly version: number;
}

/** Of the values before the one in use. */
export async function readSealedVersions(db: Db, userId: string): Promise<SealedVersion[]> {
  return await db.selectFrom("fluxbase.secret_versions as v").innerJoin("fluxbase.secrets as s", "s.id", "v.secret_id")
    .select(["s.key", "s.namespaces", "s.expires_at as expiresAt", "v.sealed", "v.secret_id as secretId", "v.version"])
    .where("s.user_id", "=", userId).execute();
}

export async function replaceSealedVersion(
  db: Db,
  { secretId, version }: SealedVersion,
  sealed: Uint8Array,
): Promise<void> {
  await db.updateTable("fluxbase.secret_versions").set({ sealed })
    .where("secret_id", "=", secretId).where("version", "=", version).execute();
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

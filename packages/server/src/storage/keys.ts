/**
 * Statements about client and service keys.
 *
 * @module
 */
import type { Db } from "./db.ts";
import type { KeyKind } from "./schema.ts";

export interface NewKey {
  readonly kind: KeyKind;
  readonly name: string;
  readonly description?: string | null;
  readonly keyPrefix: string;
  readonly keyHash: Uint8Array;
  readonly scopes: readonly string[];
  readonly namespaces: readonly string[] | null;
  readonly rateLimitPerMinute: number | null;
  readonly createdBy: string | null;
  readonly expiresAt: Date | null;
}

export interface KeyRow {
  readonly id: string;
  readonly kind: KeyKind;
  readonly name: string;
  readonly keyHash: Uint8Array;
  readonly scopes: readonly string[];
  readonly namespaces: readonly string[] | null;
  readonly rateLimitPerMinute: number | null;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Undefined when the key exists already. */
export async function insertKey(db: Db, key: NewKey): Promise<StoredKey | undefined> {
  return await db.insertInto("fluxbase.keys").values({
    kind: key.kind,
    name: key.name,
    description: key.description ?? null,
    key_prefix: key.keyPrefix,
    key_hash: key.keyHash,
    scopes: [...key.scopes],
    namespaces: key.namespaces === null ? null : [...key.namespaces],
    rate_limit_per_minute: key.rateLimitPerMinute,
    created_by: key.createdBy,
    expires_at: key.expiresAt,
  }).onConflict((conflict) => conflict.column("key_hash").doNothing())
    .returning(COLUMNS).executeTakeFirst();
}

/** What is shown of a key: never its hash. */
export interface StoredKey {
  readonly id: string;
  readonly kind: KeyKind;
  readonly name: string;
  readonly description: string | null;
  readonly keyPrefix: string;
  readonly scopes: readonly string[];
  readonly namespaces: readonly string[] | null;
  readonly rateLimitPerMinute: number | null;
  readonly createdAt: Date;
  readonly createdBy: string | null;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
}

const COLUMNS = [
  "id",
  "kind",
  "name",
  "description",
  "key_prefix as keyPrefix",
  "scopes",
  "namespaces",
  "rate_limit_per_minute as rateLimitPerMinute",
  "created_at as createdAt",
  "created_by as createdBy",
  "expires_at as expiresAt",
  "revoked_at as revokedAt",
  "last_used_at as lastUsedAt",
] as const;

/** Newest first. */
export async function listStoredKeys(db: Db, kind: KeyKind): Promise<StoredKey[]> {
  return await db.selectFrom("fluxbase.keys").select(COLUMNS).where("kind", "=", kind)
    .orderBy("created_at", "desc").orderBy("id").execute();
}

export async function findKey(db: Db, kind: KeyKind, id: string): Promise<StoredKey | undefined> {
  return await db.selectFrom("fluxbase.keys").select(COLUMNS).where("kind", "=", kind).where("id", "=", id)
    .executeTakeFirst();
}

export interface KeyChange {
  readonly name?: string;
  readonly description?: string | null;
  readonly scopes?: readonly string[];
  readonly namespaces?: readonly string[] | null;
  readonly rateLimitPerMinute?: number | null;
  readonly expiresAt?: Date | null;
  /** Once revoked, a key stays revoked. */
  readonly revokedAt?: Date;
  readonly keyPrefix?: string;
  readonly keyHash?: Uint8Array;
}

/** Undefined when there is no such key. */
export async function updateKey(
  db: Db,
  { kind, id }: Pick<StoredKey, "kind" | "id">,
  change: KeyChange,
): Promise<StoredKey | undefined> {
  const { name, description, scopes, namespaces, rateLimitPerMinute, expiresAt, revokedAt, keyPrefix, keyHash } =
    change;
  return await db.updateTable("fluxbase.keys").set({
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(scopes === undefined ? {} : { scopes: [...scopes] }),
    ...(namespaces === undefined ? {} : { namespaces: namespaces === null ? null : [...namespaces] }),
    ...(rateLimitPerMinute === undefined ? {} : { rate_limit_per_minute: rateLimitPerMinute }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    ...(revokedAt === undefined ? {} : { revoked_at: revokedAt }),
    ...(keyPrefix === undefined ? {} : { key_prefix: keyPrefix }),
    ...(keyHash === undefined ? {} : { key_hash: keyHash }),
  }).where("kind", "=", kind).where("id", "=", id).returning(COLUMNS).executeTakeFirst();
}

export async function deleteKey(db: Db, { kind, id }: Pick<StoredKey, "kind" | "id">): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.keys").where("kind", "=", kind).where("id", "=", id)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

/** Every key, revoked and expired ones too, so that their holders can be told why they are refused. */
export async function listKeys(db: Db): Promise<KeyRow[]> {
  return await db.selectFrom("fluxbase.keys").select([
    "id",
    "kind",
    "name",
    "key_hash as keyHash",
    "scopes",
    "namespaces",
    "rate_limit_per_minute as rateLimitPerMinute",
    "expires_at as expiresAt",
    "revoked_at as revokedAt",
  ]).execute();
}

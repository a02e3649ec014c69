/**
 * Statements about client and service keys.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";
import type { KeyKind, UserRole } from "./schema.ts";

export interface NewKey {
  readonly kind: KeyKind;
  readonly name: string;
  readonly description?: string | null;
  readonly keyPrefix: string;
  readonly keyHash: Uint8Array;
  readonly scopes: readonly string[];
  readonly namespaces: readonly string[] | null;
  readonly rateLimitPerMinute: number | null;
  readonly rateLimitPerHour?: number | null;
  readonly rateLimitPerDay?: number | null;
  /** Whose key it is; null: nobody's in particular. */
  readonly userId?: string | null;
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
  readonly rateLimitPerHour: number | null;
  readonly rateLimitPerDay: number | null;
  /** When it runs out, or its grace period does. */
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly disabledAt: Date | null;
  /** Of the value that it had before it was rotated, and how long that is good. */
  readonly previousHash: Uint8Array | null;
  readonly previousUntil: Date | null;
  readonly userId: string | null;
  readonly userEmail: string | null;
  readonly userRole: UserRole | null;
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
    rate_limit_per_hour: key.rateLimitPerHour ?? null,
    rate_limit_per_day: key.rateLimitPerDay ?? null,
    user_id: key.userId ?? null,
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
  readonly rateLimitPerHour: number | null;
  readonly rateLimitPerDay: number | null;
  readonly userId: string | null;
  readonly createdAt: Date;
  readonly createdBy: string | null;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly disabledAt: Date | null;
  readonly deprecatedAt: Date | null;
  readonly graceEndsAt: Date | null;
  readonly revokedBy: string | null;
  readonly revocationReason: string | null;
  readonly previousUntil: Date | null;
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
  "rate_limit_per_hour as rateLimitPerHour",
  "rate_limit_per_day as rateLimitPerDay",
  "user_id as userId",
  "created_at as createdAt",
  "created_by as createdBy",
  "expires_at as expiresAt",
  "revoked_at as revokedAt",
  "last_used_at as lastUsedAt",
  "disabled_at as disabledAt",
  "deprecated_at as deprecatedAt",
  "grace_ends_at as graceEndsAt",
  "revoked_by as revokedBy",
  "revocation_reason as revocationReason",
  "previous_until as previousUntil",
] as const;

/** The keys a statement is about. */
export interface KeyFilter {
  readonly kind: KeyKind;
  /** Undefined: whoever they belong to. */
  readonly userId: string | undefined;
}

/** Newest first. */
export async function listStoredKeys(db: Db, { kind, userId }: KeyFilter): Promise<StoredKey[]> {
  return await db.selectFrom("fluxbase.keys").select(COLUMNS).where("kind", "=", kind)
    .$if(userId !== undefined, (query) => query.where("user_id", "=", userId ?? null))
    .orderBy("created_at", "desc").orderBy("id").execute();
}

export async function findKey(db: Db, id: string, { kind, userId }: KeyFilter): Promise<StoredKey | undefined> {
  return await db.selectFrom("fluxbase.keys").select(COLUMNS).where("kind", "=", kind).where("id", "=", id)
    .$if(userId !== undefined, (query) => query.where("user_id", "=", userId ?? null))
    .executeTakeFirst();
}

/** Only forward: servers that share a database tell in any order. */
export async function markKeysUsed(db: Db, used: readonly { readonly id: string; readonly at: Date }[]): Promise<void> {
  await sql`
    update fluxbase.keys k set last_used_at = u.at
    from unnest(${used.map(({ id }) => id)}::uuid[], ${used.map(({ at }) => at)}::timestamptz[]) as u (id, at)
    where k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)
  `.execute(db);
}

export interface KeyChange {
  readonly name?: string;
  readonly description?: string | null;
  readonly scopes?: readonly string[];
  readonly namespaces?: readonly string[] | null;
  readonly rateLimitPerMinute?: number | null;
  readonly rateLimitPerHour?: number | null;
  readonly rateLimitPerDay?: number | null;
  readonly expiresAt?: Date | null;
  /** Once revoked, a key stays revoked. */
  readonly revokedAt?: Date;
  readonly revokedBy?: string | null;
  readonly revocationReason?: string | null;
  readonly disabledAt?: Date | null;
  readonly deprecatedAt?: Date;
  readonly graceEndsAt?: Date;
  /** A new value; the one before is good until then, or no more. */
  readonly rotated?: { readonly keyPrefix: string; readonly keyHash: Uint8Array; readonly previousUntil: Date | null };
}

/** Undefined when there is no such key. */
export async function updateKey(
  db: Db,
  { kind, id }: Pick<StoredKey, "kind" | "id">,
  change: KeyChange,
): Promise<StoredKey | undefined> {
  const { name, description, scopes, namespaces, expiresAt, revokedAt, rotated } = change;
  const { rateLimitPerMinute, rateLimitPerHour, rateLimitPerDay } = change;
  const { revokedBy, revocationReason, disabledAt, deprecatedAt, graceEndsAt } = change;
  return await db.updateTable("fluxbase.keys").set({
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(scopes === undefined ? {} : { scopes: [...scopes] }),
    ...(namespaces === undefined ? {} : { namespaces: namespaces === null ? null : [...namespaces] }),
    ...(rateLimitPerMinute === undefined ? {} : { rate_limit_per_minute: rateLimitPerMinute }),
    ...(rateLimitPerHour === undefined ? {} : { rate_limit_per_hour: rateLimitPerHour }),
    ...(rateLimitPerDay === undefined ? {} : { rate_limit_per_day: rateLimitPerDay }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    ...(revokedAt === undefined ? {} : { revoked_at: revokedAt }),
    ...(revokedBy === undefined ? {} : { revoked_by: revokedBy }),
    ...(revocationReason === undefined ? {} : { revocation_reason: revocationReason }),
    ...(disabledAt === undefined ? {} : { disabled_at: disabledAt }),
    ...(deprecatedAt === undefined ? {} : { deprecated_at: deprecatedAt }),
    ...(graceEndsAt === undefined ? {} : { grace_ends_at: graceEndsAt }),
    ...(rotated === undefined ? {} : {
      key_prefix: rotated.keyPrefix,
      key_hash: rotated.keyHash,
      previous_hash: rotated.previousUntil === null ? null : sql<Uint8Array>`key_hash`,
      previous_until: rotated.previousUntil,
    }),
  }).where("kind", "=", kind).where("id", "=", id).returning(COLUMNS).executeTakeFirst();
}

export async function deleteKey(db: Db, { kind, id }: Pick<StoredKey, "kind" | "id">): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.keys").where("kind", "=", kind).where("id", "=", id)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

/** Every key, revoked and expired ones too, so that their holders can be told why they are refused. */
export async function listKeys(db: Db): Promise<KeyRow[]> {
  return await db.selectFrom("fluxbase.keys as k").leftJoin("fluxbase.users as u", "u.id", "k.user_id").select([
    "k.id",
    "k.kind",
    "k.name",
    "k.key_hash as keyHash",
    "k.scopes",
    "k.namespaces",
    "k.rate_limit_per_minute as rateLimitPerMinute",
    "k.rate_limit_per_hour as rateLimitPerHour",
    "k.rate_limit_per_day as rateLimitPerDay",
    sql<Date | null>`least(k.expires_at, k.grace_ends_at)`.as("expiresAt"),
    "k.revoked_at as revokedAt",
    sql<Date | null>`coalesce(k.disabled_at, u.disabled_at)`.as("disabledAt"),
    "k.previous_hash as previousHash",
    "k.previous_until as previousUntil",
    "k.user_id as userId",
    "u.email as userEmail",
    "u.role as userRole",
  ]).orderBy("k.id").execute();
}

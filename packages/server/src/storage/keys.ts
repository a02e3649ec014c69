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
  readonly keyPrefix: string;
  readonly keyHash: Uint8Array;
  readonly scopes: readonly string[];
  readonly namespaces: readonly string[] | null;
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
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Does nothing when the key exists already. */
export async function insertKey(db: Db, key: NewKey): Promise<void> {
  await db.insertInto("fluxbase.keys").values({
    kind: key.kind,
    name: key.name,
    key_prefix: key.keyPrefix,
    key_hash: key.keyHash,
    scopes: [...key.scopes],
    namespaces: key.namespaces === null ? null : [...key.namespaces],
    created_by: key.createdBy,
    expires_at: key.expiresAt,
  }).onConflict((conflict) => conflict.column("key_hash").doNothing()).execute();
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
    "expires_at as expiresAt",
    "revoked_at as revokedAt",
  ]).execute();
}

/**
 * The keys that the owner of this machine finds beside the embedded database.
 *
 * @module
 */
import type { LocalSecrets } from "../config/local_secrets.ts";
import { hashKey, keyPrefixOf } from "../auth/keys.ts";
import type { Tokens } from "../auth/tokens.ts";
import type { Db } from "../storage/db.ts";
import { insertKey } from "../storage/keys.ts";

export interface LocalKeys {
  readonly anonKey: string;
  readonly serviceRoleKey: string;
  readonly clientKey: string;
}

const LOCAL_KEY_SCOPES = ["functions:*"];
const ROLE_KEY_VALID_SEC = 10 * 365 * 86_400;

export async function seedLocalKeys(
  { clientKey, createdAtSec }: LocalSecrets,
  { db, tokens }: { db: Db; tokens: Tokens },
): Promise<LocalKeys> {
  const key = clientKey.reveal();
  await insertKey(db, {
    kind: "client",
    name: "local",
    keyPrefix: keyPrefixOf(key),
    keyHash: hashKey(key),
    scopes: LOCAL_KEY_SCOPES,
    namespaces: null,
    rateLimitPerMinute: null,
    createdBy: null,
    expiresAt: null,
  });
  const validity = { issuedAtSec: createdAtSec, expiresAtSec: createdAtSec + ROLE_KEY_VALID_SEC };
  return {
    anonKey: await tokens.mintRole("anon", validity),
    serviceRoleKey: await tokens.mintRole("service_role", validity),
    clientKey: key,
  };
}

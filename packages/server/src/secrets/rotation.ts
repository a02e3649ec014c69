/**
 * Takes values at rest from previous keys to the present one, when a server starts that knows both.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import { listAlertRules, replaceAlertUrl } from "../storage/alerts.ts";
import type { Db } from "../storage/db.ts";
import { keepSealedPassword, listSealedPasswords } from "../storage/roles.ts";
import {
  listSecretOwners,
  readSealedSecrets,
  readSealedVersions,
  replaceSealedSecret,
  replaceSealedVersion,
  saltOf,
} from "../storage/secrets.ts";
import { listSealedEnvs, replaceSealedEnv } from "../storage/versions.ts";
import type { Cipher, SealContext } from "./cipher.ts";
import { alertUrlContext, envContext, roleContext } from "./env_store.ts";
import type { KeyRing } from "./key_ring.ts";
import { secretContext, SERVER } from "./secret_store.ts";

export async function rotateEncryption(
  { db, keyRing, log }: { readonly db: Db; readonly keyRing: KeyRing; readonly log: Log },
): Promise<void> {
  if (!keyRing.hasPrevious) return;
  let count = 0;
  let failedCount = 0;

  /** `write` gets the value under the present key. */
  async function rotate(
    cipher: Cipher,
    { sealed, context }: { readonly sealed: Uint8Array; readonly context: SealContext },
    write: (sealed: Uint8Array) => Promise<void>,
  ): Promise<void> {
    if (cipher.isPresent(sealed)) return;
    try {
      await write(await cipher.seal(await cipher.open(sealed, context), context));
      count += 1;
    } catch (error) {
      failedCount += 1;
      log.error("Cannot encrypt a value again under the present key", { error });
    }
  }

  for (const env of await listSealedEnvs(db)) {
    const { sealed } = env;
    await rotate(keyRing.server, { sealed, context: envContext(env) }, (fresh) => replaceSealedEnv(db, env, fresh));
  }
  for (const { id, targetUrl } of await listAlertRules(db)) {
    if (targetUrl === null) continue;
    const write = (after: Uint8Array) => replaceAlertUrl(db, id, { before: targetUrl, after });
    await rotate(keyRing.server, { sealed: targetUrl, context: alertUrlContext(id) }, write);
  }
  for (const { name, sealed } of await listSealedPasswords(db)) {
    const write = (fresh: Uint8Array) => keepSealedPassword(db, name, fresh);
    await rotate(keyRing.server, { sealed, context: roleContext(name) }, write);
  }
  for (const userId of [SERVER, ...await listSecretOwners(db)]) {
    const cipher = userId === SERVER
      ? keyRing.server
      : await keyRing.ofUser(userId, await saltOf(db, userId, crypto.getRandomValues(new Uint8Array(32))));
    for (const { key, namespaces, sealed } of await readSealedSecrets(db, userId)) {
      await rotate(
        cipher,
        { sealed, context: secretContext({ owner: userId, namespaces }, key) },
        (fresh) => replaceSealedSecret(db, { userId, key, namespaces }, { before: sealed, after: fresh }),
      );
    }
    for (const version of await readSealedVersions(db, userId)) {
      const { key, namespaces, sealed } = version;
      const context = secretContext({ owner: userId, namespaces }, key);
      await rotate(cipher, { sealed, context }, (fresh) => replaceSealedVersion(db, version, fresh));
    }
  }
  log.info("Every value that a previous key opens is encrypted under the present one", {
    encryptedAgain: count,
    failed: failedCount,
  });
}

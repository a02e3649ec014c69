/**
 * The secrets from which all others come: given, or made beside the embedded database.
 *
 * @module
 */
import { generateKey } from "../auth/keys.ts";
import { readLocalSecrets } from "../config/local_secrets.ts";
import { InvariantError } from "../core/invariant.ts";
import { Secret } from "../core/secret.ts";
import { createKeyRing } from "../secrets/key_ring.ts";
import type { Base } from "./base.ts";

export type RootSecrets = Awaited<ReturnType<typeof readRootSecrets>>;

export async function readRootSecrets({ config, dataDir }: Base) {
  const local = config.database.kind === "embedded"
    ? await readLocalSecrets(dataDir, () => generateKey("client"))
    : undefined;
  const jwtSecret = chosen(config.jwtSecret, local?.jwtSecret);
  const encryptionKey = chosen(config.encryptionKey, local?.encryptionKey);
  const keyRing = await createKeyRing(encryptionKey, [
    ...config.encryptionPreviousKeys,
    ...(local === undefined ? [] : [local.encryptionKey]),
  ]);
  return { local, jwtSecret, keyRing };
}

function chosen(given: Secret | null, made: Secret | undefined): Secret {
  const secret = given ?? made;
  if (secret === undefined) {
    throw new InvariantError("secret-missing", "Cannot start without a secret that the configuration promised");
  }
  return secret;
}

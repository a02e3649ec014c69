/**
 * Passwords of the roles that log in to the users' database.
 *
 * @module
 */
import type { Db } from "../storage/db.ts";
import { findSealedPassword, keepSealedPassword } from "../storage/roles.ts";
import { roleContext } from "./env_store.ts";
import type { KeyRing } from "./key_ring.ts";

/** Made once, kept encrypted, the same on every server. */
export async function rolePassword(trx: Db, name: string, { server }: KeyRing): Promise<string> {
  const sealed = await findSealedPassword(trx, name);
  if (sealed !== undefined) return await server.open(sealed, roleContext(name));
  const password = crypto.getRandomValues(new Uint8Array(32)).toHex();
  await keepSealedPassword(trx, name, await server.seal(password, roleContext(name)));
  return password;
}

/**
 * The keys that values are encrypted under: the present one for what is written, previous ones only to read.
 *
 * @module
 */
import { Secret } from "../core/secret.ts";
import { type Cipher, createCipher, keyIdOf } from "./cipher.ts";

export interface KeyRing {
  readonly server: Cipher;
  readonly hasPrevious: boolean;
  /** Of all keys, the present one first: what a value says it was encrypted under. */
  readonly ids: readonly string[];
  /** A user's values are encrypted under a key of their own. */
  ofUser(userId: string, salt: Uint8Array): Promise<Cipher>;
}

/** Each key holds 32 bytes as base64. */
export async function createKeyRing(present: Secret, previous: readonly Secret[]): Promise<KeyRing> {
  const others = previous.filter((key) => key.reveal() !== present.reveal());
  return {
    server: await createCipher(present, others),
    hasPrevious: others.length > 0,
    ids: (await Promise.all([present, ...others].map(keyIdOf))).map((id) => id.toHex()),
    async ofUser(userId, salt) {
      const [own, ...older] = await Promise.all(
        [present, ...others].map((key) => userKey(key, userId, new Uint8Array(salt))),
      );
      return await createCipher(own ?? present, older);
    },
  };
}

async function userKey(key: Secret, userId: string, salt: Uint8Array<ArrayBuffer>): Promise<Secret> {
  const raw = Uint8Array.fromBase64(key.reveal());
  const material = await crypto.subtle.importKey("raw", raw, "HKDF", false, ["deriveBits"]);
  const info = new TextEncoder().encode(`fluxbase user secrets ${userId}`);
  const bits = await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, material, 256);
  return new Secret(new Uint8Array(bits).toBase64());
}

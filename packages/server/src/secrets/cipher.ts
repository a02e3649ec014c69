/**
 * Encrypts values at rest: AES-256-GCM under the server's key.
 *
 *     u8 format (1) · 4 bytes key id · 12 bytes nonce · ciphertext with tag
 *
 * The key id is the start of the key's SHA-256, so that a rotation can tell old from new. The purpose, owner and name of
 * a value are bound to it as additional data: a ciphertext moved to another row does not open.
 *
 * @module
 */
import type { Secret } from "../core/secret.ts";

export interface SealContext {
  readonly purpose: string;
  readonly owner: string;
  readonly name: string;
}

export interface Cipher {
  seal(text: string, context: SealContext): Promise<Uint8Array<ArrayBuffer>>;
  /** Whether it was sealed under the present key. */
  isPresent(sealed: Uint8Array): boolean;
  /** @throws {Error} when the value was sealed under another key or for another context, or was changed */
  open(sealed: Uint8Array, context: SealContext): Promise<string>;
  /** A digest that only holders of the key can compute: equal texts can be recognised without keeping them. */
  fingerprint(text: string): Promise<string>;
}

const FORMAT = 1;
const KEY_ID_BYTES = 4;
const NONCE_BYTES = 12;
const HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES;
const ENCRYPTION_KEY_BYTES = 32;

const encoder = new TextEncoder();

interface AesKey {
  readonly id: Uint8Array;
  readonly aes: CryptoKey;
}

function bytesOf(key: Secret): Uint8Array<ArrayBuffer> {
  const raw = Uint8Array.fromBase64(key.reveal());
  if (raw.length === ENCRYPTION_KEY_BYTES) return raw;
  throw new RangeError(`Cannot encrypt with a key of ${raw.length} bytes: it must have 32`);
}

/** What stands at the beginning of everything that is sealed under the key. */
export async function keyIdOf(key: Secret): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf(key))).slice(0, KEY_ID_BYTES);
}

async function importAes(key: Secret): Promise<AesKey> {
  const raw = bytesOf(key);
  return {
    id: await keyIdOf(key),
    aes: await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]),
  };
}

/** `key` holds the 32 bytes as base64. What was sealed under a previous one opens too. */
export async function createCipher(key: Secret, previous: readonly Secret[] = []): Promise<Cipher> {
  const present = await importAes(key);
  const keys = [present, ...await Promise.all(previous.map(importAes))];
  const hmac = await crypto.subtle.importKey("raw", bytesOf(key), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const isUnder = ({ id }: AesKey, sealed: Uint8Array) => id.every((byte, index) => byte === sealed[1 + index]);

  return {
    async seal(text, context) {
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
      const algorithm = { name: "AES-GCM", iv: nonce, additionalData: bind(context) };
      const ciphertext = new Uint8Array(await crypto.subtle.encrypt(algorithm, present.aes, encoder.encode(text)));
      const sealed = new Uint8Array(HEADER_BYTES + ciphertext.length);
      sealed[0] = FORMAT;
      sealed.set(present.id, 1);
      sealed.set(nonce, 1 + KEY_ID_BYTES);
      sealed.set(ciphertext, HEADER_BYTES);
      return sealed;
    },
    isPresent: (sealed) => isUnder(present, sealed),
    async open(sealed, context) {
      if (sealed[0] !== FORMAT || sealed.length < HEADER_BYTES) {
        throw new Error(`Cannot open ${describe(context)}: it is not a sealed value`);
      }
      const key = keys.find((one) => isUnder(one, sealed));
      if (key === undefined) {
        throw new Error(`Cannot open ${describe(context)}: it was sealed under another FLUXBASE_ENCRYPTION_KEY`);
      }
      const iv = Uint8Array.from(sealed.subarray(1 + KEY_ID_BYTES, HEADER_BYTES));
      try {
        const algorithm = { name: "AES-GCM", iv, additionalData: bind(context) };
        return new TextDecoder().decode(
          await crypto.subtle.decrypt(algorithm, key.aes, Uint8Array.from(sealed.subarray(HEADER_BYTES))),
        );
      } catch {
        throw new Error(`Cannot open ${describe(context)}: it was changed or belongs elsewhere`);
      }
    },
    async fingerprint(text) {
      return new Uint8Array(await crypto.subtle.sign("HMAC", hmac, encoder.encode(text))).toHex();
    },
  };
}

/** Lengths keep the parts apart: ("ab", "c") and ("a", "bc") differ. */
function bind({ purpose, owner, name }: SealContext): Uint8Array<ArrayBuffer> {
  return encoder.encode([purpose, owner, name].map((part) => `${part.length}:${part}`).join(""));
}

function describe({ purpose, name }: SealContext): string {
  return `${purpose} "${name}"`;
}

/**
 * Keys with which tokens of users are signed, whose public halves everybody may have.
 *
 * The first signs; all of them verify, so that a key is replaced by putting another one before it and taking it away
 * once the tokens that it signed are over.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import { type CryptoKey, importJWK, type JWK } from "jose";
import type { Secret } from "../core/secret.ts";
import { StartError } from "../storage/start_error.ts";

export interface PublicKeySet {
  readonly keys: readonly JWK[];
}

export interface SigningKeys {
  /** Undefined: the secret signs. */
  readonly first: SigningKey | undefined;
  find(kid: string): VerifyingKey | undefined;
  readonly publicSet: PublicKeySet;
  /** Of the secret. */
  readonly secretKid: string;
}

export interface SigningKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly key: CryptoKey;
}

export interface VerifyingKey {
  readonly algorithm: string;
  readonly key: CryptoKey;
}

const ALGORITHMS: Readonly<Record<string, string>> = { "EC P-256": "ES256", "RSA": "RS256", "OKP Ed25519": "EdDSA" };
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "k", "oth"];
const RSA_MIN_CHARACTERS = 342;
const SHAPE =
  "it must be a JSON list of private keys as JWK, each with kid, of EC P-256, RSA (2,048 bits or more) or Ed25519";

/** @throws {StartError} naming which key is wrong, never what it holds */
export async function readSigningKeys(text: Secret | null, jwtSecret: Secret): Promise<SigningKeys> {
  const secretKid = createHmac("sha256", jwtSecret.reveal()).update("fluxbase key id").digest("hex").slice(0, 16);
  const found = new Map<string, VerifyingKey>();
  const shown: JWK[] = [];
  let first: SigningKey | undefined;
  for (const [index, jwk] of (text === null ? [] : parse(text)).entries()) {
    const { kid = "" } = jwk;
    const algorithm = ALGORITHMS[jwk.kty === "RSA" ? "RSA" : `${jwk.kty} ${jwk.crv}`];
    const isWeak = jwk.kty === "RSA" && (jwk.n ?? "").length < RSA_MIN_CHARACTERS;
    if (algorithm === undefined || isWeak || kid === "" || typeof jwk.d !== "string") throw wrong(`key ${index + 1}`);
    if (found.has(kid) || kid === secretKid) throw wrong(`two keys have the kid ${JSON.stringify(kid.slice(0, 80))}`);
    const open = Object.fromEntries(Object.entries(jwk).filter(([name]) => !PRIVATE.includes(name)));
    const publicKey: JWK = { ...open, kid, alg: algorithm, use: "sig", key_ops: ["verify"] };
    found.set(kid, { algorithm, key: await imported(publicKey, algorithm, index) });
    const { key_ops: _, ...whole } = jwk;
    first ??= { kid, algorithm, key: await imported(whole, algorithm, index) };
    shown.push(publicKey);
  }
  return { first, find: (kid) => found.get(kid), publicSet: { keys: shown }, secretKid };
}

function parse(text: Secret): readonly JWK[] {
  let value: unknown;
  try {
    value = JSON.parse(text.reveal());
  } catch {
    throw wrong("it is no JSON");
  }
  const keys = typeof value === "object" && value !== null && "keys" in value ? value.keys : value;
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === "object" && key !== null)) {
    throw wrong("it is no list");
  }
  return keys;
}

async function imported(jwk: JWK, algorithm: string, index: number): Promise<CryptoKey> {
  try {
    const key = await importJWK(jwk, algorithm);
    if (key instanceof Uint8Array) throw wrong(`key ${index + 1}`);
    return key;
  } catch (error) {
    throw error instanceof StartError ? error : wrong(`key ${index + 1}`);
  }
}

function wrong(what: string): StartError {
  return new StartError(`Cannot use FLUXBASE_AUTH_SIGNING_KEYS (${what}): ${SHAPE}`);
}

/**
 * A function's own environment at rest: one sealed value for each version.
 *
 * @module
 */
import type { Cipher, SealContext } from "./cipher.ts";

export type Env = Readonly<Record<string, string>>;

export interface EnvOwner {
  readonly namespace: string;
  readonly name: string;
}

export interface EnvStore {
  /** Null for an empty environment. */
  seal(env: Env, owner: EnvOwner): Promise<Uint8Array | null>;
  open(sealed: Uint8Array | null, owner: EnvOwner): Promise<Env>;
  /** Equal for equal environments; says nothing to who has not the key. */
  fingerprint(env: Env): Promise<string>;
}

export function createEnvStore(cipher: Cipher): EnvStore {
  return {
    async seal(env, owner) {
      return Object.keys(env).length === 0 ? null : await cipher.seal(JSON.stringify(env), envContext(owner));
    },
    async open(sealed, owner) {
      return sealed === null ? {} : JSON.parse(await cipher.open(sealed, envContext(owner)));
    },
    async fingerprint(env) {
      // The same under every key.
      if (Object.keys(env).length === 0) return "";
      const sorted = Object.entries(env).sort(([a], [b]) => a < b ? -1 : 1);
      return await cipher.fingerprint(JSON.stringify(sorted));
    },
  };
}

/** Of a role that the server logs in as. */
export function roleContext(name: string): SealContext {
  return { purpose: "password of a role", owner: "", name };
}

/** Whom an alert tells. */
export function alertUrlContext(ruleId: string): SealContext {
  return { purpose: "url of an alert", owner: "", name: ruleId };
}

export function envContext({ namespace, name }: EnvOwner): SealContext {
  return { purpose: "environment", owner: `${namespace}/${name}`, name: "env" };
}

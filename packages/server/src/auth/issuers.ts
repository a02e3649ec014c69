/**
 * Tokens of another issuer: checked with its public keys, or with a secret that is shared with it.
 *
 * Public keys are fetched from one configured URL, again from time to time and when a token names a key that is not
 * among them. While the issuer is away the keys that are known go on working. Nothing that a token says decides where
 * keys come from or which algorithm is used.
 *
 * @module
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { z } from "zod";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";

/** Public keys of these only: HS256 with a public key as its secret would let everybody sign. */
export const PUBLIC_KEY_ALGORITHMS = ["RS256", "ES256", "EdDSA"] as const;

export interface IssuerSettings {
  /** Its name in the claim `iss`. */
  readonly issuer: string;
  /** Where its keys come from. */
  readonly keys: { readonly jwksUrl: string } | { readonly secret: Secret };
  /** Null: any. */
  readonly audience: string | null;
  readonly algorithms: readonly string[];
}

export interface Issuer {
  readonly name: string;
  /** Rejects as jose does. */
  verify(token: string, options: { readonly clockToleranceSec: number }): Promise<JWTPayload>;
  [Symbol.dispose](): void;
}

const REFRESH_MS = 600_000;
const ASK_AGAIN_MS = 10_000;
const FETCH_MS = 5_000;
const KEY_SET_MAX_BYTES = 256 * 1024;
const keySetSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) });

export function startIssuer(
  { issuer, keys, audience, algorithms }: IssuerSettings,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Issuer {
  const rules = { issuer, requiredClaims: ["exp", "sub"], ...(audience === null ? {} : { audience }) };
  if ("secret" in keys) {
    const secret = new TextEncoder().encode(keys.secret.reveal());
    return {
      name: issuer,
      async verify(token, { clockToleranceSec }) {
        const options = { ...rules, algorithms: ["HS256"], clockTolerance: clockToleranceSec };
        return (await jwtVerify(token, secret, options)).payload;
      },
      [Symbol.dispose]: () => {},
    };
  }

  const { jwksUrl } = keys;
  let known: ReturnType<typeof createLocalJWKSet> | undefined;
  let askedAtMs = -Infinity;
  let asking: Promise<void> | undefined;

  function refresh(): Promise<void> {
    askedAtMs = clock.nowMs();
    return asking ??= fetchKeys(jwksUrl).then((keySet) => {
      known = createLocalJWKSet(keySet);
    }).catch((error) => {
      log.warn("Cannot fetch the keys of the issuer of tokens", {
        url: jwksUrl,
        error,
        goesOnWithOld: known !== undefined,
      });
    }).finally(() => asking = undefined);
  }

  async function verifyWithKnown(token: string, clockToleranceSec: number): Promise<JWTPayload> {
    if (known === undefined) throw new errors.JWKSNoMatchingKey("The keys of the issuer are not known yet");
    const options = { ...rules, algorithms: [...algorithms], clockTolerance: clockToleranceSec };
    return (await jwtVerify(token, known, options)).payload;
  }

  void refresh();
  const timer = setInterval(() => void refresh(), REFRESH_MS);
  return {
    name: issuer,
    async verify(token, { clockToleranceSec }) {
      try {
        return await verifyWithKnown(token, clockToleranceSec);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        // A new key, or an invented name: whoever invents names makes nobody ask more often.
        if (asking === undefined && clock.nowMs() - askedAtMs < ASK_AGAIN_MS) throw error;
        await (asking ?? refresh());
        return await verifyWithKnown(token, clockToleranceSec);
      }
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

async function fetchKeys(url: string): Promise<JSONWebKeySet> {
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS), redirect: "error" });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`It answered ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  for await (const chunk of response.body ?? []) {
    byteCount += chunk.length;
    if (byteCount > KEY_SET_MAX_BYTES) throw new Error(`Its answer is larger than ${KEY_SET_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return keySetSchema.parse(JSON.parse(await new Blob(chunks.map((chunk) => new Uint8Array(chunk))).text()));
}

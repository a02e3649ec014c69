/**
 * Whether a request was signed by whoever knows the secret, lately, byte for byte.
 *
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { WebhookRule } from "./rule.ts";
import { hmacScheme, type Scheme, SCHEMES, type SignedRequest } from "./schemes.ts";

export type Verdict = { readonly isGood: true; readonly delivery: readonly string[] } | {
  readonly isGood: false;
  /** Completes the sentence "Cannot accept the request: …". Says nothing that its sender does not know. */
  readonly reason: string;
};

const TOLERANCE_SEC = 300;

export function schemeOf({ scheme, options }: WebhookRule): Scheme {
  return scheme === "hmac" ? hmacScheme(options) : SCHEMES[scheme];
}

/** The bytes that a secret signs with; undefined when the secret makes no sense for this scheme. */
export function keyOf({ keyOf }: Scheme, secret: string): Uint8Array | undefined {
  return keyOf === undefined ? new TextEncoder().encode(secret) : keyOf(secret);
}

export function verify(
  scheme: Scheme,
  keys: readonly Uint8Array[],
  { request, nowSec }: { readonly request: SignedRequest; readonly nowSec: number },
): Verdict {
  const claim = scheme.claimOf(request.headers);
  if (claim === undefined) return refused("it has no signature where its function expects one");
  if (claim.timestamp !== null && !isFresh(claim.timestamp, nowSec)) {
    return refused(`its time stamp must be within ${TOLERANCE_SEC / 60} minutes of the server's clock`);
  }
  const given = claim.signatures.flatMap((text) => {
    const bytes = decoded(text, scheme.encoding);
    return bytes === undefined ? [] : [bytes];
  });
  const contents = scheme.contentsOf(request, claim);
  for (const key of keys) {
    for (const parts of contents) {
      const hmac = createHmac(scheme.algo, key);
      for (const part of parts) hmac.update(part);
      const right = hmac.digest();
      if (given.some((bytes) => bytes.length === right.length && timingSafeEqual(bytes, right))) {
        return { isGood: true, delivery: scheme.deliveryOf(request, claim, right.toString("base64")) };
      }
    }
  }
  return refused("its signature does not fit its body");
}

function refused(reason: string): Verdict {
  return { isGood: false, reason };
}

/** Seconds, or milliseconds where the number is too large for them. */
function isFresh(timestamp: string, nowSec: number): boolean {
  if (!/^\d{1,13}$/.test(timestamp)) return false;
  const value = Number(timestamp);
  const sec = value > 100_000_000_000 ? value / 1_000 : value;
  return Math.abs(nowSec - sec) <= TOLERANCE_SEC;
}

function decoded(text: string, encoding: Scheme["encoding"]): Uint8Array | undefined {
  try {
    return encoding === "hex" ? Uint8Array.fromHex(text) : Uint8Array.fromBase64(text, { alphabet: encoding });
  } catch {
    return undefined;
  }
}

/**
 * The token of the link that signs the owner of the machine in: good once, for ten minutes, until the next one is made.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Secret } from "../core/secret.ts";

export interface SignInLink {
  /** The one before is good no more. */
  make(): Secret;
  /** True once. */
  take(token: string): boolean;
}

export const LINK_VALID_MS = 10 * 60_000;

export function createSignInLink(nowMs: () => number): SignInLink {
  let waiting: { readonly hash: Uint8Array; readonly untilMs: number } | undefined;
  return {
    make() {
      const token = crypto.getRandomValues(new Uint8Array(32)).toBase64({ alphabet: "base64url", omitPadding: true });
      waiting = { hash: hashOf(token), untilMs: nowMs() + LINK_VALID_MS };
      return new Secret(token);
    },
    take(token) {
      if (waiting === undefined || !timingSafeEqual(hashOf(token), waiting.hash)) return false;
      const isInTime = nowMs() < waiting.untilMs;
      waiting = undefined;
      return isInTime;
    },
  };
}

function hashOf(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

/**
 * Works out the caller of a request from its credentials.
 *
 * A warm call finds its token in memory and gets its caller at once, without a promise: verifying a JWT takes 68 µs.
 *
 * @module
 */
import { KEY_HEADERS } from "./credential_headers.ts";
import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../core/clock.ts";
import type { HeaderLookup } from "../core/header_list.ts";
import type { Secret } from "../core/secret.ts";
import { ANONYMOUS, type Caller, callerOfKey, METRICS_READER } from "./caller.ts";
import type { EndedSessions } from "./ended_sessions.ts";
import { type KeyStore, looksLikeKey } from "./keys.ts";
import { functionKeyIsOver, invalid, type Tokens, type VerifiedToken } from "./tokens.ts";

export interface Authenticator {
  /**
   * Every credential that is present must be valid; the strongest place wins: Authorization, then X-Service-Key,
   * X-Client-Key, clientkey, apikey. Foreign clients send the same value in `apikey` and `Authorization`, or the anon
   * key in `apikey` beside a user's token in `Authorization`.
   *
   * @throws {PlatformError} INVALID_CREDENTIAL, also as a rejection
   */
  authenticate(headers: HeaderLookup): Caller | Promise<Caller>;
}

export interface AuthenticatorParts {
  readonly tokens: Tokens;
  readonly keys: KeyStore;
  readonly endedSessions: EndedSessions;
  readonly clock: Clock;
  /** Of whoever may read the metrics and nothing else; null: there is none. */
  readonly metricsToken: Secret | null;
}

/** Strongest first. */
const CREDENTIAL_MAX_CHARACTERS = 8 * 1024;
const CACHE_MAX_COUNT = 10_000;

export function createAuthenticator(
  { tokens, keys, endedSessions, clock, metricsToken }: AuthenticatorParts,
): Authenticator {
  const metricsDigest = metricsToken === null ? undefined : digestOf(metricsToken.reveal());
  // Only what was verified is kept, so guesses cannot fill it; a Map keeps the order of insertion.
  const verified = new Map<string, VerifiedToken>();
  // Calls come in runs of one caller: comparing a header with the one before is quicker than hashing it.
  let recent: { readonly credential: string; readonly token: VerifiedToken } | undefined;
  keys.onChange(() => {
    verified.clear();
    recent = undefined;
  });

  endedSessions.onEnd((sessionId) => {
    for (const [credential, { caller }] of verified) if (caller.sessionId === sessionId) verified.delete(credential);
    if (recent?.token.caller.sessionId === sessionId) recent = undefined;
  });

  function callerOf(credential: string): Caller | Promise<Caller> {
    const known = recent?.credential === credential ? recent.token : verified.get(credential);
    const nowMs = clock.epochMs();
    if (known !== undefined && known.expiresAtMs > nowMs) {
      if (known.isGood?.() === false) throw functionKeyIsOver();
      if (known.use !== undefined) known.use.atMs = nowMs;
      if (recent?.token !== known) recent = { credential, token: known };
      return known.caller;
    }
    if (credential.length > CREDENTIAL_MAX_CHARACTERS) {
      throw invalid(`it is longer than ${CREDENTIAL_MAX_CHARACTERS} characters`);
    }
    return looksLikeKey(credential) ? keep(credential, checkKey(credential)).caller : verifyToken(credential);
  }

  async function verifyToken(token: string): Promise<Caller> {
    if (metricsDigest !== undefined && timingSafeEqual(digestOf(token), metricsDigest)) return METRICS_READER;
    const verifiedToken = await tokens.verify(token);
    const { sessionId } = verifiedToken.caller;
    if (sessionId !== null && endedSessions.has(sessionId)) throw invalid("its session has ended", { isOver: true });
    return keep(token, verifiedToken).caller;
  }

  function checkKey(key: string): VerifiedToken {
    const row = keys.find(key);
    if (row === undefined) throw invalid("no such key exists");
    if (row.revokedAt !== null) throw invalid(`the key was revoked at ${row.revokedAt.toISOString()}`);
    if (row.disabledAt !== null) throw invalid("the key is disabled");
    const expiresAtMs = row.expiresAt?.getTime() ?? Infinity;
    if (expiresAtMs <= clock.epochMs()) {
      throw invalid(`the key expired at ${row.expiresAt?.toISOString()}`, { isOver: true });
    }
    return { caller: callerOfKey(row), expiresAtMs, use: keys.useOf(row.id) };
  }

  function keep(credential: string, token: VerifiedToken): VerifiedToken {
    if (verified.size >= CACHE_MAX_COUNT) {
      const oldest = verified.keys().next();
      if (!oldest.done) verified.delete(oldest.value);
    }
    verified.set(credential, token);
    return token;
  }

  return {
    authenticate(headers) {
      const authorization = headers.get("authorization");
      let chosen = authorization === null ? undefined : bearerOf(authorization);
      let others: string[] | undefined;
      for (const name of KEY_HEADERS) {
        const value = headers.get(name);
        if (value === null || value === "" || value === chosen) continue;
        if (chosen === undefined) chosen = value;
        else (others ??= []).push(value);
      }
      if (chosen === undefined) return ANONYMOUS;
      if (others === undefined) return callerOf(chosen);
      return checkAll(chosen, others);
    },
  };

  async function checkAll(chosen: string, others: readonly string[]): Promise<Caller> {
    const [caller] = await Promise.all([chosen, ...others].map((credential) => callerOf(credential)));
    return caller ?? ANONYMOUS;
  }
}

/** Of one length, whatever was sent. */
function digestOf(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

const BEARER = "Bearer ";

function bearerOf(authorization: string): string {
  // The usual spelling, without a regular expression. A token with a space in it is none, and no such is ever verified.
  if (authorization.startsWith(BEARER)) {
    const token = authorization.slice(BEARER.length);
    if (token !== "" && !token.includes(" ") && !token.includes("\t")) return token;
  }
  const match = /^Bearer +([^\s]+)$/i.exec(authorization.trim());
  if (match?.[1] === undefined) throw invalid('the Authorization header must be "Bearer <token or key>"');
  return match[1];
}

/**
 * JWTs: those of the platform, HS256 with one secret, whoever minted them; and those of another issuer (./issuers.ts).
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Secret } from "../core/secret.ts";
import { type Caller, callerOfClaims, callerOfFunction, type FunctionFacts } from "./caller.ts";
import type { FunctionKeys, KeyedVersion } from "./function_keys.ts";
import type { Issuer } from "./issuers.ts";
import type { SigningKeys } from "./signing_keys.ts";

/** Issuers whose role keys are accepted; a token without issuer is too. */
export const OWN_ISSUERS: readonly string[] = ["fluxbase", "supabase", "supabase-demo"];
const ROLES: readonly string[] = ["anon", "authenticated", "admin", "service_role"];
/** Roles that stand for a person and say nothing without one. */
const USER_ROLES: readonly string[] = ["authenticated", "admin"];
const CLOCK_SKEW_SEC = 5;
/** Claim `reach` of the key of a function that an admin granted the whole service role. */
const EVERYTHING = "everything";

export interface VerifiedToken {
  readonly caller: Caller;
  /** Milliseconds since the epoch; infinite for a token without expiry. */
  readonly expiresAtMs: number;
  /** For a credential that can stop being good before it is over. */
  readonly isGood?: () => boolean;
  /** Of a key: when it was used last, kept up to date by whoever finds it good. */
  readonly use?: { atMs: number };
}

export interface Tokens {
  /** @throws {PlatformError} INVALID_CREDENTIAL with the reason */
  verify(token: string): Promise<VerifiedToken>;
  /** A token for a role, without a user. */
  mintRole(role: "anon" | "service_role", validity: Validity): Promise<string>;
  /** With more claims, which replace none of these and none that the server keeps for itself. */
  mintUser(claims: UserClaims, validity: Validity, more?: Readonly<Record<string, unknown>>): Promise<string>;
  /** The service role within a namespace, or all of it, for one version of a function. */
  mintFunction(version: KeyedFunction, validity: Validity): Promise<string>;
}

export type KeyedFunction = KeyedVersion & FunctionFacts;

export interface TokenOptions {
  readonly issuer?: Issuer | undefined;
  /** Without it, keys of functions are refused. */
  readonly functionKeys?: FunctionKeys;
  /** Without them, the secret signs. */
  readonly signingKeys?: SigningKeys;
  /** How far the clocks of those who make tokens may be off. */
  readonly clockSkewSec?: number;
}

export interface Validity {
  readonly issuedAtSec: number;
  readonly expiresAtSec: number;
}

export interface UserClaims {
  readonly sub: string;
  readonly email?: string;
  readonly role: string;
  readonly session_id: string;
  readonly is_anonymous: boolean;
}

export function createTokens(secret: Secret, options: TokenOptions = {}): Tokens {
  const { issuer: foreign, functionKeys, signingKeys, clockSkewSec = CLOCK_SKEW_SEC } = options;
  const key = new TextEncoder().encode(secret.reveal());
  const secretHeader = { alg: "HS256", typ: "JWT", ...(signingKeys && { kid: signingKeys.secretKid }) };
  const unsigned = (claims: JWTPayload, { issuedAtSec, expiresAtSec }: Validity) =>
    new SignJWT(claims).setIssuer("fluxbase").setIssuedAt(issuedAtSec).setExpirationTime(expiresAtSec);
  const mint = (claims: JWTPayload, validity: Validity) =>
    unsigned(claims, validity).setProtectedHeader(secretHeader).sign(key);

  /** Tokens of users may be checked by others, who have the public keys only. */
  function mintForUser(claims: JWTPayload, validity: Validity): Promise<string> {
    const first = signingKeys?.first;
    if (first === undefined) return mint(claims, validity);
    return unsigned(claims, validity).setProtectedHeader({ alg: first.algorithm, typ: "JWT", kid: first.kid })
      .sign(first.key);
  }

  /**
   * A key says which algorithm goes with it: what the token's header says is compared, never followed. One of a pair
   * signs users only, whatever role the token names.
   */
  async function verifyOwn(token: string): Promise<{ payload: JWTPayload; isOfPair: boolean }> {
    const { kid = "" } = decodeProtectedHeader(token);
    const pair = typeof kid === "string" ? signingKeys?.find(kid) : undefined;
    const { payload } = pair === undefined
      ? await jwtVerify(token, key, { algorithms: ["HS256"], clockTolerance: clockSkewSec })
      : await jwtVerify(token, pair.key, { algorithms: [pair.algorithm], clockTolerance: clockSkewSec });
    return { payload, isOfPair: pair !== undefined };
  }

  /** A foreign issuer makes users, whatever role it gives them. */
  async function verifyForeign(issuer: Issuer, token: string): Promise<VerifiedToken> {
    const payload = await issuer.verify(token, { clockToleranceSec: clockSkewSec });
    const { sub, exp = 0 } = payload;
    if (typeof sub !== "string" || sub === "") throw invalid("it has no subject");
    const caller = callerOfClaims({
      role: "authenticated",
      sub,
      ...optionalText("email", payload["email"]),
      ...optionalText("session_id", payload["session_id"]),
    });
    return { caller, expiresAtMs: exp * 1000 };
  }

  function functionToken(version: KeyedFunction, expiresAtMs: number): VerifiedToken {
    const isGood = () => functionKeys?.isAccepted(version) === true;
    if (!isGood()) throw functionKeyIsOver();
    return { caller: callerOfFunction(version), expiresAtMs, isGood };
  }

  return {
    async verify(token) {
      try {
        // Only which of two doors to knock at; each checks the issuer itself.
        if (foreign !== undefined && decodeJwt(token).iss === foreign.name) return await verifyForeign(foreign, token);
        const { payload, isOfPair } = await verifyOwn(token);
        const { iss, exp, sub } = payload;
        const role = payload["role"];
        const expiresAtMs = exp === undefined ? Infinity : exp * 1000;
        if (iss !== undefined && !OWN_ISSUERS.includes(iss)) throw invalid("its issuer is not accepted");
        if (typeof role !== "string" || !ROLES.includes(role)) throw invalid("it has no known role");
        if (isOfPair && !USER_ROLES.includes(role)) throw invalid("its key signs tokens of users only");
        const version = versionIn(payload);
        if (version !== undefined) return functionToken(version, expiresAtMs);
        if (USER_ROLES.includes(role) && (sub === undefined || sub === "")) {
          throw invalid(`role ${role} needs a subject`);
        }
        if (sub !== undefined && exp === undefined) throw invalid("a token of a user needs an expiry");
        const caller = callerOfClaims({
          role,
          ...optionalText("sub", sub),
          ...optionalText("email", payload["email"]),
          ...optionalText("session_id", payload["session_id"]),
          claims: moreIn(payload),
        });
        return { caller, expiresAtMs };
      } catch (error) {
        throw error instanceof PlatformError
          ? error
          : invalid(reasonOf(error), { isOver: error instanceof errors.JWTExpired });
      }
    },
    mintRole: (role, validity) => mint({ role }, validity),
    mintUser: (claims, validity, more = {}) =>
      mintForUser({ ...moreIn(more), ...claims, aud: "authenticated" }, validity),
    mintFunction: ({ functionId, version, namespace, name, isAdmin }, validity) =>
      mint({
        role: "service_role",
        function_id: functionId,
        version,
        function: `${namespace}/${name}`,
        ...(isAdmin ? { reach: EVERYTHING } : {}),
      }, validity),
  };
}

/** Claims that say who somebody is, for how long, and what the server gave a key: nobody else sets them. */
export const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  ...[
    "iss",
    "aud",
    "sub",
    "exp",
    "iat",
    "nbf",
    "jti",
    "role",
    "email",
    "phone",
    "session_id",
    "key_id",
    "is_anonymous",
  ],
  ...["aal", "amr", "function_id", "function", "version", "reach"],
]);

/** Those that are not reserved; null where there are none. */
function moreIn(payload: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | null {
  const more = Object.entries(payload).filter(([name]) => !RESERVED_CLAIMS.has(name));
  return more.length === 0 ? null : Object.fromEntries(more);
}

/** Undefined for a token that was made for no function. */
function versionIn(
  { function_id: functionId, version, function: place, reach }: JWTPayload,
): KeyedFunction | undefined {
  if (functionId === undefined && place === undefined) return undefined;
  const [namespace = "", name = ""] = typeof place === "string" ? place.split("/") : [];
  if (typeof functionId === "string" && typeof version === "number" && namespace !== "" && name !== "") {
    return { functionId, version, namespace, name, isAdmin: reach === EVERYTHING };
  }
  throw invalid("it was made for a function, and does not say which");
}

export function functionKeyIsOver(): PlatformError {
  return invalid("the version of the function that it was made for is not live any more");
}

function optionalText<Name extends string>(name: Name, value: unknown): { [key in Name]?: string } {
  const record: { [key in Name]?: string } = {};
  if (typeof value === "string" && value !== "") record[name] = value;
  return record;
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) {
    return `it expired at ${new Date(Number(error.payload.exp) * 1000).toISOString()}`;
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return "its signature does not match";
  if (error instanceof errors.JOSEAlgNotAllowed) return "its algorithm is not one that is accepted";
  if (error instanceof errors.JWKSNoMatchingKey) return "no key of its issuer fits";
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim "${error.claim}" is not acceptable`;
  return "it is not a JWT or key of this server";
}

export function invalid(reason: string, { isOver = false }: { readonly isOver?: boolean } = {}): PlatformError {
  return new PlatformError("INVALID_CREDENTIAL", `Cannot accept the credential: ${reason}`, {
    ...(isOver ? { details: { expired: true } } : {}),
  });
}

/** Of a credential that was good once: who shows it claims nothing that was not theirs. */
export function isOver(error: unknown): boolean {
  return error instanceof PlatformError && error.code === "INVALID_CREDENTIAL" && error.details["expired"] === true;
}

/**
 * Who is calling, as far as the platform has checked it.
 *
 * @module
 */
import { PlatformError, type RateLimit } from "@fluxbase/contract";

/** "function": the key that a function finds in its environment, when it was not granted more than its namespace. */
export type CallerKind = "anonymous" | "anon" | "user" | "key" | "function" | "service";

export interface Caller {
  readonly kind: CallerKind;
  /** The role claim of the token; `service_role` and `admin` may do everything, unless limited to namespaces. */
  readonly role: string | null;
  readonly userId: string | null;
  readonly email: string | null;
  readonly sessionId: string | null;
  readonly keyId: string | null;
  readonly scopes: readonly string[];
  /** The only ones that exist for this caller; null: all of them. */
  readonly namespaces: readonly string[] | null;
  /** Of the key; empty: no limit. */
  readonly rateLimits: readonly RateLimit[];
  /** More claims of the token, such as those that a hook has added. */
  readonly claims: Readonly<Record<string, unknown>> | null;
  /** The user's identity as sandboxes get it: JSON, or empty when there is no user. */
  readonly factsJson: string;
}

const NOBODY = {
  role: null,
  userId: null,
  email: null,
  sessionId: null,
  keyId: null,
  scopes: [],
  namespaces: null,
  rateLimits: [],
  claims: null,
  factsJson: "",
} as const;

export const ANONYMOUS: Caller = Object.freeze({ kind: "anonymous", ...NOBODY });

export interface RoleClaims {
  readonly role: string;
  readonly sub?: string;
  readonly email?: string;
  readonly session_id?: string;
  readonly claims?: Readonly<Record<string, unknown>> | null;
}

export function callerOfClaims(claims: RoleClaims): Caller {
  const { role, sub, email, session_id, claims: more = null } = claims;
  if (sub === undefined) return Object.freeze({ ...NOBODY, kind: role === "anon" ? "anon" : "service", role });
  return Object.freeze({
    ...NOBODY,
    kind: "user",
    role,
    userId: sub,
    email: email ?? null,
    sessionId: session_id ?? null,
    claims: more,
    factsJson: JSON.stringify({
      user_id: sub,
      user_email: email,
      user_role: role,
      session_id,
      user_claims: more ?? undefined,
    }),
  });
}

/** Who shows FLUXBASE_METRICS_TOKEN. */
export const METRICS_READER: Caller = Object.freeze({ ...NOBODY, kind: "key", scopes: ["metrics:read"] });

/** Who runs what nobody asked for from outside. */
export const PLATFORM: Caller = Object.freeze({
  ...NOBODY,
  kind: "service",
  role: "service_role",
  factsJson: JSON.stringify({ user_role: "service_role" }),
});

/** Whose facts were kept for later, without the token that proved them. */
export function heldCaller(
  { facts, ...who }: Pick<Caller, "kind" | "role" | "userId" | "keyId"> & { readonly facts: object },
): Caller {
  return Object.freeze({ ...NOBODY, ...who, factsJson: JSON.stringify(facts) });
}

export interface FunctionFacts {
  readonly namespace: string;
  readonly name: string;
  /** An admin granted this version the whole service role. */
  readonly isAdmin: boolean;
}

/** The service role in the name of a function: within its namespace, unless an admin granted it more. */
export function callerOfFunction({ namespace, name, isAdmin }: FunctionFacts): Caller {
  return Object.freeze({
    ...NOBODY,
    kind: isAdmin ? "service" : "function",
    role: "service_role",
    keyId: `function ${namespace}/${name}`,
    namespaces: isAdmin ? null : [namespace],
  });
}

export interface KeyFacts {
  readonly id: string;
  readonly kind: "client" | "service";
  readonly scopes: readonly string[];
  readonly namespaces: readonly string[] | null;
  readonly rateLimitPerMinute: number | null;
  readonly rateLimitPerHour: number | null;
  readonly rateLimitPerDay: number | null;
  readonly userId: string | null;
  readonly userEmail: string | null;
  readonly userRole: string | null;
}

/** What a key may do is a matter of its scopes, whatever the role of its user. */
export function callerOfKey(key: KeyFacts): Caller {
  const { id, kind, scopes, namespaces, userId, userEmail, userRole } = key;
  return Object.freeze({
    ...NOBODY,
    kind: "key",
    role: kind === "service" ? "service_role" : null,
    keyId: id,
    scopes,
    namespaces,
    rateLimits: rateLimitsOf(key),
    userId,
    email: userEmail,
    factsJson: userId === null
      ? ""
      : JSON.stringify({ user_id: userId, user_email: userEmail ?? undefined, user_role: userRole ?? undefined }),
  });
}

function rateLimitsOf({ rateLimitPerMinute, rateLimitPerHour, rateLimitPerDay }: KeyFacts): RateLimit[] {
  const limits = [[rateLimitPerMinute, "min"], [rateLimitPerHour, "hour"], [rateLimitPerDay, "day"]] as const;
  return limits.flatMap(([limit, per]) => limit === null ? [] : [{ limit, per }]);
}

/**
 * Who has signed in; a key that belongs to a user is not enough.
 *
 * @throws {PlatformError} UNAUTHENTICATED
 */
export function userOf({ kind, userId, sessionId }: Caller): { userId: string; sessionId: string | null } {
  if (kind === "user" && userId !== null) return { userId, sessionId };
  throw new PlatformError("UNAUTHENTICATED", "Cannot do this without a user: sign in and send the access token");
}

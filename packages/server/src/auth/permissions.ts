/**
 * What a caller may do, and where.
 *
 * A caller that is limited to namespaces lives as if there were no others: what is elsewhere is answered like what does
 * not exist, before anything is looked up.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { Caller } from "./caller.ts";

/** What a route may ask for; `functions:invoke` is what a function asks for unless it lets everybody in. */
export const SCOPES = [
  "functions:read",
  "functions:write",
  "functions:invoke",
  "secrets:read",
  "secrets:write",
  "tables:read",
  "tables:write",
  "metrics:read",
] as const;
export type Scope = (typeof SCOPES)[number];

const ALL_POWERFUL: readonly string[] = ["service_role", "admin"];

/** The service role and admins: nothing is closed to them. */
export function isAdmin({ role, namespaces }: Caller): boolean {
  return namespaces === null && role !== null && ALL_POWERFUL.includes(role);
}

/** Whether there is such a namespace as far as the caller may know. */
export function reaches({ namespaces }: Pick<Caller, "namespaces">, namespace: string): boolean {
  return namespaces === null || namespaces.includes(namespace);
}

export function may(caller: Caller, scope: Scope, namespace?: string): boolean {
  if (isAdmin(caller)) return true;
  if (caller.kind === "anonymous" || (namespace !== undefined && !reaches(caller, namespace))) return false;
  if (caller.kind !== "key") return scope === "functions:invoke";
  return caller.scopes.some((held) => held === "*" || held === scope || held === `${scope.split(":")[0]}:*`);
}

/**
 * For what has a place: outside the caller's namespaces it does not exist.
 *
 * @throws {PlatformError} what `notFound` makes; UNAUTHENTICATED, FORBIDDEN
 */
export function assertMayAt(
  caller: Caller,
  scope: Scope,
  { namespace, notFound }: { readonly namespace: string; readonly notFound: () => PlatformError },
): void {
  if (!reaches(caller, namespace)) throw concealed(notFound());
  assertMay(caller, scope, namespace);
}

/** A refusal that looks to the caller as if nothing were there; the audit log knows better (its cause). */
export function concealed({ code, message, details }: PlatformError): PlatformError {
  const cause = new PlatformError("FORBIDDEN", `Outside the namespaces of the credential, answered with ${code}`);
  return new PlatformError(code, message, { details, cause });
}

/** @throws {PlatformError} UNAUTHENTICATED without any credential, FORBIDDEN with one that does not suffice */
export function assertMay(caller: Caller, scope: Scope, namespace?: string): void {
  if (may(caller, scope, namespace)) return;
  assertCredential(caller);
  if (namespace !== undefined && !reaches(caller, namespace)) {
    throw new PlatformError(
      "FORBIDDEN",
      `Cannot do this in namespace "${namespace.slice(0, 80)}": the credential is limited to ${
        caller.namespaces?.join(", ") || "no namespace at all"
      }`,
    );
  }
  if (caller.kind === "function") throw functionsManageNothing();
  throw new PlatformError("FORBIDDEN", `Cannot do this: the key lacks the scope ${scope}; use one that has it`, {
    details: { scope },
  });
}

/** @throws {PlatformError} UNAUTHENTICATED */
export function assertCredential(caller: Caller): void {
  if (caller.kind !== "anonymous") return;
  throw new PlatformError(
    "UNAUTHENTICATED",
    'Cannot do this without a credential: send "Authorization: Bearer <key or token>"',
  );
}

/** @throws {PlatformError} UNAUTHENTICATED, FORBIDDEN */
export function assertAdmin(caller: Caller): void {
  if (isAdmin(caller)) return;
  assertCredential(caller);
  if (caller.kind === "function") throw functionsManageNothing();
  throw new PlatformError(
    "FORBIDDEN",
    "Cannot do this with the given credential: it needs the service role or an admin",
  );
}

function functionsManageNothing(): PlatformError {
  return new PlatformError(
    "FORBIDDEN",
    'Cannot do this with the key of a function: it manages nothing, unless an admin sets {"permissions": {"service": "admin"}}',
  );
}

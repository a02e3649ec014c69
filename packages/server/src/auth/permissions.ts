/**
 * What a caller may do.
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
] as const;
export type Scope = (typeof SCOPES)[number];

const ALL_POWERFUL: readonly string[] = ["service_role", "admin"];

export function isAdmin({ role }: Caller): boolean {
  return role !== null && ALL_POWERFUL.includes(role);
}

export function may(caller: Caller, scope: Scope, namespace?: string): boolean {
  if (isAdmin(caller)) return true;
  if (caller.kind === "anonymous") return false;
  if (caller.kind !== "key") return scope === "functions:invoke";
  const isInside = namespace === undefined || caller.namespaces === null || caller.namespaces.includes(namespace);
  return isInside &&
    caller.scopes.some((held) => held === "*" || held === scope || held === `${scope.split(":")[0]}:*`);
}

/** @throws {PlatformError} UNAUTHENTICATED without any credential, FORBIDDEN with one that does not suffice */
export function assertMay(caller: Caller, scope: Scope, namespace?: string): void {
  if (may(caller, scope, namespace)) return;
  assertCredential(caller);
  throw new PlatformError("FORBIDDEN", `Cannot do this with the given credential: it lacks scope ${scope}`, {
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
  throw new PlatformError(
    "FORBIDDEN",
    "Cannot do this with the given credential: it needs the service role or an admin",
  );
}

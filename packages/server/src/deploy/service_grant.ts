/**
 * What makes a version act beyond its namespace: the grant by which its own service-role key manages the server
 * (`permissions.service: "admin"`), and hooks, by which the server asks it about every user.
 *
 * Both are of one version: only admins make, change or bring back a version that has one, so nobody else's code ever runs
 * with it. Taking away what may manage the server needs no more than its namespace (disabling aside, which is a change
 * like others); what is a hook only an admin takes away, because its refusals go with it.
 *
 * @module
 */
import { type FunctionSettings, PlatformError } from "@fluxbase/contract";
import type { FunctionInput } from "./function_input.ts";

/** Who asks for a change, as far as the grant is concerned. */
export interface Granter {
  /** An admin or the service role, limited to no namespace. */
  readonly mayGrant: boolean;
}

type Reach = Pick<FunctionSettings, "permissions" | "hooks">;

export function isGranted(settings: Reach): boolean {
  return settings.permissions.service === "admin" || isHook(settings);
}

function isHook({ hooks }: Pick<FunctionSettings, "hooks">): boolean {
  return hooks !== undefined;
}

/** @throws {PlatformError} FORBIDDEN */
export function assertMayGrant(name: string, input: FunctionInput, { mayGrant }: Granter): void {
  if (mayGrant) return;
  if (typeof input.hooks === "string" || (input.hooks?.length ?? 0) > 0) throw notAHook(name);
  const asks = input.permissions?.service === "admin" || input.allow_service === "admin";
  if (!asks) return;
  throw new PlatformError(
    "FORBIDDEN",
    `Cannot let function "${name}" manage the server: only an admin or the service role may set permissions.service to "admin"`,
  );
}

/** @throws {PlatformError} FORBIDDEN */
export function assertMayTouch(
  name: string,
  settings: Reach | undefined,
  { mayGrant }: Granter,
): void {
  if (mayGrant || settings === undefined || !isGranted(settings)) return;
  if (isHook(settings)) throw notAHook(name);
  throw new PlatformError(
    "FORBIDDEN",
    `Cannot change function "${name}": it may manage the server (permissions.service is "admin"), so only an admin or the service role may change it or bring it back`,
  );
}

/** @throws {PlatformError} FORBIDDEN */
export function assertMayRemove(name: string, settings: Reach | undefined, { mayGrant }: Granter): void {
  if (!mayGrant && settings !== undefined && isHook(settings)) throw notAHook(name);
}

function notAHook(name: string): PlatformError {
  return new PlatformError(
    "FORBIDDEN",
    `Cannot make, change or delete function "${name}": it is a hook, which the server asks about every user (@fluxbase:hook, or "hooks"), so only an admin or the service role may`,
  );
}

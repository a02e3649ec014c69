/**
 * The grant that makes a version's own service-role key manage the server (`permissions.service: "admin"`).
 *
 * It is of one version: only admins make, change or bring back a version that has it, so nobody else's code ever runs
 * with it. Taking such a function away (disabling aside, which is a change like others) needs no more than its namespace.
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

export function isGranted({ permissions }: Pick<FunctionSettings, "permissions">): boolean {
  return permissions.service === "admin";
}

/** @throws {PlatformError} FORBIDDEN */
export function assertMayGrant(name: string, input: FunctionInput, { mayGrant }: Granter): void {
  const asks = input.permissions?.service === "admin" || input.allow_service === "admin";
  if (!asks || mayGrant) return;
  throw new PlatformError(
    "FORBIDDEN",
    `Cannot let function "${name}" manage the server: only an admin or the service role may set permissions.service to "admin"`,
  );
}

/** @throws {PlatformError} FORBIDDEN */
export function assertMayTouch(
  name: string,
  settings: Pick<FunctionSettings, "permissions"> | undefined,
  { mayGrant }: Granter,
): void {
  if (mayGrant || settings === undefined || !isGranted(settings)) return;
  throw new PlatformError(
    "FORBIDDEN",
    `Cannot change function "${name}": it may manage the server (permissions.service is "admin"), so only an admin or the service role may change it or bring it back`,
  );
}

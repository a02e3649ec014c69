/**
 * Which users builds and sandboxes run as, when the server runs as root.
 *
 * @module
 */
import type { Config } from "../config/config.ts";
import { hasCapabilities, mayBecome, readStanding } from "../storage/embedded/user_ids.ts";
import { StartError } from "../storage/start_error.ts";

/** Of a user namespace of 65,536 ids, as containers without root have, this part is free. */
const SMALL_NAMESPACE_BASE = 20_000;

/**
 * Users for builds and sandboxes, when the server runs as root; null: they run as the server does.
 *
 * @throws {StartError} for a root that cannot change users and has other rights, which sandboxes would have too
 */
export function chooseUids(
  { sandbox, limits, process }: Config,
): { readonly first: number; readonly count: number } | null {
  if (Deno.uid() !== 0) return null;
  const standing = readStanding();
  const count = 2 * limits.sandboxCount + 101;
  // Processes of one machine have ranges of their own, side by side.
  const offset = ((process?.number ?? 1) - 1) * count;
  const ranges = [sandbox.uidBase, SMALL_NAMESPACE_BASE].map((first) => ({ first: first + offset, count }));
  const free = ranges.find((range) => mayBecome(range, standing));
  if (free !== undefined) return free;
  if (!hasCapabilities(standing)) return null;
  throw new StartError(
    `Cannot run functions as root here: the users ${sandbox.uidBase} to ${
      sandbox.uidBase + count
    } are not this root's to become; set FLUXBASE_SANDBOX_UID_BASE to a range that is, or start as an ordinary user`,
  );
}

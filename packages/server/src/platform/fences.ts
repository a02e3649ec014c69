/**
 * Looks at the start which fences this machine gives to sandboxes, and refuses where one is required.
 *
 * @module
 */
import type { Config } from "../config/config.ts";
import type { Log } from "../core/log.ts";
import { type Fence, FENCES } from "../../sandbox_runtime/harden.ts";
import type { SandboxPool } from "../sandbox/sandbox_pool.ts";
import { StartError } from "../storage/start_error.ts";

export interface Fences {
  readonly standing: readonly Fence[];
  readonly missing: readonly Fence[];
}

export async function checkFences(sandboxes: SandboxPool, config: Config, log: Log): Promise<Fences> {
  const standing = await sandboxes.probe();
  const missing = FENCES.filter((fence) => !standing.includes(fence));
  const lacking = config.sandbox.require.filter((fence) => missing.includes(fence));
  if (lacking.length > 0) {
    throw new StartError(
      `Cannot start: FLUXBASE_SANDBOX_REQUIRE asks for ${lacking.join(", ")}, which this machine does not give`,
    );
  }
  if (missing.length > 0) log.warn("Sandboxes and builds run without some of their fences", { missing });
  return { standing, missing };
}

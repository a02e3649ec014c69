/**
 * Why a request gets no sandbox.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";

export function exhausted(why: string, retryAfterSec = 1): PlatformError {
  return new PlatformError("POOL_EXHAUSTED", `Cannot run the export function now: no sandbox is free, and ${why}`, {
    details: { retry_after: retryAfterSec },
  });
}

export function shuttingDown(): PlatformError {
  return new PlatformError("SHUTTING_DOWN", "The server is stopping: try again");
}

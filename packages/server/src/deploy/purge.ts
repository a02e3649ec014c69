/**
 * Lets go of functions for good that were deleted long ago.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import { purgeFunctions } from "../storage/functions.ts";

/** So long a deleted function can be restored. */
const KEPT_DAYS = 30;
const LOOK_MS = 3_600_000;

export function startPurging({ db, log }: { readonly db: Database["db"]; readonly log: Log }): AsyncDisposable {
  let purging: Promise<void> = Promise.resolve();

  async function purge(): Promise<void> {
    try {
      const count = await purgeFunctions(db, KEPT_DAYS);
      if (count > 0) log.info("Functions that were deleted long ago are gone", { count });
    } catch (error) {
      log.warn("Cannot let go of deleted functions yet", { error });
    }
  }

  const timer = setInterval(() => purging = purging.then(purge), LOOK_MS);
  purging = purge();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await purging;
    },
  };
}

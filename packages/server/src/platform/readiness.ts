/**
 * Says whether this server can serve calls, and the facts behind it.
 *
 * @module
 */
import type { Readiness } from "../api/system_routes.ts";
import { withDeadline } from "../core/clock.ts";
import type { RateLimiter } from "../ratelimit/rate_limiter.ts";
import type { SandboxPool } from "../sandbox/sandbox_pool.ts";
import { type Database, pingDatabase } from "../storage/db.ts";
import type { UsersDatabase } from "../tables/users_database.ts";
import type { Fences } from "./fences.ts";

const READY_PING_MS = 2_000;

/** Ready is who can serve calls. Warm ones need no database, so without one a server is of more use than none. */
export async function readinessOf(
  { database, usersDatabase, sandboxes, fences, rateLimiter, isStrict }: {
    database: Database;
    usersDatabase: UsersDatabase | undefined;
    sandboxes: SandboxPool;
    fences: Fences;
    rateLimiter: RateLimiter;
    isStrict: boolean;
  },
): Promise<Readiness> {
  const answers = await withDeadline(pingDatabase(database.db), READY_PING_MS, () => new Error("No answer"))
    .then(() => true, () => false);
  const { sandboxCount, blankCount, busyCount, waitingCount, memoryMiB } = sandboxes.stats();
  return {
    isReady: answers || !isStrict,
    facts: {
      database: answers ? "ok" : "unavailable",
      users_database: usersDatabase === undefined ? "off" : usersDatabase.direct === null ? "shared" : "own",
      sandboxes: {
        count: sandboxCount,
        blank: blankCount,
        busy: busyCount,
        waiting: waitingCount,
        memory_mib: memoryMiB,
      },
      fences,
      rate_limits: rateLimiter.counts,
    },
  };
}

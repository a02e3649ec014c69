/**
 * Lets go of what is kept for a time only.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import { dropOldAuditEntries } from "./audit_log.ts";
import type { Database } from "./db.ts";
import { purgeFunctions } from "./functions.ts";
import { dropOldRequests } from "./idempotent_requests.ts";
import { dropOldTicks } from "./schedules.ts";
import { dropOldTasks } from "./tasks.ts";
import { dropOldSessions } from "./users.ts";
import { dropOldDeliveries } from "./webhook_deliveries.ts";

/** So long a deleted function can be restored. */
const DELETED_FUNCTIONS_DAYS = 30;
/** As long as their tasks are kept without a setting. */
const TICKS_DAYS = 7;
const LOOK_MS = 3_600_000;

export interface PurgeOptions {
  readonly db: Database["db"];
  readonly log: Log;
  readonly auditLogDays: number;
  readonly tasks: { readonly doneDays: number; readonly deadDays: number };
  /** Only one of several servers does it. */
  readonly isOurs: () => boolean;
}

export function startPurging({ db, log, auditLogDays, tasks, isOurs }: PurgeOptions): AsyncDisposable {
  let purging: Promise<void> = Promise.resolve();

  async function purge(): Promise<void> {
    if (!isOurs()) return;
    try {
      const functionsCount = await purgeFunctions(db, DELETED_FUNCTIONS_DAYS);
      const auditEntriesCount = await dropOldAuditEntries(db, auditLogDays);
      const sessionsCount = await dropOldSessions(db);
      await dropOldDeliveries(db);
      await dropOldRequests(db);
      await dropOldTasks(db, tasks);
      await dropOldTicks(db, TICKS_DAYS);
      if (functionsCount + auditEntriesCount + sessionsCount > 0) {
        log.info("What was kept for long enough is gone", { functionsCount, auditEntriesCount, sessionsCount });
      }
    } catch (error) {
      log.warn("Cannot let go of deleted functions, audit entries and sessions yet", { error });
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

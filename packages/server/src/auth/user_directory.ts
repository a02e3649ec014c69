/**
 * Where users stand besides the platform's own table, for tables that refer to them.
 *
 * Does not own: what that is (../tables/user_table.ts).
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import type { Db } from "../storage/db.ts";
import { listUsersAfter, type User } from "../storage/users.ts";

/** @throws {PlatformError} USER_NOT_SAVED with what refused it, DATABASE_UNAVAILABLE; each as a rejection */
export interface UserDirectory {
  /** Inserts the user, or changes what is there. */
  put(user: User): Promise<void>;
  remove(userId: string): Promise<void>;
  /** Of these users, those that are not there. */
  missing(users: readonly User[]): Promise<readonly User[]>;
}

const PAGE_COUNT = 500;

/** Puts users there who were before it was, or whose server ended in the middle of a sign-up. */
export async function fillDirectory(
  { db, directory, log, signal }: {
    readonly db: Db;
    readonly directory: UserDirectory;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  try {
    for (let last: string | null = null; !signal.aborted;) {
      const users: User[] = await listUsersAfter(db, last, PAGE_COUNT);
      for (const user of users.length === 0 ? [] : await directory.missing(users)) {
        if (signal.aborted) return;
        // Why it is refused is in the log; others may be taken.
        await directory.put(user).catch(() => {});
      }
      if (users.length < PAGE_COUNT) return;
      last = users.at(-1)?.id ?? null;
    }
  } catch (error) {
    if (!signal.aborted) {
      log.warn("Cannot look which users are missing in auth.users: looks again at the next start", { error });
    }
  }
}

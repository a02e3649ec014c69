/**
 * Keeps `auth.users` in the users' database: a row for each user, before whoever signs up gets an answer.
 *
 * Written as the role of the functions of `default`, to which the table belongs: a trigger on it does what it does with
 * the rights of that role, and of nobody else. What it refuses is refused to who signs up.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type pg from "pg";
import type { Log } from "../core/log.ts";
import { asDatabaseError, codeOf } from "../storage/db.ts";
import type { User } from "../storage/users.ts";
import { asDefaultRole, type DefaultRoleOptions } from "./default_role.ts";
import { errorOfStatement } from "./table_error.ts";

export interface UserTable {
  put(user: User): Promise<void>;
  remove(userId: string): Promise<void>;
  /** Of these users, those that have no row. */
  missing(users: readonly User[]): Promise<readonly User[]>;
}

export interface UserTableOptions extends DefaultRoleOptions {
  readonly log: Log;
}

const ANSWER_MAX_BYTES = 1024 * 1024;

const PUT = `insert into auth.users as u
  (id, role, email, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, is_anonymous, created_at, updated_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  on conflict (id) do update set role = excluded.role, email = excluded.email,
    email_confirmed_at = coalesce(u.email_confirmed_at, excluded.email_confirmed_at),
    raw_app_meta_data = excluded.raw_app_meta_data, raw_user_meta_data = excluded.raw_user_meta_data,
    is_anonymous = excluded.is_anonymous, updated_at = excluded.updated_at`;

export function createUserTable({ log, ...role }: UserTableOptions): UserTable {
  async function run(what: string, text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    try {
      return await asDefaultRole(
        role,
        { applicationName: "fluxbase-users", answerMaxBytes: ANSWER_MAX_BYTES },
        (client) => client.query({ text, values: [...values] }),
      );
    } catch (error) {
      throw refused(what, error, log);
    }
  }

  return {
    async put(user) {
      const { id, role, email, emailVerified, appMetadata, userMetadata, isAnonymous, createdAt, updatedAt } = user;
      const confirmedAt = emailVerified ? updatedAt : null;
      const provided = { provider: isAnonymous ? "anonymous" : "email", ...appMetadata };
      await run("save", PUT, [
        id,
        role,
        email,
        confirmedAt,
        JSON.stringify(provided),
        JSON.stringify(userMetadata),
        isAnonymous,
        createdAt,
        updatedAt,
      ]);
    },
    async remove(userId) {
      await run("delete", "delete from auth.users where id = $1", [userId]);
    },
    async missing(users) {
      const { rows } = await run(
        "read",
        "select id::text from auth.users where id = any ($1::uuid[])",
        [users.map(({ id }) => id)],
      );
      const there = new Set(rows.map(({ id }) => id));
      return users.filter(({ id }) => !there.has(id));
    },
  };
}

/** What a trigger or a foreign key says is the project's own text; details may hold rows, and stay in the log. */
function refused(what: string, error: unknown, log: Log): unknown {
  const code = codeOf(error);
  const known = /^(08|53|57P)/.test(code) ? undefined : errorOfStatement(error, "auth");
  if (known === undefined) return asDatabaseError(error);
  log.warn(`Cannot ${what} a user in auth.users of the users' database`, {
    code,
    reason: known.message,
    details: known.details,
  });
  return new PlatformError(
    "USER_NOT_SAVED",
    `Cannot ${what} the user: the database refuses it (${known.message}, SQLSTATE ${code}); look at triggers on auth.users and tables that refer to it`,
    { details: { sqlstate: code } },
  );
}

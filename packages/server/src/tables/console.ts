/**
 * Runs the SQL of an admin in the users' database, as the role of the functions of `default`: it owns what it makes.
 *
 * @module
 */
import { PlatformError, type SqlAnswer } from "@fluxbase/contract";
import type pg from "pg";
import { asDatabaseError } from "../storage/db.ts";
import { asDefaultRole, type DefaultRoleOptions } from "./default_role.ts";
import { errorOfStatement } from "./table_error.ts";

export interface SqlConsole {
  /**
   * Several statements are possible without parameters, in one transaction; the last one's result is given.
   *
   * @throws {TableError} for what the database refuses
   */
  run(text: string, parameters: readonly unknown[]): Promise<SqlAnswer>;
}

export interface SqlConsoleOptions extends DefaultRoleOptions {
  readonly maxRowsCount: number;
  readonly answerMaxBytes: number;
}

export function createSqlConsole({ maxRowsCount, answerMaxBytes, ...role }: SqlConsoleOptions): SqlConsole {
  return {
    async run(text, parameters) {
      try {
        return await asDefaultRole(role, { applicationName: "fluxbase-console", answerMaxBytes }, async (client) => {
          const answer = await client.query(parameters.length === 0 ? { text } : { text, values: [...parameters] });
          const results: readonly pg.QueryResult[] = Array.isArray(answer) ? answer : [answer];
          return view(results.at(-1), maxRowsCount);
        });
      } catch (error) {
        throw errorOfStatement(error, "admin") ?? asDatabaseError(error);
      }
    },
  };
}

function view(result: pg.QueryResult | undefined, maxRowsCount: number): SqlAnswer {
  const { command = "", rowCount = 0, fields = [], rows = [] } = result ?? {};
  if (rows.length > maxRowsCount) {
    throw new PlatformError(
      "INVALID_ARGUMENT",
      `Cannot give ${rows.length} rows at once: ask for at most ${maxRowsCount} with LIMIT`,
      { details: { limit: maxRowsCount, used: rows.length } },
    );
  }
  return { command: command ?? "", row_count: rowCount ?? 0, columns: fields.map(({ name }) => name), rows };
}

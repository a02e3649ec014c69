/**
 * Runs the SQL of an admin in the users' database, as the role of the functions of `default`: it owns what it makes.
 *
 * @module
 */
import { DEFAULT_NAMESPACE, PlatformError, type SqlAnswer } from "@fluxbase/contract";
import pg from "pg";
import type { Secret } from "../core/secret.ts";
import { asDatabaseError } from "../storage/db.ts";
import { boundAnswer } from "../storage/pool.ts";
import { connectAs, searchPathOption, withRole } from "../storage/role_session.ts";
import type { Roles } from "../storage/roles.ts";
import { errorOfStatement } from "./table_error.ts";

export interface SqlConsole {
  /**
   * Several statements are possible without parameters, in one transaction; the last one's result is given.
   *
   * @throws {TableError} for what the database refuses
   */
  run(text: string, parameters: readonly unknown[]): Promise<SqlAnswer>;
}

const CONNECT_MS = 5_000;

export function createSqlConsole(
  { url, roles, schemas, statementMs, maxRowsCount, answerMaxBytes }: {
    readonly url: Secret;
    readonly roles: Roles;
    readonly schemas: readonly string[];
    readonly statementMs: number;
    readonly maxRowsCount: number;
    readonly answerMaxBytes: number;
  },
): SqlConsole {
  return {
    async run(text, parameters) {
      let client: pg.Client | undefined;
      try {
        client = await withRole(() => roles.forNamespace(DEFAULT_NAMESPACE), roles, (role) =>
          connectAs(role, {
            roles,
            url,
            connectionTimeoutMillis: CONNECT_MS,
            statement_timeout: statementMs,
            application_name: "fluxbase-console",
            options: searchPathOption(schemas),
          }));
        boundAnswer(client, answerMaxBytes, () => 0);
        const answer = await client.query(parameters.length === 0 ? { text } : { text, values: [...parameters] });
        const results: readonly pg.QueryResult[] = Array.isArray(answer) ? answer : [answer];
        return view(results.at(-1), maxRowsCount);
      } catch (error) {
        throw errorOfStatement(error, "admin") ?? asDatabaseError(error);
      } finally {
        await client?.end().catch(() => {});
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

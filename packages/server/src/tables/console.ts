/**
 * Runs the SQL of an admin, as the role that functions use: it owns what it makes, and the platform's own schema is out
 * of its reach.
 *
 * @module
 */
import { PlatformError, type SqlAnswer } from "@fluxbase/contract";
import pg from "pg";
import type { Secret } from "../core/secret.ts";
import { asDatabaseError } from "../storage/db.ts";
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
  { url, schemas, statementMs, maxRowsCount }: {
    readonly url: Secret;
    readonly schemas: readonly string[];
    readonly statementMs: number;
    readonly maxRowsCount: number;
  },
): SqlConsole {
  return {
    async run(text, parameters) {
      const client = new pg.Client({
        connectionString: url.reveal(),
        connectionTimeoutMillis: CONNECT_MS,
        statement_timeout: statementMs,
        application_name: "fluxbase-console",
        options: `-c search_path=${schemas.join(",")}`,
      });
      client.on("error", () => {});
      try {
        await client.connect();
        const answer = await client.query(parameters.length === 0 ? { text } : { text, values: [...parameters] });
        const results: readonly pg.QueryResult[] = Array.isArray(answer) ? answer : [answer];
        return view(results.at(-1), maxRowsCount);
      } catch (error) {
        throw errorOfStatement(error, "admin") ?? asDatabaseError(error);
      } finally {
        await client.end().catch(() => {});
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

/**
 * Runs statements as the role of a caller, each request in a transaction of its own.
 *
 * The login role may become one of three roles and nothing else, so whatever a statement or a function of SQL does, it
 * has the rights of the caller. Begin, statement and end are sent together: one way to the database and back.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import {
  type CompiledQuery,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
} from "kysely";
import pg from "pg";
import type { Log } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import { asDatabaseError } from "../storage/db.ts";
import { openPool } from "../storage/pool.ts";
import { type BatchStatement, runBatch, type TextRow } from "./batch.ts";
import { errorOfStatement } from "./table_error.ts";

export interface TableCaller {
  readonly role: "anon" | "authenticated" | "service_role";
  /** What policies read from `request.jwt.claims`. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface SessionRequest {
  readonly caller: TableCaller;
  readonly method: string;
  readonly path: string;
  /** The first is where names without a schema are looked for. */
  readonly schemas: readonly string[];
  readonly isReadOnly: boolean;
}

export interface TableSessions {
  /**
   * The first row of each statement. `mayKeep` looks at them before the transaction ends; what it throws undoes it.
   *
   * @throws {TableError} for what the database refuses
   */
  run(
    request: SessionRequest,
    statements: readonly RawBuilder<unknown>[],
    mayKeep?: (rows: readonly TextRow[]) => void,
  ): Promise<readonly TextRow[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface TableSessionOptions {
  /** With the login role. */
  readonly url: Secret;
  readonly maxConnectionsCount: number;
  readonly statementMs: number;
  readonly log: Log;
}

const CONNECT_MS = 5_000;
/** Statements that a connection keeps prepared; others are prepared for one use. */
const PREPARED_MAX_COUNT = 500;

const compiler = new Kysely<unknown>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

export function compile(statement: RawBuilder<unknown>): CompiledQuery {
  return statement.compile(compiler);
}

export function startTableSessions(
  { url, maxConnectionsCount, statementMs, log }: TableSessionOptions,
): TableSessions {
  const connections = openPool({
    connectionString: url.reveal(),
    max: maxConnectionsCount,
    connectionTimeoutMillis: CONNECT_MS,
    idle_in_transaction_session_timeout: statementMs,
    application_name: "fluxbase-tables",
  }, { log, name: "tables", statementMs });
  const { pool } = connections;
  const names = new Map<string, string>();

  /** The same name for the same text. */
  function nameOf(text: string): string | undefined {
    let name = names.get(text);
    if (name === undefined && names.size < PREPARED_MAX_COUNT) names.set(text, name = `fluxbase_${names.size}`);
    return name;
  }

  function prepare(statement: RawBuilder<unknown>): BatchStatement {
    const { sql: text, parameters } = compile(statement);
    return { text, name: nameOf(text), values: parameters };
  }

  return {
    async run(request, statements, mayKeep) {
      const client = await pool.connect().catch((error) => {
        throw asDatabaseError(error) instanceof PlatformError ? asDatabaseError(error) : tooBusy(error);
      });
      let isBroken = false;
      try {
        const batch = [beginning(request), ...statements.map(prepare)];
        if (mayKeep === undefined) return (await runBatch(client, batch)).slice(1);
        await client.query("begin");
        const rows = (await runBatch(client, batch)).slice(1);
        mayKeep(rows);
        await client.query("commit");
        return rows;
      } catch (error) {
        if (mayKeep !== undefined) {
          await client.query("rollback").catch(() => {
            isBroken = true;
          });
        }
        throw errorOfStatement(error, request.caller.role) ?? asDatabaseError(error);
      } finally {
        client.release(isBroken);
      }
    },
    [Symbol.asyncDispose]: connections[Symbol.asyncDispose],
  };
}

/** What holds for one transaction. Every value is a parameter. */
export const BEGINNING = `select ${
  ["role", "request.jwt.claims", "request.method", "request.path", "search_path", "transaction_read_only"]
    .map((name, index) => `pg_catalog.set_config('${name}', $${index + 1}, true)`).join(", ")
}`;

function beginning({ caller, method, path, schemas, isReadOnly }: SessionRequest): BatchStatement {
  const claims = JSON.stringify(caller.claims);
  const searchPath = schemas.map((schema) => pg.escapeIdentifier(schema)).join(", ");
  return {
    text: BEGINNING,
    name: "fluxbase_begin",
    values: [caller.role, claims, method, path, searchPath, isReadOnly ? "on" : "off"].map(plain),
  };
}

/** Without what no text of Postgres can hold. */
function plain(text: string): string {
  return text.replaceAll("\0", "").toWellFormed();
}

function tooBusy(cause: unknown): PlatformError {
  return new PlatformError("DATABASE_UNAVAILABLE", "All connections for tables are in use: try again in a moment", {
    cause,
    details: { retry_after: 1 },
  });
}

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

// deno-lint-ignore no-explicit-any -- rows of statements that are made of what callers ask for
type Row = Record<string, any>;

export interface TableSessions {
  /**
   * The first row of each statement. `mayKeep` looks at them before the transaction ends; what it throws undoes it.
   *
   * @throws {TableError} for what the database refuses
   */
  run(
    request: SessionRequest,
    statements: readonly RawBuilder<unknown>[],
    mayKeep?: (rows: readonly Row[]) => void,
  ): Promise<readonly Row[]>;
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
  const pool = new pg.Pool({
    connectionString: url.reveal(),
    max: maxConnectionsCount,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: statementMs,
    idle_in_transaction_session_timeout: statementMs,
    application_name: "fluxbase-tables",
    keepAlive: true,
    pipeline: true,
  });
  pool.on("error", (error) => log.warn("A database connection for tables broke", { reason: error.message }));
  const names = new Map<string, string>();

  /** The same name for the same text. */
  function nameOf(text: string): string | undefined {
    let name = names.get(text);
    if (name === undefined && names.size < PREPARED_MAX_COUNT) names.set(text, name = `fluxbase_${names.size}`);
    return name;
  }

  return {
    async run(request, statements, mayKeep) {
      const client = await pool.connect().catch((error) => {
        throw asDatabaseError(error) instanceof PlatformError ? asDatabaseError(error) : tooBusy(error);
      });
      let isBroken = false;
      try {
        const begun = client.query(beginning(request));
        const answers = statements.map((statement) => {
          const { sql: text, parameters } = compile(statement);
          const name = nameOf(text);
          return client.query({ text, values: [...parameters], ...(name === undefined ? {} : { name }) });
        });
        const ended = mayKeep === undefined ? client.query("commit") : undefined;
        const settled = await Promise.allSettled([begun, ...answers, ...(ended === undefined ? [] : [ended])]);
        const failed = settled.find((one) => one.status === "rejected");
        if (failed !== undefined) throw failed.reason;
        const rows = settled.slice(1, 1 + statements.length).map((one): Row =>
          one.status === "fulfilled" && one.value !== undefined ? firstRow(one.value) : {}
        );
        if (mayKeep !== undefined) {
          mayKeep(rows);
          await client.query("commit");
        }
        return rows;
      } catch (error) {
        await client.query("rollback").catch(() => {
          isBroken = true;
        });
        throw errorOfStatement(error, request.caller.role) ?? asDatabaseError(error);
      } finally {
        client.release(isBroken);
      }
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

function firstRow(result: unknown): Row {
  const rows = typeof result === "object" && result !== null ? Reflect.get(result, "rows") : undefined;
  return Array.isArray(rows) ? rows[0] ?? {} : {};
}

/** One text of constants: quoted by the driver, so that nothing in a claim ends its quotes. */
function beginning({ caller, method, path, schemas, isReadOnly }: SessionRequest): string {
  const settings: Readonly<Record<string, string>> = {
    "role": caller.role,
    "request.jwt.claims": JSON.stringify(caller.claims),
    "request.method": method,
    "request.path": path,
    "search_path": schemas.map((schema) => pg.escapeIdentifier(schema)).join(", "),
  };
  const list = Object.entries(settings)
    .map(([name, value]) =>
      `pg_catalog.set_config(${pg.escapeLiteral(name)}, ${pg.escapeLiteral(plain(value))}, true)`
    );
  return `begin${isReadOnly ? " read only" : ""}; select ${list.join(", ")}`;
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

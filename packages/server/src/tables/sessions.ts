/**
 * Runs statements as the role of a caller, each request in a transaction of its own.
 *
 * Each role has connections of its own, over a login that may become that role and nothing else: whatever a statement,
 * a trigger or a function of SQL does, it has the rights of the caller. What it leaves in the session is gone before the
 * next request, since the session is emptied behind each one (./batch.ts, docs/decisions/0044).
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
import { asDatabaseError, codeOf, urlAs } from "../storage/db.ts";
import { type ConnectionPool, openPool } from "../storage/pool.ts";
import { assertUnaltered, withRole } from "../storage/role_session.ts";
import { type LoginRole, type Roles, TABLE_ROLES, type TableRole } from "../storage/roles.ts";
import { type BatchStatement, type Emptied, runAndEmpty, runBatch, STATEMENT_GONE, type TextRow } from "./batch.ts";
import { errorOfStatement } from "./table_error.ts";

export interface TableCaller {
  readonly role: TableRole;
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
  /** Of the users' database. */
  readonly url: Secret;
  readonly roles: Roles;
  /** Of each role. */
  readonly maxConnectionsCount: number;
  readonly statementMs: number;
  readonly answerMaxBytes: number;
  readonly log: Log;
}

const CONNECT_MS = 5_000;
/** Statements that a connection keeps prepared; others are prepared for one use. */
const PREPARED_MAX_COUNT = 500;
/** What a function of SQL has made of the session's settings when it was first called lasts as long as the session. */
const SESSION_LIFE_SEC = 300;

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

export function startTableSessions(options: TableSessionOptions): TableSessions {
  const { roles } = options;
  const pools = Object.fromEntries(TABLE_ROLES.map((role) => [role, createRolePool(role, options)])) as Readonly<
    Record<TableRole, RolePool>
  >;

  const shapes = new Map<string, number>();

  /** The same number for the same text, as long as there are few. */
  function shapeOf(text: string): number | undefined {
    let shape = shapes.get(text);
    if (shape === undefined && shapes.size < PREPARED_MAX_COUNT) shapes.set(text, shape = shapes.size);
    return shape;
  }

  function prepare(statement: RawBuilder<unknown>): BatchStatement {
    const { sql: text, parameters } = compile(statement);
    return { text, shape: shapeOf(text), values: parameters };
  }

  async function connect(role: TableRole): Promise<pg.PoolClient> {
    try {
      return await withRole(() => roles.forTables(role), roles, (login) => pools[role].connect(login));
    } catch (error) {
      const known = asDatabaseError(error);
      throw known instanceof PlatformError ? known : tooBusy(error);
    }
  }

  async function runOn(
    client: pg.PoolClient,
    batch: readonly BatchStatement[],
    mayKeep: ((rows: readonly TextRow[]) => void) | undefined,
  ): Promise<readonly TextRow[]> {
    const giveBack = ({ rows, emptied }: Emptied) => {
      rows.catch(() => {});
      // Nobody waits for it but the next request on this connection.
      void emptied.then(() => client.release(), (error) => client.release(error));
    };
    if (mayKeep !== undefined) {
      return await keeping(client, batch, mayKeep).finally(() => giveBack(runAndEmpty(client, [], roles)));
    }
    const answer = runAndEmpty(client, batch, roles);
    giveBack(answer);
    return await answer.rows;
  }

  return {
    async run(request, statements, mayKeep) {
      const { role } = request.caller;
      const batch = [{ ...beginning(request), shape: shapeOf(BEGINNING) }, ...statements.map(prepare)];
      try {
        const rows = await runOn(await connect(role), batch, mayKeep).catch(async (error) => {
          if (codeOf(error) !== STATEMENT_GONE) throw error;
          return await runOn(await connect(role), batch, mayKeep);
        });
        return rows.slice(1);
      } catch (error) {
        throw errorOfStatement(error, role) ?? asDatabaseError(error);
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(Object.values(pools).map((pool) => pool[Symbol.asyncDispose]()));
    },
  };
}

async function keeping(
  client: pg.PoolClient,
  batch: readonly BatchStatement[],
  mayKeep: (rows: readonly TextRow[]) => void,
): Promise<readonly TextRow[]> {
  await client.query("begin");
  try {
    const rows = await runBatch(client, batch);
    mayKeep(rows.slice(1));
    await client.query("commit");
    return rows;
  } catch (error) {
    // Where that fails too, the session cannot be emptied, and ends.
    await client.query("rollback").catch(() => {});
    throw error;
  }
}

interface RolePool {
  connect(login: LoginRole): Promise<pg.PoolClient>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Made again when its role has another password. */
function createRolePool(
  role: TableRole,
  { url, roles, maxConnectionsCount, statementMs, answerMaxBytes, log }: TableSessionOptions,
): RolePool {
  let made: { readonly login: LoginRole; readonly connections: ConnectionPool } | undefined;

  function make(login: LoginRole): ConnectionPool {
    const config: pg.PoolConfig = {
      connectionString: urlAs(url, login).reveal(),
      max: maxConnectionsCount,
      connectionTimeoutMillis: CONNECT_MS,
      idle_in_transaction_session_timeout: statementMs,
      application_name: "fluxbase-tables",
      maxLifetimeSeconds: SESSION_LIFE_SEC,
      verify: (client, done) => void assertUnaltered(client, roles).then(() => done(), done),
    };
    return openPool(config, { log, name: `tables of ${role}`, statementMs, answerMaxBytes });
  }

  return {
    async connect(login) {
      if (made === undefined || made.login.password !== login.password) {
        void made?.connections[Symbol.asyncDispose]();
        made = { login, connections: make(login) };
      }
      return await made.connections.pool.connect();
    },
    [Symbol.asyncDispose]: async () => await made?.connections[Symbol.asyncDispose](),
  };
}

const SETTINGS = [
  "role",
  "request.jwt.claims",
  "request.method",
  "request.path",
  "search_path",
  "transaction_read_only",
];

/** What holds for one transaction; every value is a parameter. And where `random()` begins, which nothing else empties. */
export const BEGINNING = `select ${
  SETTINGS.map((name, index) => `pg_catalog.set_config('${name}', $${index + 1}, true)`).join(", ")
}, pg_catalog.setseed($${SETTINGS.length + 1})`;

function beginning({ caller, method, path, schemas, isReadOnly }: SessionRequest): Omit<BatchStatement, "shape"> {
  const claims = JSON.stringify(caller.claims);
  const searchPath = schemas.map((schema) => pg.escapeIdentifier(schema)).join(", ");
  const settings = [caller.role, claims, method, path, searchPath, isReadOnly ? "on" : "off"].map(plain);
  return { text: BEGINNING, values: [...settings, randomSeed()] };
}

/** From -1 to 1, of 53 bits that nobody can guess. */
function randomSeed(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 52 - 1;
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

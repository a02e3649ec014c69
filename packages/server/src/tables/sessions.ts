/**
 * Runs statements as the role of a caller, each request in a transaction of its own.
 *
 * Each role has connections of its own, over a login that may become that role and nothing else: whatever a statement,
 * a trigger or a function of SQL does, it has the rights of the caller. What it leaves in the session is gone before the
 * next request: the session is emptied behind each one, and no statement is found by a name that SQL could give to
 * another (docs/decisions/0044).
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
import { asDatabaseError, urlAs } from "../storage/db.ts";
import { type ConnectionPool, openPool } from "../storage/pool.ts";
import { assertUnaltered, withRole } from "../storage/role_session.ts";
import { type LoginRole, type Roles, TABLE_ROLES, type TableRole } from "../storage/roles.ts";
import { type BatchStatement, emptySession, runBatch, type TextRow } from "./batch.ts";
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
  readonly log: Log;
}

const CONNECT_MS = 5_000;
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

  return {
    async run(request, statements, mayKeep) {
      const { role } = request.caller;
      const pool = pools[role];
      const client = await withRole(() => roles.forTables(role), roles, (login) => pool.connect(login))
        .catch((error) => {
          throw asDatabaseError(error) instanceof PlatformError ? asDatabaseError(error) : tooBusy(error);
        });
      const giveBack = () => void emptySession(client).then(() => client.release(), (error) => client.release(error));
      const batch = [beginning(request), ...statements.map(prepare)];
      try {
        if (mayKeep !== undefined) return (await keeping(client, batch, mayKeep).finally(giveBack)).slice(1);
        const running = runBatch(client, batch);
        // Sent when the answer is there; nobody waits for it but the next request on this connection.
        giveBack();
        return (await running).slice(1);
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
  { url, roles, maxConnectionsCount, statementMs, log }: TableSessionOptions,
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
    return openPool(config, { log, name: `tables of ${role}`, statementMs });
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

/** Under no name: each one is parsed for this request alone. */
function prepare(statement: RawBuilder<unknown>): BatchStatement {
  const { sql: text, parameters } = compile(statement);
  return { text, values: parameters };
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

function beginning({ caller, method, path, schemas, isReadOnly }: SessionRequest): BatchStatement {
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

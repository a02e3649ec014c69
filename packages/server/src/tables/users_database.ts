/**
 * Everything that has to do with the users' own database, put together: tables over HTTP, the prompt of admins, the
 * connections of functions.
 *
 * @module
 */
import { DEFAULT_NAMESPACE } from "@fluxbase/contract";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import { type AppDatabaseOptions, findAppDatabase } from "../storage/app_database.ts";
import { setUpAuthSchema } from "../storage/auth_schema.ts";
import { createDatabaseTunnel, type DatabaseTunnel } from "../storage/database_tunnel.ts";
import { connectDatabase, type Database } from "../storage/db.ts";
import { type Listener, startListener } from "../storage/listener.ts";
import { type PasswordOf, setUpRoles } from "../storage/roles.ts";
import { watchSchema } from "../storage/schema_watch.ts";
import { startSessionLimits } from "../storage/session_limits.ts";
import { createSqlConsole, type SqlConsole } from "./console.ts";
import { startSchemaCache } from "./schema_cache.ts";
import { startTableSessions } from "./sessions.ts";
import { createTables, type Tables } from "./tables.ts";
import { createUserTable, type UserTable } from "./user_table.ts";

export interface UsersDatabase {
  readonly tables: Tables;
  readonly console: SqlConsole;
  /** For what is written down of rows that change. */
  readonly events: { readonly db: Database["db"]; readonly listener: Listener };
  /** Undefined where there is no `auth.users` of this server. */
  readonly users: UserTable | undefined;
  /** Null where functions share a database with the platform. */
  readonly direct: DirectAccess | null;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface DirectAccess {
  readonly tunnel: DatabaseTunnel;
  /** As functions of a namespace see it; `host` is one that exists only for them. */
  urlFor(namespace: string, host: string): string;
}

export interface UsersDatabaseOptions {
  readonly url: Secret;
  readonly platform: Database;
  /** Of the platform's database, which the two may share. */
  readonly listener: Listener;
  readonly isShared: boolean;
  readonly schemas: readonly string[];
  readonly tableConnections: number;
  readonly passwordOf: PasswordOf;
  readonly onRepair: (role: string, reason: string) => void;
  readonly limits: {
    readonly namespaceConnectionsCount: number;
    readonly functionConnectionsCount: number;
    readonly functionTransactionMs: number;
    readonly sessionTempFileMiB: number;
    readonly tableStatementMs: number;
    readonly tableRowsCount: number;
    readonly tableAnswerBytes: number;
  };
  readonly clock: Clock;
  readonly log: Log;
}

const CONNECTIONS_COUNT = 4;
const ADVICE = "set FLUXBASE_APP_DATABASE_URL to an address of the database itself";
/** Names and definitions of all tables. */
const SCHEMA_MAX_BYTES = 64 * 1024 * 1024;
const CONNECTIONS_OF_FUNCTION_COUNT = 10;

/**
 * Before anything else connects to the platform's: a database that is copied must have no other connections. Undefined:
 * it is not there and may not be made, and the log says so.
 *
 * @throws {StartError} when users' tables would be left behind
 */
export async function findUsersDatabase(options: AppDatabaseOptions): Promise<Secret | undefined> {
  // This one is patient with a Postgres that starts.
  const first = await connectDatabase({ url: options.platformUrl, maxConnectionsCount: 1, log: options.log });
  await first[Symbol.asyncDispose]();
  return await findAppDatabase(options);
}

/** Undefined: the server may not make what is needed, and has said so. */
export async function startUsersDatabase(options: UsersDatabaseOptions): Promise<UsersDatabase | undefined> {
  const { url, platform, isShared, schemas, limits, clock, log } = options;
  await using parts = new AsyncDisposableStack();
  const app = parts.use(
    await connectDatabase({ url, maxConnectionsCount: CONNECTIONS_COUNT, log, answerMaxBytes: SCHEMA_MAX_BYTES }),
  );
  const roles = await setUpRoles({ ...options, platform: platform.db, app: app.db });
  if (roles === undefined) return undefined;
  const hasUsers = await setUpAuthSchema(app.db, roles.placeOf(DEFAULT_NAMESPACE).role, log);
  const isWatched = await watchSchema(app.db);
  const listener = isShared
    ? options.listener
    : parts.use(await startListener({ url, log, advice: ADVICE, onSilence: app.doubt }));
  const cache = parts.use(await startSchemaCache({ db: app.db, listener, clock, schemas, isWatched }));
  const sessions = parts.use(startTableSessions({
    url,
    roles,
    maxConnectionsCount: options.tableConnections,
    statementMs: limits.tableStatementMs,
    answerMaxBytes: limits.tableAnswerBytes,
    log,
  }));
  parts.use(startSessionLimits({ app: app.db, limitsMs: limitsOf(roles.prefixes, limits), log }));
  const [maxRowsCount, statementMs] = [limits.tableRowsCount, limits.tableStatementMs];
  const direct: DirectAccess = {
    tunnel: createDatabaseTunnel({
      url,
      roles,
      connectionsMaxCount: CONNECTIONS_OF_FUNCTION_COUNT,
      allConnectionsMaxCount: limits.functionConnectionsCount,
      transactionMs: limits.functionTransactionMs,
    }),
    urlFor(namespace, host) {
      const role = encodeURIComponent(roles.placeOf(namespace).role);
      return `postgres://${role}@${host}:5432/${encodeURIComponent(roles.databaseName)}`;
    },
  };
  const started = parts.move();
  return {
    tables: createTables({ cache, sessions, schemas, maxRowsCount }),
    console: createSqlConsole({
      url,
      roles,
      schemas,
      statementMs,
      maxRowsCount,
      answerMaxBytes: limits.tableAnswerBytes,
    }),
    events: { db: app.db, listener },
    users: hasUsers ? createUserTable({ url, roles, schemas, statementMs, log }) : undefined,
    direct: isShared ? null : direct,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function limitsOf(
  prefixes: { readonly tables: readonly string[]; readonly namespaces: string },
  { tableStatementMs, functionTransactionMs }: UsersDatabaseOptions["limits"],
): Readonly<Record<string, number>> {
  return Object.fromEntries([
    ...prefixes.tables.map((prefix) => [prefix, tableStatementMs]),
    [prefixes.namespaces, functionTransactionMs],
  ]);
}

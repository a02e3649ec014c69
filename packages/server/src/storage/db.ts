/**
 * The connection to Postgres: opened with patience, kept through restarts of the database.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { Kysely, type LogEvent, PostgresDialect, sql, type Transaction } from "kysely";
import type pg from "pg";
import { delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { Secret } from "../core/secret.ts";
import type { Schema } from "./schema.ts";
import { openPool } from "./pool.ts";
import { StartError } from "./start_error.ts";

/** A pool or a transaction: a statement need not know. */
export type Db = Kysely<Schema> | Transaction<Schema>;

export interface Database {
  readonly db: Kysely<Schema>;
  /** See ./pool.ts. */
  doubt(): void;
  /** How many connections there are, and how many statements wait for one. */
  connections(): { readonly total: number; readonly idle: number; readonly waiting: number };
  [Symbol.asyncDispose](): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: Secret;
  readonly maxConnectionsCount: number;
  readonly log: Log;
  /** A pooler in transaction mode is in between: it takes no settings for a connection. */
  readonly isPooled?: boolean;
  /** Of one statement; see ./pool.ts. */
  readonly answerMaxBytes?: number;
  /** A statement that takes longer is logged; none without. */
  readonly slowStatementMs?: number;
  /** How long to try at start. */
  readonly connectMs?: number;
}

const CONNECT_MS = 30_000;
const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 3_000;
const STATEMENT_MS = 30_000;
const OLDEST_SERVER = 15;

const UNTRUSTED =
  "its certificate is not trusted; name its root with sslrootcert=<path>, or do not check it with sslmode=require";
/** Answers that will not change by waiting. */
const FINAL_CODES: Readonly<Record<string, string>> = {
  "28P01": "the user or password is wrong",
  "28000": "the user may not connect; check pg_hba.conf",
  "3D000": "the database does not exist; create it first",
  "DEPTH_ZERO_SELF_SIGNED_CERT": UNTRUSTED,
  "SELF_SIGNED_CERT_IN_CHAIN": UNTRUSTED,
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE": UNTRUSTED,
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY": UNTRUSTED,
  "CERT_HAS_EXPIRED": "its certificate has expired",
  "ERR_TLS_CERT_ALTNAME_INVALID": "its certificate is for another host",
};

export const DIRECT_URL_ADVICE = "set DATABASE_DIRECT_URL to an address of the database itself";
const POOLER = `a connection pooler is in between, which takes no settings for a connection; ${DIRECT_URL_ADVICE}`;

/** PgBouncer has no code of its own for it, and one language. */
function isPoolersRefusal(error: unknown): boolean {
  return /unsupported startup parameter/.test(messageOf(error));
}

/** @throws {StartError} when the database cannot be reached in time, refuses us, or is too old */
export async function connectDatabase(options: DatabaseOptions): Promise<Database> {
  const connections = openPool({
    connectionString: options.url.reveal(),
    max: options.maxConnectionsCount,
    connectionTimeoutMillis: 10_000,
    application_name: "fluxbase",
    // What others define in a schema of theirs must never be taken for what Postgres defines.
    ...(options.isPooled ? { statement_timeout: 0 } : { options: "-c search_path=pg_catalog" }),
  }, { log: options.log, name: "platform", statementMs: STATEMENT_MS, ...answerLimit(options) });
  const { pool } = connections;
  try {
    await waitForServer(pool, options);
  } catch (error) {
    await connections[Symbol.asyncDispose]();
    throw error;
  }
  const { slowStatementMs, log } = options;
  const db = new Kysely<Schema>({
    dialect: new PostgresDialect({ pool }),
    ...(slowStatementMs === undefined ? {} : { log: slowStatements(log, slowStatementMs) }),
  });
  return {
    db,
    doubt: connections.doubt,
    connections: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    // Not db.destroy: it says the same to the pool.
    [Symbol.asyncDispose]: connections[Symbol.asyncDispose],
  };
}

const STATEMENT_SHOWN_LENGTH = 500;

/** Their text has no values: those are sent beside it. */
function slowStatements(log: Log, slowMs: number): (event: LogEvent) => void {
  return ({ queryDurationMillis, query: { sql: text } }) => {
    if (queryDurationMillis < slowMs) return;
    log.warn("A statement was slow", {
      durationMs: Math.round(queryDurationMillis),
      statement: text.replaceAll(/\s+/g, " ").trim().slice(0, STATEMENT_SHOWN_LENGTH),
    });
  };
}

function answerLimit({ answerMaxBytes }: DatabaseOptions): { readonly answerMaxBytes?: number } {
  return answerMaxBytes === undefined ? {} : { answerMaxBytes };
}

async function waitForServer(pool: pg.Pool, { url, log, connectMs = CONNECT_MS }: DatabaseOptions): Promise<void> {
  const deadline = performance.now() + connectMs;
  for (let backoffMs = FIRST_BACKOFF_MS;; backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS)) {
    try {
      const { rows } = await pool.query("show server_version_num");
      const major = Math.floor(Number(rows[0]?.server_version_num) / 10_000);
      if (major >= OLDEST_SERVER) return;
      throw new StartError(
        `Cannot use the database at ${placeOf(url)}: it is Postgres ${major}, and ${OLDEST_SERVER} or newer is needed`,
      );
    } catch (error) {
      if (error instanceof StartError) throw error;
      const reason = isPoolersRefusal(error) ? POOLER : FINAL_CODES[codeOf(error)];
      if (reason !== undefined) throw new StartError(`Cannot connect to the database at ${placeOf(url)}: ${reason}`);
      if (performance.now() + backoffMs > deadline) {
        throw new StartError(
          `Cannot connect to the database at ${placeOf(url)} within ${connectMs / 1000} s: ${
            messageOf(error)
          }; check DATABASE_URL and that the server runs`,
        );
      }
      log.warn("Database does not answer yet, trying again", {
        database: placeOf(url),
        inMs: backoffMs,
        reason: messageOf(error),
      });
      await delay(backoffMs);
    }
  }
}

/** Resolves when the database answers. */
export async function pingDatabase(db: Db): Promise<void> {
  await sql`select 1`.execute(db);
}

/** The same database, as another role. */
export function urlAs(url: Secret, { name, password }: { readonly name: string; readonly password: string }): Secret {
  const other = new URL(url.reveal());
  other.username = encodeURIComponent(name);
  other.password = encodeURIComponent(password);
  return new Secret(other.href);
}

/** Host, port and database without user and password. */
function placeOf(url: Secret): string {
  try {
    const { host, pathname } = new URL(url.reveal());
    return `${host}${pathname}`;
  } catch {
    return "the given URL";
  }
}

/** SQLSTATE of a statement's failure, a code of the network, or empty. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error ? Reflect.get(error, "code") : undefined;
  return typeof code === "string" ? code : "";
}

const UNIQUE_VIOLATION = "23505";

export function isUniqueViolation(error: unknown): boolean {
  return codeOf(error) === UNIQUE_VIOLATION;
}

const FOREIGN_KEY_VIOLATION = "23503";

export function isForeignKeyViolation(error: unknown): boolean {
  return codeOf(error) === FOREIGN_KEY_VIOLATION;
}

const DISK_FULL = "53100";

/** Connection failures, shutdown and start-up of the server, too many connections. */
const UNAVAILABLE = /^(08|57P0|53300|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)/;

/** The error a caller is told when a statement failed because the database is away; anything else as it was. */
export function asDatabaseError(error: unknown): unknown {
  if (error instanceof PlatformError) return error;
  if (codeOf(error) === DISK_FULL) {
    return new PlatformError("DATABASE_UNAVAILABLE", "The database has no disk space left: free some and try again", {
      cause: error,
    });
  }
  const isAway = UNAVAILABLE.test(codeOf(error)) ||
    /Connection terminated|not currently accepting connections|timeout exceeded when trying to connect|Client has encountered a connection error/
      .test(
        messageOf(error),
      );
  if (!isAway) return error;
  return new PlatformError("DATABASE_UNAVAILABLE", "The database does not answer: try again in a moment", {
    cause: error,
    details: { retry_after: 1 },
  });
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

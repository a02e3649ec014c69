/**
 * A pool of connections to Postgres that outlives each of them.
 *
 * Owns: that a connection which breaks, in use or not, ends nothing but what ran on it, and that one which went silent
 * is given up. A router that forgot a connection sends neither an answer nor an end: without this a statement on it
 * would wait for ever. And that an answer of the database has an end: the driver keeps a row, an error or a notice until
 * it is there whole, and SQL of users makes them as long as it likes.
 *
 * @module
 */
import { Socket } from "node:net";
import { PlatformError } from "@fluxbase/contract";
import pg from "pg";
import type { Log } from "../core/log.ts";

export interface ConnectionPool {
  readonly pool: pg.Pool;
  /**
   * Another connection to the same server went silent, so these may have too: the idle ones are closed, and what
   * runs has a few seconds to show a sign of life.
   */
  doubt(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ConnectionPoolOptions {
  readonly log: Log;
  /** What the connections are for, in the log. */
  readonly name: string;
  /** The server ends a statement after this. */
  readonly statementMs: number;
  /** What a connection may receive while it is in use once; absent where only SQL of ours is answered. */
  readonly answerMaxBytes?: number;
}

const SWEEP_MS = 1_000;
/** The server answers to every statement, if only that it took too long. */
const AFTER_STATEMENT_MS = 5_000;
const DOUBTED_MS = 4_000;
const KEEP_ALIVE_MS = 5_000;
/** The system asks a second time after 1 s. */
const DIAL_MS = 1_500;
const DIAL_SEEN_MS = 200;

interface Use {
  readonly bytesBefore: number;
  bytesRead: number;
  silentSinceMs: number;
}

export function openPool(
  config: pg.PoolConfig,
  { log, name, statementMs, answerMaxBytes }: ConnectionPoolOptions,
): ConnectionPool {
  const pool = new pg.Pool({
    stream: dial,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    statement_timeout: statementMs,
    ...config,
  });
  const idle = new Set<pg.PoolClient>();
  const busy = new Map<pg.PoolClient, Use>();
  let doubtedAtMs = -Infinity;

  // The pool listens only while a connection is idle. An error that nobody listens to ends the process.
  pool.on("connect", (client) => {
    client.on("error", (error) => log.warn("A database connection broke", { pool: name, reason: error.message }));
    if (answerMaxBytes === undefined) return;
    // Before it is in use for the first time, the connection is tried.
    boundAnswer(client, answerMaxBytes, () => busy.get(client)?.bytesBefore ?? 0);
  });
  pool.on("error", () => {});
  pool.on("acquire", (client) => {
    idle.delete(client);
    const { bytesRead } = socketOf(client);
    busy.set(client, { bytesBefore: bytesRead, bytesRead, silentSinceMs: performance.now() });
  });
  pool.on("release", (_, client) => {
    busy.delete(client);
    idle.add(client);
  });
  pool.on("remove", (client) => void idle.delete(client));

  function sweep(): void {
    const nowMs = performance.now();
    for (const [client, use] of busy) {
      const bytesRead = socketOf(client).bytesRead;
      if (bytesRead !== use.bytesRead) {
        use.bytesRead = bytesRead;
        use.silentSinceMs = nowMs;
        continue;
      }
      // Only what was under way then is doubted: what began since has a connection that was tried since.
      const untilMs = use.silentSinceMs <= doubtedAtMs
        ? doubtedAtMs + DOUBTED_MS
        : use.silentSinceMs + statementMs + AFTER_STATEMENT_MS;
      if (nowMs > untilMs) socketOf(client).destroy();
    }
  }

  const timer = setInterval(sweep, SWEEP_MS);
  return {
    pool,
    doubt() {
      doubtedAtMs = performance.now();
      for (const client of idle) socketOf(client).destroy();
      idle.clear();
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await pool.end();
    },
  };
}

/** Ends a connection that receives more than so many bytes after `bytesBefore`. */
export function boundAnswer(client: pg.Client, maxBytes: number, bytesBefore: () => number): void {
  const socket = socketOf(client);
  socket.on("data", () => {
    if (socket.bytesRead - bytesBefore() > maxBytes && !socket.destroyed) socket.destroy(answerTooLarge(maxBytes));
  });
}

function answerTooLarge(maxBytes: number): PlatformError {
  return new PlatformError(
    "RESPONSE_TOO_LARGE",
    `Cannot give what the database answers: it has more than ${maxBytes} bytes, the limit; ask for fewer rows or columns`,
    { details: { limit: maxBytes } },
  );
}

/**
 * A socket that gives up when nobody takes its connection. The system would ask again after 1, 2, 4, 8 s, and after a
 * network has healed whoever waits for it would go on waiting.
 */
export function dial(): Socket {
  const socket = new Socket();
  let timer = setTimeout(() => {
    // After a stall of ours it may be there and not yet seen.
    timer = setTimeout(() => {
      if (!socket.connecting) return;
      socket.destroy(Object.assign(new Error(`No connection within ${DIAL_MS} ms`), { code: "ETIMEDOUT" }));
    }, DIAL_SEEN_MS);
  }, DIAL_MS);
  const settle = () => clearTimeout(timer);
  return socket.once("connect", settle).once("close", settle);
}

/** What the driver calls a stream is the socket to the server. */
export function socketOf(client: pg.Client): Socket {
  return client.connection.stream as Socket;
}

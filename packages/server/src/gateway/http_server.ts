/**
 * Keeps a port open and hands each request on.
 *
 * Deno's own server stops accepting for good when it cannot open one more connection, so a client with many connections
 * would take it away from everybody: then this one listens again, until it can.
 *
 * @module
 */
import { delay, withDeadline } from "../core/clock.ts";
import { errorAnswer } from "../core/error_response.ts";
import type { Log } from "../core/log.ts";
import { StartError } from "../storage/start_error.ts";
import type { Connection } from "../ratelimit/client_address.ts";

export type RequestHandler = (request: Request, connection: Connection) => Promise<Response>;

export interface HttpServer {
  readonly port: number;
  /** Takes no new requests; resolves when those under way are over, or at the deadline, when they are cut. */
  stop(deadlineMs: number): Promise<void>;
}

export interface HttpServerOptions {
  readonly hostname: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** With other processes that say so, too: each connection goes to one of them. */
  readonly isShared?: boolean;
}

const LISTEN_AGAIN_MS = 100;

/** @throws what the system says when it cannot listen */
export function startHttpServer(
  { hostname, port, isShared = false }: HttpServerOptions,
  { log, handle }: { log: Log; handle: RequestHandler },
): HttpServer {
  const servers = new Set<Deno.HttpServer<Deno.NetAddr>>();
  let isStopping = false;
  const first = listen(port);

  function listen(onPort: number): Deno.HttpServer<Deno.NetAddr> {
    const server = Deno.serve({
      hostname,
      port: onPort,
      reusePort: isShared,
      onListen: () => {},
      onError(error) {
        const { status, body } = errorAnswer(error, crypto.randomUUID(), log);
        return Response.json(body, { status });
      },
    }, handle);
    servers.add(server);
    server.finished.then(() => servers.delete(server), (error: unknown) => void listenAgain(error));
    return server;
  }

  async function listenAgain(error: unknown): Promise<void> {
    if (isStopping) return;
    log.error("Cannot accept one more connection: raise the limit of open files (ulimit -n); listening again", {
      error,
    });
    while (!isStopping) {
      await delay(LISTEN_AGAIN_MS);
      try {
        listen(first.addr.port);
        return;
      } catch {
        // Still no room.
      }
    }
  }

  return {
    port: first.addr.port,
    async stop(deadlineMs) {
      isStopping = true;
      try {
        const ended = Promise.all([...servers].map((server) => server.shutdown().catch(() => {})));
        await withDeadline(ended, deadlineMs, () => new Error("overdue"));
      } catch {
        log.warn("Some requests did not finish in time and were cut", { limitMs: deadlineMs });
      }
    },
  };
}

export function cannotListen({ hostname, port }: HttpServerOptions, error: unknown): StartError {
  const why = error instanceof Deno.errors.AddrInUse
    ? "another program listens there already; stop it, or set FLUXBASE_SERVER_ADDRESS to another port, such as :8081"
    : error instanceof Error
    ? error.message
    : error;
  return new StartError(`Cannot listen on ${hostname}:${port}: ${why}`);
}

/**
 * One connection that only listens: tells this node what others changed, and when it may have missed something.
 *
 * @module
 */
import pg from "pg";
import { delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";

export interface Listener {
  /** Starts to listen; the handler gets the payload of each notification. */
  on(channel: string, handler: (payload: string) => void): Promise<void>;
  /** Called after a lost connection is back: notifications in between were missed. */
  onReconnect(handler: () => void): void;
  [Symbol.asyncDispose](): Promise<void>;
}

const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 3_000;

export async function startListener({ url, log }: { url: Secret; log: Log }): Promise<Listener> {
  const handlers = new Map<string, ((payload: string) => void)[]>();
  const reconnectHandlers: (() => void)[] = [];
  const stopping = new AbortController();
  let client = await connect();

  async function connect(): Promise<pg.Client> {
    const fresh = new pg.Client({
      connectionString: url.reveal(),
      application_name: "fluxbase-listener",
      keepAlive: true,
    });
    fresh.on("error", () => {});
    fresh.on("notification", ({ channel, payload }) => {
      for (const handler of handlers.get(channel) ?? []) handler(payload ?? "");
    });
    await fresh.connect();
    for (const channel of handlers.keys()) await fresh.query(`listen ${pg.escapeIdentifier(channel)}`);
    fresh.once("end", () => void reconnect());
    return fresh;
  }

  async function reconnect(): Promise<void> {
    for (
      let backoffMs = FIRST_BACKOFF_MS;
      !stopping.signal.aborted;
      backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS)
    ) {
      try {
        client = await connect();
        log.info("Listening for changes again");
        for (const handler of reconnectHandlers) handler();
        return;
      } catch (error) {
        log.warn("Lost the connection that listens for changes", {
          reason: error instanceof Error ? error.message : error,
        });
        await delay(backoffMs, stopping.signal).catch(() => {});
      }
    }
  }

  return {
    async on(channel, handler) {
      const known = handlers.get(channel);
      handlers.set(channel, [...known ?? [], handler]);
      if (known === undefined) await client.query(`listen ${pg.escapeIdentifier(channel)}`);
    },
    onReconnect: (handler) => void reconnectHandlers.push(handler),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      client.removeAllListeners("end");
      await client.end();
    },
  };
}

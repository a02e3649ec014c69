/**
 * Sessions that have ended while their access tokens are still valid, in memory of every server.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import type { Db } from "../storage/db.ts";
import type { Listener } from "../storage/listener.ts";
import { listEndedSessions } from "../storage/users.ts";

const SESSIONS_CHANNEL = "fluxbase_sessions";
const LOOK_MS = 60_000;

export interface EndedSessions {
  has(sessionId: string): boolean;
  onEnd(handler: (sessionId: string) => void): void;
  /** For the server that ends one: it does not wait for the notification. */
  add(sessionId: string): void;
  [Symbol.dispose](): void;
}

export interface EndedSessionsOptions {
  readonly db: Db;
  readonly listener: Listener;
  readonly log: Log;
  /** So long an access token lives at most. */
  readonly accessTokenSec: number;
}

export async function startEndedSessions(
  { db, listener, log, accessTokenSec }: EndedSessionsOptions,
): Promise<EndedSessions> {
  let ended = new Set<string>();
  /** Told since the last look: a look that began before must not lose them. */
  let told = new Set<string>();
  const handlers: ((sessionId: string) => void)[] = [];

  function add(sessionId: string): void {
    told.add(sessionId);
    if (ended.has(sessionId)) return;
    ended.add(sessionId);
    for (const handler of handlers) handler(sessionId);
  }

  async function look(): Promise<void> {
    told = new Set();
    const listed = await listEndedSessions(db, accessTokenSec + 60);
    const known = ended;
    ended = new Set([...listed, ...told]);
    for (const sessionId of ended) if (!known.has(sessionId)) { for (const handler of handlers) handler(sessionId); }
  }

  const lookOrSay = () =>
    void look().catch((error) => log.warn("Cannot read ended sessions from the database", { error }));
  await listener.on(SESSIONS_CHANNEL, add);
  listener.onReconnect(lookOrSay);
  await look();
  // Forgets those whose tokens are over.
  const timer = setInterval(lookOrSay, LOOK_MS);
  return {
    has: (sessionId) => ended.has(sessionId),
    onEnd: (handler) => void handlers.push(handler),
    add,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/**
 * Sessions that have ended while their access tokens are still valid, in memory of every server.
 *
 * @module
 */
import type { Db } from "../storage/db.ts";
import type { Changed } from "../storage/follower.ts";
import { isUuid, type Listener } from "../storage/listener.ts";
import { listEndedSessions } from "../storage/users.ts";

const SESSIONS_CHANNEL = "fluxbase_sessions";
/** Clocks of servers differ. */
const MORE_SEC = 60;

export interface EndedSessions {
  has(sessionId: string): boolean;
  onEnd(handler: (sessionId: string) => void): void;
  /** For the server that ends one: it does not wait for the notification. */
  add(sessionId: string): void;
}

export interface EndedSessionsOptions {
  readonly db: Db;
  readonly listener: Listener;
  /** So long an access token lives at most. */
  readonly accessTokenSec: number;
}

export async function startEndedSessions(
  { db, listener, accessTokenSec }: EndedSessionsOptions,
): Promise<EndedSessions> {
  let ended = new Set<string>();
  /** Ended by this server since the last read of all: one that began before must not lose them. */
  let own = new Set<string>();
  const handlers: ((sessionId: string) => void)[] = [];

  function add(sessionId: string): void {
    if (ended.has(sessionId)) return;
    ended.add(sessionId);
    for (const handler of handlers) handler(sessionId);
  }

  async function read(changed: Changed): Promise<void> {
    if (changed === "all") own = new Set();
    const listed = await listEndedSessions(db, {
      withinSec: accessTokenSec + MORE_SEC,
      ...(changed === "all" ? {} : { ids: [...changed] }),
    });
    for (const sessionId of listed) add(sessionId);
    // Forgets those whose tokens are over.
    if (changed === "all") ended = new Set([...listed, ...own]);
  }

  await listener.follow({ what: "ended sessions", channels: [SESSIONS_CHANNEL], isId: isUuid, read });
  return {
    has: (sessionId) => ended.has(sessionId),
    onEnd: (handler) => void handlers.push(handler),
    add(sessionId) {
      own.add(sessionId);
      add(sessionId);
    },
  };
}

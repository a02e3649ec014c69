/**
 * One connection that only listens, and what follows from what it hears.
 *
 * Owns: that a change is noticed, by notification or, when those are lost, by reading again; that a connection which
 * went silent is replaced within 5 s.
 * Does not own: what is read (each follower), how often (./follower.ts).
 *
 * @module
 */
import pg from "pg";
import { delay, withDeadline } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import { createFollower, type Follower, type FollowerOptions } from "./follower.ts";
import { dial, socketOf } from "./pool.ts";
import { StartError } from "./start_error.ts";

export interface Following extends Omit<FollowerOptions, "log"> {
  readonly channels: readonly string[];
  /** Whether the payload of a notification can name one thing; else a notification means that all may have changed. */
  readonly isId?: (payload: string) => boolean;
}

export interface Listener {
  /** Reads for the first time before it resolves; from then on after each change. */
  follow(following: Following): Promise<Follower>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ListenerOptions {
  readonly url: Secret;
  readonly log: Log;
  /** What to do when notifications do not arrive at this URL. */
  readonly advice: string;
  /** Called when the connection went silent: others to the same server may have, too. */
  readonly onSilence?: () => void;
}

const FIRST_BACKOFF_MS = 50;
/** Short: after a network has healed, what changed meanwhile is unknown until we are connected. */
const LAST_BACKOFF_MS = 500;
const CONNECT_MS = 5_000;
/** Together: so long a dead connection goes unnoticed. */
const HEARTBEAT_MS = 2_000;
const ANSWER_MS = 3_000;
const READ_AGAIN_MS = 30_000;
const CHECK_MS = 5_000;
const CHECK_CHANNEL_PREFIX = "fluxbase_check_";

interface Channel {
  readonly follower: Follower;
  readonly isId: (payload: string) => boolean;
}

/** @throws {StartError} when notifications do not arrive */
export async function startListener(
  { url, log, advice, onSilence = () => {} }: ListenerOptions,
): Promise<Listener> {
  const channels = new Map<string, Channel[]>();
  const followers: Follower[] = [];
  const stopping = new AbortController();
  await assertArrives(url, advice);
  let client = await connect();

  async function connect(): Promise<pg.Client> {
    const fresh = newClient(url);
    // From before it is connected: an end between two steps of it would otherwise never be told.
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    fresh.once("end", end);
    fresh.on("notification", ({ channel, payload = "" }) => {
      for (const { follower, isId } of channels.get(channel) ?? []) follower.wake(isId(payload) ? payload : undefined);
    });
    const listening = (async () => {
      await fresh.connect();
      for (const channel of channels.keys()) await fresh.query(`listen ${pg.escapeIdentifier(channel)}`);
    })();
    try {
      await withDeadline(listening, CONNECT_MS, () => new Error(`No answer within ${CONNECT_MS} ms`));
    } catch (error) {
      socketOf(fresh).destroy();
      throw error;
    }
    void ended.then(reconnect);
    void beat(fresh);
    return fresh;
  }

  /** The system notices a dead connection after many minutes, and only when something is sent. */
  async function beat(of: pg.Client): Promise<void> {
    while (!stopping.signal.aborted) {
      await delay(HEARTBEAT_MS, stopping.signal).catch(() => {});
      if (of !== client || stopping.signal.aborted) return;
      try {
        await withDeadline(of.query("select"), ANSWER_MS, () => new Error(`No answer within ${ANSWER_MS} ms`));
      } catch (error) {
        if (of !== client || stopping.signal.aborted) return;
        log.warn("The connection that listens for changes went silent: connecting again", { reason: reasonOf(error) });
        onSilence();
        return void socketOf(of).destroy();
      }
    }
  }

  async function reconnect(): Promise<void> {
    let backoffMs = FIRST_BACKOFF_MS;
    while (!stopping.signal.aborted) {
      try {
        const fresh = await connect();
        if (stopping.signal.aborted) return void await fresh.end();
        client = fresh;
        log.info("Listening for changes again");
        for (const follower of followers) follower.wake();
        return;
      } catch (error) {
        if (backoffMs === FIRST_BACKOFF_MS) {
          log.warn("Lost the connection that listens for changes", { reason: reasonOf(error) });
        }
        await delay(backoffMs, stopping.signal).catch(() => {});
        backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS);
      }
    }
  }

  const timer = setInterval(() => {
    for (const follower of followers) follower.wake();
  }, READ_AGAIN_MS);

  return {
    async follow({ channels: names, isId = () => false, ...reading }) {
      const follower = createFollower({ ...reading, log });
      // Listens before it reads, so that no change can fall between the two.
      for (const name of names) {
        const known = channels.get(name);
        channels.set(name, [...known ?? [], { follower, isId }]);
        if (known === undefined) await client.query(`listen ${pg.escapeIdentifier(name)}`);
      }
      followers.push(follower);
      await follower.refresh();
      return follower;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      clearInterval(timer);
      await Promise.all(followers.map((follower) => follower.stop()));
      await withDeadline(client.end(), ANSWER_MS, () => new Error("overdue")).catch(() => socketOf(client).destroy());
    },
  };
}

/**
 * Between us and Postgres there may be a pooler that gives each transaction another connection: it takes LISTEN and
 * says nothing, and nothing is ever heard. So one connection tells another something.
 */
async function assertArrives(url: Secret, advice: string): Promise<void> {
  const channel = CHECK_CHANNEL_PREFIX + crypto.randomUUID().replaceAll("-", "");
  const [hearing, telling] = [newClient(url), newClient(url)];
  try {
    await Promise.all([hearing.connect(), telling.connect()]);
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    hearing.once("notification", () => resolve());
    await hearing.query(`listen ${channel}`);
    await telling.query(`notify ${channel}`);
    await withDeadline(arrived, CHECK_MS, () =>
      new StartError(
        `Cannot use the database: notifications do not arrive, as behind a connection pooler in transaction mode; ${advice}`,
      ));
  } finally {
    await Promise.all([hearing, telling].map((client) => client.end().catch(() => {})));
  }
}

function newClient(url: Secret): pg.Client {
  const client = new pg.Client({
    connectionString: url.reveal(),
    stream: dial,
    application_name: "fluxbase-listener",
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  });
  // An error that nobody listens to ends the process; what follows from it comes with the end of the connection.
  client.on("error", () => {});
  return client;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function isUuid(payload: string): boolean {
  return UUID.test(payload);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

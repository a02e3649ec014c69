/**
 * Tells who follows the log of lines as they are written, on whichever server.
 *
 * Every server writes lines to the database within 300 ms, also those of executions that go on. So there they are looked
 * for, four times a second for all who follow on this server, and only while somebody does. Nothing is taken from
 * notifications, which functions may send as well.
 *
 * Owns: which batches of lines were seen, how many may follow.
 * Does not own: which lines somebody wants, and how fast he takes them (../api/followed_logs.ts).
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { type Clock, delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import { listLinesOfBatches, listNewBatches, type StoredLogLine } from "../storage/executions.ts";
import { addFollower, removeFollower, touchFollowers } from "../storage/log_followers.ts";

export interface TailFollower {
  /** The credential. */
  readonly who: string;
  /** Undefined: lines of more than one function are wanted. */
  readonly functionId: string | undefined;
  /** `leftOutCount`: so many more there are at most, which nobody has read. */
  take(lines: readonly StoredLogLine[], leftOutCount: number): void;
}

export interface LogTail {
  /**
   * Until it is disposed of, lines that are written from now on; some of a moment before may be among them.
   *
   * @throws {PlatformError} RATE_LIMITED
   */
  follow(follower: TailFollower): Promise<AsyncDisposable>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LogTailOptions {
  readonly db: Database["db"];
  readonly clock: Clock;
  readonly log: Log;
  readonly node: string;
  /** On all servers together. */
  readonly followersMaxCount: number;
}

const LOOK_EVERY_MS = 250;
const TOUCH_EVERY_MS = 10_000;
const FOLLOWERS_OF_ONE_MAX_COUNT = 10;
/** So long may pass between the beginning of a write and its commit. */
const LATE_SEC = 60;
/** Lines that are read at once; what is more is only counted. */
const LINES_MAX_COUNT = 4_000;
const LINES_MAX_BYTES = 16 * 1024 * 1024;

export function createLogTail({ db, clock, log, node, followersMaxCount }: LogTailOptions): LogTail {
  const followers = new Map<string, TailFollower>();
  const stopping = new AbortController();
  /** Batches that were seen, and when. */
  const seen = new Map<string, number>();
  let lookedAtMs = 0;
  let touchedAtMs = 0;
  let isAway = false;
  let starting: Promise<void> | undefined;
  let running: Promise<void> | undefined;

  async function findBatches(): Promise<string[]> {
    const nowMs = clock.nowMs();
    const sinceLookMs = lookedAtMs === 0 ? 0 : nowMs - lookedAtMs;
    const withinSec = LATE_SEC + Math.ceil(sinceLookMs / 1_000);
    const found = await listNewBatches(db, [...seen.keys()], withinSec);
    lookedAtMs = nowMs;
    for (const [seq, seenMs] of seen) if (nowMs - seenMs > 2 * withinSec * 1_000) seen.delete(seq);
    for (const seq of found) seen.set(seq, nowMs);
    return found;
  }

  /** What was there before the first one followed is not told. */
  async function start(): Promise<void> {
    await findBatches();
    running = run().finally(() => {
      starting = undefined;
      seen.clear();
      lookedAtMs = 0;
    });
  }

  async function run(): Promise<void> {
    while (followers.size > 0 && !stopping.signal.aborted) {
      try {
        await look();
        if (clock.nowMs() - touchedAtMs > TOUCH_EVERY_MS) await touch();
        isAway = false;
      } catch (error) {
        if (!isAway) log.warn("Cannot look for new lines of log: trying again", { error });
        isAway = true;
      }
      await delay(LOOK_EVERY_MS, stopping.signal).catch(() => {});
    }
  }

  async function look(): Promise<void> {
    const batches = await findBatches();
    if (batches.length === 0) return;
    const { lines, moreCount } = await listLinesOfBatches(db, {
      batches,
      functionIds: wantedFunctions(),
      limit: LINES_MAX_COUNT,
      maxBytes: LINES_MAX_BYTES,
    }).catch((error) => {
      for (const seq of batches) seen.delete(seq);
      throw error;
    });
    for (const follower of followers.values()) follower.take(lines, moreCount);
  }

  function wantedFunctions(): readonly string[] | undefined {
    const ids = [...followers.values()].map(({ functionId }) => functionId);
    return ids.some((id) => id === undefined) ? undefined : ids.flatMap((id) => id ?? []);
  }

  async function touch(): Promise<void> {
    await touchFollowers(db, [...followers.keys()]);
    touchedAtMs = clock.nowMs();
  }

  return {
    async follow(follower) {
      const id = crypto.randomUUID();
      const most = { all: followersMaxCount, ofOne: FOLLOWERS_OF_ONE_MAX_COUNT };
      const counts = await addFollower(db, { id, who: follower.who, node }, most);
      if (counts !== undefined) throw tooMany(counts.all >= most.all, most);
      followers.set(id, follower);
      const place = {
        async [Symbol.asyncDispose]() {
          followers.delete(id);
          await removeFollower(db, id).catch(() => {});
        },
      };
      try {
        await (starting ??= start());
      } catch (error) {
        starting = undefined;
        await place[Symbol.asyncDispose]();
        throw error;
      }
      return place;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
    },
  };
}

function tooMany(isFull: boolean, most: { readonly all: number; readonly ofOne: number }): PlatformError {
  return new PlatformError(
    "RATE_LIMITED",
    isFull
      ? `Cannot follow: ${most.all} clients of this platform follow logs already (FLUXBASE_LIMITS_LOG_FOLLOWERS_COUNT)`
      : `Cannot follow: this credential follows logs ${most.ofOne} times already`,
  );
}

/**
 * Keeps something in memory as the database has it: reads it when told that it changed.
 *
 * Whoever may send notifications may send any, so one is never believed: it only wakes a read of what the database says.
 * Reads never overlap, and those that notifications ask for take a fifth of the time at most, however many there are, or
 * when a read takes long, leave a second between two of them.
 *
 * @module
 */
import { delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";

/** What may have changed. */
export type Changed = ReadonlySet<string> | "all";

export interface FollowerOptions {
  /** What is followed, in the log. */
  readonly what: string;
  readonly log: Log;
  /** An answer never comes after a newer one: the next read begins when this one is over. */
  readonly read: (changed: Changed) => Promise<void>;
}

export interface Follower {
  /** After a notification. Undefined: anything may have changed. */
  wake(id?: string): void;
  /** After a change of our own: resolves when what holds now has been read. */
  refresh(id?: string): Promise<void>;
  /** Resolves when what was told so far has been read; undefined when it has been. Never rejects. */
  settled(): Promise<void> | undefined;
  /** Ends it; resolves when no read is under way. */
  stop(): Promise<void>;
}

/** Of more things than that, all are read. */
const IDS_MAX_COUNT = 256;
const ID_MAX_CHARACTERS = 255;
/** Between reads that nobody waits for: so many times as long as the last one took. */
const PAUSE_PER_READ = 4;
const PAUSE_MIN_MS = 20;
/** A database that was slow for a moment must not keep changes from us for several more. */
const PAUSE_MAX_MS = 1_000;
const AGAIN_MS = 1_000;

export function createFollower({ what, log, read }: FollowerOptions): Follower {
  let pending: Set<string> | "all" | undefined;
  /** Of those who wait for the next read. */
  let next: PromiseWithResolvers<void> | undefined;
  let running: Promise<void> | undefined;
  let reading: Promise<void> | undefined;
  /** Aborted when the next read must not wait. */
  let hurry = new AbortController();
  let isFailing = false;
  let isStopped = false;

  function add(changed: Changed | undefined): void {
    if (pending === "all") return;
    if (changed === undefined || changed === "all") {
      pending = "all";
      return;
    }
    pending ??= new Set();
    for (const id of changed) pending.add(id);
    if (pending.size > IDS_MAX_COUNT) pending = "all";
  }

  const idsOf = (id: string | undefined): Changed =>
    id === undefined || id.length > ID_MAX_CHARACTERS ? "all" : new Set([id]);

  function start(): void {
    if (!isStopped) running ??= run();
  }

  async function run(): Promise<void> {
    while (pending !== undefined && !isStopped) {
      const changed = pending;
      const waiting = next;
      pending = undefined;
      next = undefined;
      hurry = new AbortController();
      const startedMs = performance.now();
      let pauseMs: number;
      try {
        reading = read(changed);
        await reading;
        isFailing = false;
        waiting?.resolve();
        const tookMs = performance.now() - startedMs;
        pauseMs = Math.min(Math.max(PAUSE_MIN_MS, PAUSE_PER_READ * tookMs), PAUSE_MAX_MS);
      } catch (error) {
        if (!isFailing) log.warn(`Cannot read ${what} from the database: trying again`, { error });
        isFailing = true;
        add(changed);
        waiting?.reject(error);
        pauseMs = AGAIN_MS;
      } finally {
        reading = undefined;
      }
      await delay(pauseMs, hurry.signal).catch(() => {});
    }
    // Here and not in a handler of its promise: what is told in between would wait for the next telling.
    running = undefined;
  }

  function wait(): Promise<void> {
    next ??= Promise.withResolvers();
    // Not everybody who could wait does.
    next.promise.catch(() => {});
    return next.promise;
  }

  return {
    wake(id) {
      add(idsOf(id));
      start();
    },
    refresh(id) {
      if (isStopped) return Promise.resolve();
      add(idsOf(id));
      const read = wait();
      hurry.abort();
      start();
      return read;
    },
    settled() {
      const read = pending !== undefined && !isStopped ? wait() : reading;
      return read?.catch(() => {});
    },
    async stop() {
      isStopped = true;
      hurry.abort();
      next?.resolve();
      await running;
    },
  };
}

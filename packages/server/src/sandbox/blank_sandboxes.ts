/**
 * Sandboxes without a version yet: started ahead, so that a cold call only loads its bundle.
 *
 * Owns: how many are kept for which profile, how many start at once, who gets the next one.
 * Does not own: whether there is room for one more (./sandbox_pool.ts).
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import type { Sandbox } from "./sandbox.ts";
import type { SandboxProfile } from "./sandbox_process.ts";

export interface BlankSandboxes {
  /** One that is there, or the next one that has started. Rejects with the reason why one did not start. */
  take(profile: SandboxProfile): Promise<Sandbox>;
  has(profile: SandboxProfile): boolean;
  /** Starts the missing ones of a profile a moment from now. */
  refillSoon(profile: SandboxProfile, delayMs?: number): void;
  giveBack(profile: SandboxProfile, sandbox: Sandbox): void;
  remove(sandbox: Sandbox): void;
  /** Ready to be taken. */
  readonly count: number;
  /** Being started, or about to. */
  readonly comingCount: number;
  /** Starts no more, and resolves when none is being started. */
  stop(): Promise<void>;
}

export interface BlankOptions {
  readonly log: Log;
  /** Kept ahead for each of the profiles used last. */
  readonly perProfileCount: number;
  start(profile: SandboxProfile): Promise<Sandbox>;
  /** Whether one more may exist; another one may be ended for it. */
  makeRoom(): boolean;
}

/** Started again a moment after one was taken, so that the cold call has the processor to itself. */
const REFILL_DELAY_MS = 30;
/** Profiles for which some are kept ahead: those asked for last. */
const PROFILES_MAX_COUNT = 4;
/** More at once would only make each of them later. */
const STARTS_MAX_COUNT = 2 * navigator.hardwareConcurrency;

interface Shelf {
  readonly profile: SandboxProfile;
  readonly ready: Sandbox[];
  readonly waiting: PromiseWithResolvers<Sandbox>[];
  /** Starting, or waiting for its turn to start. */
  comingCount: number;
}

export function createBlankSandboxes({ log, perProfileCount, start, makeRoom }: BlankOptions): BlankSandboxes {
  // A Map keeps the order of insertion: the profile asked for last is the last one.
  const shelves = new Map<string, Shelf>();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const toStart: Shelf[] = [];
  const starting = new Set<Promise<void>>();
  let isStopping = false;

  function shelfOf(profile: SandboxProfile): Shelf {
    const key = `${profile.net.toString()}/${profile.read}/${profile.write}/${profile.memoryMiB}`;
    const shelf = shelves.get(key) ?? { profile, ready: [], waiting: [], comingCount: 0 };
    shelves.delete(key);
    shelves.set(key, shelf);
    return shelf;
  }

  function plan(shelf: Shelf): void {
    shelf.comingCount += 1;
    toStart.push(shelf);
    startNext();
  }

  function startNext(): void {
    while (starting.size < STARTS_MAX_COUNT) {
      const shelf = toStart.shift();
      if (shelf === undefined) return;
      const work = startFor(shelf);
      starting.add(work);
      void work.finally(() => {
        starting.delete(work);
        startNext();
      });
    }
  }

  async function startFor(shelf: Shelf): Promise<void> {
    try {
      if (isStopping) throw new Error("The server is stopping");
      put(shelf, await start(shelf.profile));
    } catch (error) {
      const waiter = shelf.waiting.shift();
      if (waiter === undefined) log.warn("Blank sandbox did not start", { error });
      else waiter.reject(error);
    } finally {
      shelf.comingCount -= 1;
    }
  }

  function put(shelf: Shelf, sandbox: Sandbox): void {
    const waiter = shelf.waiting.shift();
    if (waiter === undefined) shelf.ready.push(sandbox);
    else waiter.resolve(sandbox);
  }

  function refill(shelf: Shelf): void {
    const isKept = [...shelves.values()].slice(-PROFILES_MAX_COUNT).includes(shelf);
    const wantedCount = isKept && !isStopping ? perProfileCount + shelf.waiting.length : 0;
    while (shelf.ready.length + shelf.comingCount < wantedCount && makeRoom()) plan(shelf);
  }

  return {
    take(profile) {
      const shelf = shelfOf(profile);
      const sandbox = shelf.ready.pop();
      if (sandbox !== undefined) return Promise.resolve(sandbox);
      const waiter = Promise.withResolvers<Sandbox>();
      shelf.waiting.push(waiter);
      if (shelf.comingCount < shelf.waiting.length) plan(shelf);
      return waiter.promise;
    },
    has: (profile) => shelfOf(profile).ready.length > 0,
    refillSoon(profile, delayMs = REFILL_DELAY_MS) {
      const shelf = shelfOf(profile);
      const timer = setTimeout(() => {
        timers.delete(timer);
        refill(shelf);
      }, delayMs);
      timers.add(timer);
    },
    giveBack: (profile, sandbox) => put(shelfOf(profile), sandbox),
    remove(sandbox) {
      for (const { ready } of shelves.values()) {
        const index = ready.indexOf(sandbox);
        if (index >= 0) ready.splice(index, 1);
      }
    },
    get count() {
      return sum(shelves, ({ ready }) => ready.length);
    },
    get comingCount() {
      return sum(shelves, ({ comingCount }) => comingCount);
    },
    async stop() {
      isStopping = true;
      for (const timer of timers) clearTimeout(timer);
      while (starting.size > 0) await Promise.all([...starting]);
    },
  };
}

function sum(shelves: ReadonlyMap<string, Shelf>, countOf: (shelf: Shelf) => number): number {
  return [...shelves.values()].reduce((total, shelf) => total + countOf(shelf), 0);
}

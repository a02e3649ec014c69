/**
 * Sandboxes without a version yet: started ahead, so that a cold call only loads its bundle.
 *
 * Owns: which blank sandboxes there are, how many are kept for which profile.
 * Does not own: when one starts and whether there is room for it (./start_queue.ts, ./sandbox_pool.ts).
 *
 * @module
 */
import type { Sandbox } from "./sandbox.ts";
import type { SandboxProfile } from "./sandbox_process.ts";

export interface BlankSandboxes {
  take(profile: SandboxProfile): Sandbox | undefined;
  put(profile: SandboxProfile, sandbox: Sandbox): void;
  remove(sandbox: Sandbox): void;
  has(sandbox: Sandbox): boolean;
  /** Profiles that lack some, once for each; those that start already are counted by `begin`. */
  lacking(): SandboxProfile[];
  /** One of this profile starts to be kept here; call what it returns when that is over. */
  begin(profile: SandboxProfile): () => void;
  readonly count: number;
}

export interface BlankOptions {
  /** Kept ahead for each of the profiles used last, more while more are taken. */
  readonly perProfileCount: number;
  now(): number;
}

/** Replaced a moment after one was taken, so that the cold call has the processor to itself. */
export const REFILL_DELAY_MS = 30;
/** Profiles for which some are kept ahead: those asked for last. */
const PROFILES_MAX_COUNT = 4;

/** So many are kept ahead as are taken in this time, up to a bound. */
const AHEAD_SEC = 0.2;
const AHEAD_MAX_COUNT = 16;
/** How fast the rate of the past is forgotten. */
const RATE_HALF_LIFE_MS = 1_000;

interface Shelf {
  readonly profile: SandboxProfile;
  readonly ready: Sandbox[];
  comingCount: number;
  refillAtMs: number;
  /** Taken in the last moments, older ones counting less. */
  takenCount: number;
  takenAtMs: number;
}

export function createBlankSandboxes({ perProfileCount, now }: BlankOptions): BlankSandboxes {
  // A Map keeps the order of insertion: the profile asked for last is the last one.
  const shelves = new Map<string, Shelf>();

  function shelfOf(profile: SandboxProfile): Shelf {
    const key = `${JSON.stringify(profile.net)}/${profile.read}/${profile.write}/${profile.memoryMiB}`;
    let shelf = shelves.get(key);
    if (shelf === undefined) {
      forgetEmpty();
      shelves.set(key, shelf = { profile, ready: [], comingCount: 0, refillAtMs: 0, takenCount: 0, takenAtMs: 0 });
    }
    return shelf;
  }

  /** Profiles may be many: a list of hosts is part of one. */
  function forgetEmpty(): void {
    const kept = [...shelves].slice(-PROFILES_MAX_COUNT).map(([key]) => key);
    for (const [key, { ready, comingCount }] of shelves) {
      if (ready.length + comingCount === 0 && !kept.includes(key)) shelves.delete(key);
    }
  }

  function use(shelf: Shelf): void {
    for (const [key, other] of shelves) {
      if (other !== shelf) continue;
      shelves.delete(key);
      shelves.set(key, shelf);
      return;
    }
  }

  function takenNow({ takenCount, takenAtMs }: Shelf, nowMs: number): number {
    return takenCount * 0.5 ** ((nowMs - takenAtMs) / RATE_HALF_LIFE_MS);
  }

  function wantedCount(shelf: Shelf, nowMs: number): number {
    if (perProfileCount === 0) return 0;
    const perSec = takenNow(shelf, nowMs) * Math.LN2 / (RATE_HALF_LIFE_MS / 1_000);
    return Math.max(perProfileCount, Math.min(AHEAD_MAX_COUNT, Math.round(perSec * AHEAD_SEC)));
  }

  return {
    take(profile) {
      const shelf = shelfOf(profile);
      const nowMs = now();
      use(shelf);
      shelf.refillAtMs = nowMs + REFILL_DELAY_MS;
      shelf.takenCount = takenNow(shelf, nowMs) + 1;
      shelf.takenAtMs = nowMs;
      while (true) {
        const sandbox = shelf.ready.pop();
        if (sandbox === undefined || sandbox.state === "blank") return sandbox;
      }
    },
    put: (profile, sandbox) => void shelfOf(profile).ready.push(sandbox),
    remove(sandbox) {
      for (const { ready } of shelves.values()) {
        const index = ready.indexOf(sandbox);
        if (index >= 0) ready.splice(index, 1);
      }
    },
    has: (sandbox) => [...shelves.values()].some(({ ready }) => ready.includes(sandbox)),
    lacking() {
      const nowMs = now();
      return [...shelves.values()].slice(-PROFILES_MAX_COUNT)
        .filter((shelf) =>
          shelf.ready.length + shelf.comingCount < wantedCount(shelf, nowMs) && nowMs >= shelf.refillAtMs
        )
        .map(({ profile }) => profile).toReversed();
    },
    begin(profile) {
      const shelf = shelfOf(profile);
      shelf.comingCount += 1;
      return () => void (shelf.comingCount -= 1);
    },
    get count() {
      return [...shelves.values()].reduce((sum, { ready }) => sum + ready.length, 0);
    },
  };
}

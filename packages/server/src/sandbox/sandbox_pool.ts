/**
 * Keeps sandboxes: blank ones ready to become any function, and for each version those that serve it.
 *
 * Owns: how many sandboxes exist, who waits for one, which is ended first.
 * Does not own: what happens inside one (./sandbox.ts), which version is live (../catalog/).
 *
 * @module
 */
import { type LimitKey, LIMITS, PlatformError } from "@fluxbase/contract";
import { type Clock, delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { type Fence, FENCES } from "../../sandbox_runtime/harden.ts";
import type { LogLine } from "./exchange.ts";
import { Sandbox } from "./sandbox.ts";
import { type SandboxProcessOptions, type SandboxProfile, startSandboxProcess } from "./sandbox_process.ts";

/** One version of one function, as far as a sandbox needs to know it. */
export interface SandboxVersion {
  /** Unique for each version of each function. */
  readonly key: string;
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
  readonly profile: SandboxProfile;
  /** Every request gets a sandbox of its own, discarded after. */
  readonly isolated: boolean;
  /** Read when a sandbox loads the version: the cold path. */
  bundle(): Promise<string>;
  env(): Promise<Readonly<Record<string, string>>>;
}

export type PoolLimits = Readonly<
  Record<
    Extract<
      LimitKey,
      | "eventLoopBlockedMs"
      | "logLineBytes"
      | "logLinesCount"
      | "concurrencyCount"
      | "sandboxRequestsCount"
      | "sandboxLifeMs"
      | "sandboxIdleMs"
      | "sandboxCount"
      | "blankSandboxCount"
      | "sandboxStartMs"
      | "sandboxLoadMs"
      | "waitingRequestsCount"
      | "waitForSandboxMs"
    >,
    number
  >
>;

export interface SandboxPoolOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: PoolLimits;
  readonly process: Omit<SandboxProcessOptions, "startMs">;
}

export interface PoolStats {
  readonly sandboxCount: number;
  readonly blankCount: number;
  readonly busyCount: number;
  readonly waitingCount: number;
  readonly startedCount: number;
}

export interface SandboxPool {
  /**
   * A sandbox of the version with room for a request: at once when one is warm, else a promise.
   *
   * @throws {PlatformError} POOL_EXHAUSTED when too many wait or none is free in time; BUNDLE_FAILED when the version
   * cannot be loaded; SANDBOX_DIED when no sandbox can be started
   */
  acquire(version: SandboxVersion): Sandbox | Promise<Sandbox>;
  /** Sandboxes of this version take no new requests and end when those under way are over. */
  retire(key: string): void;
  stats(): PoolStats;
  /** Which fences stand around a sandbox started now, and which do not. */
  probe(): Promise<{ readonly standing: readonly Fence[]; readonly missing: readonly Fence[] }>;
  /** Resolves when no request is under way, background work included, or at the deadline. */
  settle(deadlineMs: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Waiter {
  readonly resolve: (sandbox: Sandbox) => void;
  readonly reject: (error: Error) => void;
  readonly untilMs: number;
}

/** The sandboxes of one version. */
interface Fleet {
  readonly version: SandboxVersion;
  readonly sandboxes: Sandbox[];
  startingCount: number;
  waiting: Waiter[];
}

const TICK_MS = 10;
const HOUSEKEEPING_MS = 500;
/** Blank sandboxes are started again a moment after one was taken, so that a cold call has the processor to itself. */
const REFILL_DELAY_MS = 30;
const DEFAULT_PROFILE: SandboxProfile = { net: true, read: false, write: false, memoryMiB: LIMITS.memoryMiB.default };

export function startSandboxPool(options: SandboxPoolOptions): SandboxPool {
  const { clock, log, limits } = options;
  const fleets = new Map<string, Fleet>();
  const blanks = new Map<
    string,
    { readonly profile: SandboxProfile; readonly ready: Sandbox[]; startingCount: number }
  >();
  const all = new Set<Sandbox>();
  const fleetOf = new Map<Sandbox, Fleet>();
  const starting = new Set<Promise<unknown>>();
  let waitingCount = 0;
  let startedCount = 0;
  let isStopping = false;

  const ticker = setInterval(tick, TICK_MS);
  const housekeeper = setInterval(keepHouse, HOUSEKEEPING_MS);
  const refills = new Set<ReturnType<typeof setTimeout>>();

  const events = {
    released: onReleased,
    died: onDied,
    logged(sandbox: Sandbox, line: LogLine) {
      const version = fleetOf.get(sandbox)?.version;
      log.debug("Function wrote outside a request", { function: version?.functionName, message: line.message });
    },
  };

  function acquire(version: SandboxVersion): Sandbox | Promise<Sandbox> {
    const fleet = fleetFor(version);
    return leastBusy(fleet) ?? wait(fleet);
  }

  function fleetFor(version: SandboxVersion): Fleet {
    let fleet = fleets.get(version.key);
    if (fleet === undefined) {
      fleet = { version, sandboxes: [], startingCount: 0, waiting: [] };
      fleets.set(version.key, fleet);
    }
    return fleet;
  }

  function leastBusy({ sandboxes }: Fleet): Sandbox | undefined {
    let best: Sandbox | undefined;
    for (const sandbox of sandboxes) {
      if (sandbox.state !== "ready" || roomIn(sandbox) <= 0) continue;
      if (best === undefined || sandbox.load < best.load) best = sandbox;
    }
    return best;
  }

  function roomIn({ load, servedCount, requestsMaxCount }: Sandbox): number {
    return Math.min(limits.concurrencyCount - load, requestsMaxCount - servedCount);
  }

  function requestsMaxCountOf({ isolated }: SandboxVersion): number {
    return isolated ? 1 : limits.sandboxRequestsCount;
  }

  function wait(fleet: Fleet): Promise<Sandbox> {
    if (isStopping) return Promise.reject(new PlatformError("SHUTTING_DOWN", "The server is stopping: try again"));
    if (waitingCount >= limits.waitingRequestsCount) return Promise.reject(exhausted("too many requests wait for one"));
    const { promise, resolve, reject } = Promise.withResolvers<Sandbox>();
    waitingCount += 1;
    fleet.waiting.push({ resolve, reject, untilMs: clock.nowMs() + limits.waitForSandboxMs });
    growFor(fleet);
    return promise;
  }

  /** Starts as many sandboxes as those who wait can use. */
  function growFor(fleet: Fleet): void {
    const perSandbox = Math.min(limits.concurrencyCount, requestsMaxCountOf(fleet.version));
    const neededCount = Math.ceil(fleet.waiting.length / perSandbox);
    const { ready } = shelfFor(fleet.version.profile);
    while (fleet.startingCount < neededCount && (ready.length > 0 || makeRoom())) {
      fleet.startingCount += 1;
      track(grow(fleet));
    }
  }

  async function grow(fleet: Fleet): Promise<void> {
    let sandbox: Sandbox | undefined;
    try {
      sandbox = await takeBlank(fleet.version.profile);
      fleetOf.set(sandbox, fleet);
      sandbox.requestsMaxCount = requestsMaxCountOf(fleet.version);
      await load(sandbox, fleet.version);
      fleet.sandboxes.push(sandbox);
    } catch (error) {
      const reason = error instanceof PlatformError
        ? error
        : new PlatformError("SANDBOX_DIED", "Cannot start a sandbox", { cause: error });
      if (reason.code !== "BUNDLE_FAILED") {
        log.warn("Sandbox did not start", { function: fleet.version.functionName, error });
      }
      sandbox?.kill(reason);
      fleet.startingCount -= 1;
      // Those who came later may get a better answer; these have waited for this start.
      for (const waiter of takeWaiters(fleet, fleet.waiting.length)) waiter.reject(reason);
      return;
    }
    fleet.startingCount -= 1;
    serveWaiting(fleet, sandbox);
    growFor(fleet);
  }

  async function load(sandbox: Sandbox, version: SandboxVersion): Promise<void> {
    const [bundle, env] = await Promise.all([version.bundle(), version.env()]);
    const overdue = setTimeout(() => sandbox.kill(loadTooSlow(limits.sandboxLoadMs)), limits.sandboxLoadMs);
    try {
      await sandbox.loadBundle(bundle, {
        functionName: version.functionName,
        namespace: version.namespace,
        version: version.version,
        env,
        logLineBytes: limits.logLineBytes,
        logLinesCount: limits.logLinesCount,
      });
    } finally {
      clearTimeout(overdue);
    }
  }

  async function takeBlank(profile: SandboxProfile): Promise<Sandbox> {
    const shelf = shelfFor(profile);
    const sandbox = shelf.ready.pop();
    refillSoon(profile);
    return sandbox ?? await startBlank(profile);
  }

  async function startBlank(profile: SandboxProfile): Promise<Sandbox> {
    startedCount += 1;
    const process = await startSandboxProcess(profile, { ...options.process, startMs: limits.sandboxStartMs });
    const sandbox = await Sandbox.start(process, events, {
      limits: {
        memoryMiB: profile.memoryMiB,
        eventLoopBlockedMs: limits.eventLoopBlockedMs,
        logLineBytes: limits.logLineBytes,
        logLinesCount: limits.logLinesCount,
      },
      now: () => clock.nowMs(),
    });
    all.add(sandbox);
    if (isStopping) sandbox.kill(new PlatformError("SHUTTING_DOWN", "The server is stopping"));
    return sandbox;
  }

  function shelfFor(profile: SandboxProfile) {
    const key = `${profile.net}/${profile.read}/${profile.write}/${profile.memoryMiB}`;
    let shelf = blanks.get(key);
    if (shelf === undefined) {
      shelf = { profile, ready: [], startingCount: 0 };
      blanks.set(key, shelf);
    }
    return shelf;
  }

  function refillSoon(profile: SandboxProfile, delayMs = REFILL_DELAY_MS): void {
    const timer = setTimeout(() => {
      refills.delete(timer);
      track(refill(profile));
    }, delayMs);
    refills.add(timer);
  }

  async function refill(profile: SandboxProfile): Promise<void> {
    const shelf = shelfFor(profile);
    while (!isStopping && shelf.ready.length + shelf.startingCount < limits.blankSandboxCount && hasRoom()) {
      shelf.startingCount += 1;
      try {
        shelf.ready.push(await startBlank(profile));
      } catch (error) {
        log.warn("Blank sandbox did not start", { error });
        return;
      } finally {
        shelf.startingCount -= 1;
      }
    }
  }

  function hasRoom(): boolean {
    const comingCount = [...fleets.values()].reduce((sum, fleet) => sum + fleet.startingCount, 0);
    return all.size + comingCount < limits.sandboxCount;
  }

  /** True when one more sandbox may exist; ends the one that was idle longest if that is what it takes. */
  function makeRoom(): boolean {
    if (hasRoom()) return true;
    let oldest: Sandbox | undefined;
    for (const sandbox of all) {
      const isIdle = sandbox.load === 0 && (sandbox.state === "ready" || sandbox.state === "blank");
      if (isIdle && (oldest === undefined || sandbox.idleSinceMs < oldest.idleSinceMs)) oldest = sandbox;
    }
    if (oldest === undefined) return false;
    for (const shelf of blanks.values()) removeFrom(shelf.ready, oldest);
    oldest.drain();
    return true;
  }

  function onReleased(sandbox: Sandbox): void {
    const fleet = fleetOf.get(sandbox);
    if (fleet !== undefined && fleet.waiting.length > 0) serveWaiting(fleet, sandbox);
    // A sandbox that has become idle can make room for others.
    if (waitingCount > 0 && sandbox.load === 0) growForAll();
  }

  function growForAll(): void {
    for (const fleet of fleets.values()) if (fleet.waiting.length > 0) growFor(fleet);
  }

  function serveWaiting(fleet: Fleet, sandbox: Sandbox): void {
    if (sandbox.state !== "ready") return;
    for (const waiter of takeWaiters(fleet, roomIn(sandbox))) waiter.resolve(sandbox);
  }

  function takeWaiters(fleet: Fleet, count: number): Waiter[] {
    const taken = fleet.waiting.splice(0, Math.max(0, count));
    waitingCount -= taken.length;
    return taken;
  }

  function onDied(sandbox: Sandbox, reason: PlatformError): void {
    all.delete(sandbox);
    for (const shelf of blanks.values()) removeFrom(shelf.ready, sandbox);
    const fleet = fleetOf.get(sandbox);
    fleetOf.delete(sandbox);
    log.debug("Sandbox ended", {
      pid: sandbox.pid,
      function: fleet?.version.functionName,
      reason: reason.message,
      output: reason.cause,
    });
    if (fleet === undefined) return;
    removeFrom(fleet.sandboxes, sandbox);
    if (fleet.waiting.length > 0) growFor(fleet);
    else forgetIfEmpty(fleet);
  }

  function forgetIfEmpty(fleet: Fleet): void {
    if (fleet.sandboxes.length + fleet.startingCount + fleet.waiting.length === 0) fleets.delete(fleet.version.key);
  }

  function retire(key: string): void {
    for (const sandbox of [...fleets.get(key)?.sandboxes ?? []]) sandbox.drain();
  }

  function tick(): void {
    const now = clock.nowMs();
    for (const sandbox of all) sandbox.tick(now);
    if (waitingCount === 0) return;
    for (const fleet of fleets.values()) {
      while (fleet.waiting[0] !== undefined && fleet.waiting[0].untilMs <= now) {
        for (const waiter of takeWaiters(fleet, 1)) {
          waiter.reject(exhausted(`none was free within ${limits.waitForSandboxMs} ms`));
        }
      }
    }
  }

  function keepHouse(): void {
    const now = clock.nowMs();
    for (const fleet of fleets.values()) {
      for (const sandbox of [...fleet.sandboxes]) {
        if (sandbox.state !== "ready") continue;
        const isIdle = sandbox.load === 0 && now - sandbox.idleSinceMs > limits.sandboxIdleMs;
        if (isIdle || now - sandbox.startedMs > limits.sandboxLifeMs) sandbox.drain();
      }
      if (fleet.waiting.length > 0) growFor(fleet);
      else forgetIfEmpty(fleet);
    }
  }

  function track(work: Promise<unknown>): void {
    starting.add(work);
    void work.finally(() => starting.delete(work));
  }

  refillSoon(DEFAULT_PROFILE, 0);

  return {
    acquire,
    retire,
    stats: () => ({
      sandboxCount: all.size,
      blankCount: [...blanks.values()].reduce((sum, shelf) => sum + shelf.ready.length, 0),
      busyCount: [...all].filter((sandbox) => sandbox.load > 0).length,
      waitingCount,
      startedCount,
    }),
    async probe() {
      const sandbox = await takeBlank(DEFAULT_PROFILE);
      shelfFor(DEFAULT_PROFILE).ready.push(sandbox);
      const standing = sandbox.fences;
      return { standing, missing: FENCES.filter((fence) => !standing.includes(fence)) };
    },
    async settle(deadlineMs) {
      while ([...all].some((sandbox) => sandbox.load > 0) && clock.nowMs() < deadlineMs) await delay(TICK_MS);
    },
    async [Symbol.asyncDispose]() {
      isStopping = true;
      clearInterval(ticker);
      clearInterval(housekeeper);
      for (const timer of refills) clearTimeout(timer);
      for (const fleet of fleets.values()) {
        for (const waiter of takeWaiters(fleet, fleet.waiting.length)) {
          waiter.reject(new PlatformError("SHUTTING_DOWN", "The server is stopping: try again"));
        }
      }
      const kill = () => {
        const living = [...all];
        for (const sandbox of living) sandbox.kill(new PlatformError("SHUTTING_DOWN", "The server is stopping"));
        return Promise.all(living.map((sandbox) => sandbox.gone));
      };
      await kill();
      await Promise.allSettled([...starting]);
      await kill();
    },
  };
}

function exhausted(why: string): PlatformError {
  return new PlatformError("POOL_EXHAUSTED", `Cannot run the function now: no sandbox is free, and ${why}`, {
    details: { retry_after: 1 },
  });
}

function loadTooSlow(limitMs: number): PlatformError {
  return new PlatformError(
    "BUNDLE_FAILED",
    `Cannot load the function: its top level did not finish within ${limitMs} ms`,
    {
      details: { limit: limitMs },
    },
  );
}

function removeFrom<T>(list: T[], item: T): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}

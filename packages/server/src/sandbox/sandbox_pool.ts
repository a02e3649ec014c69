/**
 * Keeps sandboxes: for each version those that serve it, and blank ones that can become any.
 *
 * Owns: which sandbox gets a request, who waits for one, how many there are, which is ended first, what each function
 * may take of all.
 * Does not own: what happens inside one (./sandbox.ts), blank ones (./blank_sandboxes.ts), which version is live
 * (../catalog/).
 *
 * @module
 */
import { type LimitKey, LIMITS, PlatformError } from "@fluxbase/contract";
import { ChunkGarbage } from "../core/chunk_garbage.ts";
import { type Clock, delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { FrameError } from "../../sandbox_runtime/frames.ts";
import type { Fence } from "../../sandbox_runtime/harden.ts";
import { createBlankSandboxes } from "./blank_sandboxes.ts";
import { Exchange, type ExchangeObserver, type LogLine, type SandboxRequest } from "./exchange.ts";
import { createLogBudgets } from "./log_budgets.ts";
import { clientClosed, Sandbox } from "./sandbox.ts";
import { createSandboxMeter } from "./sandbox_meter.ts";
import { type SandboxProcessOptions, type SandboxProfile, startSandboxProcess } from "./sandbox_process.ts";
import type { SandboxState } from "./sandbox_state.ts";
import { scratchIsOver, scratchLimit } from "./scratch.ts";

/** One version of one function, as far as a sandbox needs to know it. */
export interface SandboxVersion {
  /** Unique for each version of each function. */
  readonly key: string;
  readonly functionId: string;
  readonly functionName: string;
  readonly namespace: string;
  readonly version: number;
  readonly profile: SandboxProfile;
  /** Every request gets a sandbox of its own, discarded after. */
  readonly isolated: boolean;
  /** Read when a sandbox loads the version: the cold path. */
  bundle(): Promise<string>;
  env(): Promise<Readonly<Record<string, string>>>;
  /** Of the server, for the `secrets` object. */
  secrets(): Readonly<Record<string, string>>;
  /** What must not be kept of what the function writes: the longest first. */
  hidden(): readonly string[];
}

export type PoolLimits = Readonly<
  Record<
    Extract<
      LimitKey,
      | "eventLoopBlockedMs"
      | "logLineBytes"
      | "logLinesCount"
      | "logBytesPerSec"
      | "concurrencyCount"
      | "sandboxRequestsCount"
      | "sandboxLifeMs"
      | "sandboxIdleMs"
      | "sandboxCount"
      | "sandboxesMemoryMiB"
      | "blankSandboxCount"
      | "functionSharePercent"
      | "sandboxStartMs"
      | "sandboxLoadMs"
      | "scratchBytes"
      | "waitingRequestsCount"
      | "waitForSandboxMs"
      | "webSocketLifeMs"
    >,
    number
  >
>;

export interface SandboxPoolOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: PoolLimits;
  readonly process: SandboxProcessOptions;
  /** Origins under which the server itself is known; called when a sandbox loads a version. */
  ownOrigins(): readonly string[];
  /** Answers what functions ask of the server itself. */
  /** For the function that asks. */
  readonly answerOwnCall: (request: Request, functionId: string) => Promise<Response>;
  /** A line that a function wrote outside any request. */
  onLine(version: SandboxVersion, line: LogLine): void;
}

export interface PoolStats {
  readonly sandboxCount: number;
  readonly blankCount: number;
  readonly busyCount: number;
  readonly waitingCount: number;
  readonly startedCount: number;
  readonly memoryMiB: number;
}

export interface SandboxPool {
  /**
   * Runs a request in a sandbox of the version: at once when one is warm, else when one is. The exchange tells of
   * everything, also of why no sandbox could be had: POOL_EXHAUSTED when too many wait or none is free in time,
   * BUNDLE_FAILED when the version cannot be loaded, SANDBOX_DIED when no sandbox can be started.
   */
  run(version: SandboxVersion, request: SandboxRequest, observer: ExchangeObserver): Exchange;
  /** Makes one sandbox of a version ready for requests to come. */
  prewarm(version: SandboxVersion): void;
  /** Whether a version has sandboxes that serve it. */
  isWarm(key: string): boolean;
  /** Sandboxes of this version take no new requests and end when those under way are over. */
  retire(key: string): void;
  stats(): PoolStats;
  /** Which fences stand around a sandbox started now. */
  probe(): Promise<readonly Fence[]>;
  /** Resolves when no request is under way, background work included, or at the deadline. */
  settle(deadlineMs: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The sandboxes of one version, and the requests that wait for one. */
interface Fleet {
  readonly version: SandboxVersion;
  readonly sandboxes: Sandbox[];
  readonly waiting: Exchange[];
  startingCount: number;
  isRetired: boolean;
}

const TICK_MS = 10;
const HOUSEKEEPING_MS = 500;
const WATCH_WAITING_AFTER_MS = 20;
/** Taken from sandboxes that die before they begin with it: then it is the request that kills them. */
const MOVES_MAX_COUNT = 3;
/** Private memory of a sandbox before it has loaded anything, for the question whether there is room for one more. */
const BLANK_MIB = 16;
/** Of the machine's memory for all sandboxes, where no number is set. */
const MEMORY_PART = 0.6;
/** A sandbox that was idle for so long may be ended for the sake of a blank one. */
const YIELDS_AFTER_MS = 2_000;
const DEFAULT_PROFILE: SandboxProfile = { net: true, read: false, write: false, memoryMiB: LIMITS.memoryMiB.default };

export function startSandboxPool(options: SandboxPoolOptions): SandboxPool {
  const { clock, log, limits } = options;
  const fleets = new Map<string, Fleet>();
  /** Every sandbox there is, with the fleet it belongs to unless it is blank. */
  const all = new Map<Sandbox, Fleet | undefined>();
  const growing = new Set<Promise<void>>();
  const memoryMaxMiB = limits.sandboxesMemoryMiB || machineMemoryMiB() * MEMORY_PART;
  const functionMaxCount = shareOf(limits.sandboxCount);
  const functionWaitingMaxCount = shareOf(limits.waitingRequestsCount);
  const now = () => clock.nowMs();
  const garbage = new ChunkGarbage();
  const meter = createSandboxMeter(now);
  const logBudgets = createLogBudgets(limits.logBytesPerSec, now);
  const queue = { abandon: leaveQueue };
  let waitingCount = 0;
  let startedCount = 0;
  let isStopping = false;

  const blanks = createBlankSandboxes({
    log,
    perProfileCount: limits.blankSandboxCount,
    start: startBlank,
    makeRoom: makeRoomForBlank,
  });
  const ticker = setInterval(tick, TICK_MS);
  const housekeeper = setInterval(keepHouse, HOUSEKEEPING_MS);

  const events = {
    released: onReleased,
    died: onDied,
    logged: onLogged,
    mayLog(sandbox: Sandbox, byteCount: number): boolean {
      const functionId = functionIdOf(sandbox);
      return functionId === undefined || logBudgets.take(functionId, byteCount);
    },
  };

  function functionIdOf(sandbox: Sandbox): string | undefined {
    return all.get(sandbox)?.version.functionId;
  }

  function shareOf(count: number): number {
    return Math.ceil(count * limits.functionSharePercent / 100);
  }

  // A request on its way to a sandbox.

  function run(version: SandboxVersion, request: SandboxRequest, observer: ExchangeObserver): Exchange {
    const exchange = new Exchange(request, { now, observer, holder: queue });
    const fleet = fleetFor(version);
    const sandbox = leastBusy(fleet);
    if (sandbox !== undefined) sandbox.send(exchange, exchange.madeMs);
    else wait(fleet, exchange);
    return exchange;
  }

  function fleetFor(version: SandboxVersion): Fleet {
    let fleet = fleets.get(version.key);
    if (fleet === undefined) {
      fleet = { version, sandboxes: [], waiting: [], startingCount: 0, isRetired: false };
      fleets.set(version.key, fleet);
    }
    return fleet;
  }

  function leastBusy({ sandboxes }: Fleet): Sandbox | undefined {
    let best: Sandbox | undefined;
    for (const sandbox of sandboxes) {
      if (sandbox.state !== "ready" || roomIn(sandbox) <= 0 || sandbox.isStuck) continue;
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

  function wait(fleet: Fleet, exchange: Exchange): void {
    const refused = isStopping ? shuttingDown() : whyNotWait(fleet);
    if (refused !== undefined) return end(exchange, refused);
    waitingCount += 1;
    fleet.waiting.push(exchange);
    growFor(fleet);
  }

  function whyNotWait({ version }: Fleet): PlatformError | undefined {
    if (waitingCount >= limits.waitingRequestsCount) return exhausted("too many requests wait for one");
    // Only a crowd can be over the share, so the sum is seldom made.
    if (waitingCount < functionWaitingMaxCount) return undefined;
    const ownCount = sumOf(version.functionId, ({ waiting }) => waiting.length);
    return ownCount < functionWaitingMaxCount
      ? undefined
      : exhausted("too many requests of this function wait for one");
  }

  function sumOf(functionId: string, countOf: (fleet: Fleet) => number): number {
    let sum = 0;
    for (const fleet of fleets.values()) if (fleet.version.functionId === functionId) sum += countOf(fleet);
    return sum;
  }

  function end(exchange: Exchange, reason: PlatformError, stack: string | null = null): void {
    exchange.fail(reason, stack);
    exchange.finish();
  }

  function takeWaiting(fleet: Fleet, count: number): Exchange[] {
    const taken = fleet.waiting.splice(0, Math.max(0, count));
    waitingCount -= taken.length;
    return taken;
  }

  function leaveQueue(exchange: Exchange): void {
    for (const fleet of fleets.values()) {
      if (removeFrom(fleet.waiting, exchange)) {
        waitingCount -= 1;
        return end(exchange, clientClosed());
      }
    }
  }

  function serveWaiting(fleet: Fleet, sandbox: Sandbox, { isCold }: { isCold: boolean }): void {
    if (sandbox.state !== "ready" || sandbox.isStuck) return;
    for (const exchange of takeWaiting(fleet, roomIn(sandbox))) {
      exchange.isCold = isCold;
      sandbox.send(exchange, now());
    }
  }

  // More sandboxes.

  /** Starts as many sandboxes as those who wait can use. */
  function growFor(fleet: Fleet): void {
    const perSandbox = Math.min(limits.concurrencyCount, requestsMaxCountOf(fleet.version));
    const neededCount = Math.ceil(fleet.waiting.length / perSandbox);
    while (fleet.startingCount < neededCount && mayGrow(fleet)) grow(fleet);
  }

  function mayGrow({ version }: Fleet): boolean {
    const ownCount = sumOf(version.functionId, ({ sandboxes, startingCount }) => sandboxes.length + startingCount);
    return ownCount < functionMaxCount && (blanks.has(version.profile) || makeRoom());
  }

  function grow(fleet: Fleet): void {
    fleet.startingCount += 1;
    const work = loadBlank(fleet).finally(() => growing.delete(work));
    growing.add(work);
  }

  async function loadBlank(fleet: Fleet): Promise<void> {
    const { version } = fleet;
    let sandbox: Sandbox | undefined;
    try {
      const reading = Promise.all([version.bundle(), version.env()]);
      reading.catch(() => {});
      sandbox = await takeBlank(version.profile);
      const [bundle, env] = await reading;
      // It may have been ended in the meantime, for room or from outside.
      while (sandbox.state !== "blank") sandbox = await takeBlank(version.profile);
      await load(sandbox, fleet, { bundle, env });
    } catch (error) {
      fleet.startingCount -= 1;
      return onLoadFailed(fleet, error, sandbox);
    }
    fleet.startingCount -= 1;
    fleet.sandboxes.push(sandbox);
    serveWaiting(fleet, sandbox, { isCold: true });
    // A version that is not live any more still serves who waited for it.
    if (fleet.isRetired) sandbox.drain();
    growFor(fleet);
  }

  function takeBlank(profile: SandboxProfile): Promise<Sandbox> {
    const taken = blanks.take(profile);
    blanks.refillSoon(profile);
    return taken;
  }

  async function load(
    sandbox: Sandbox,
    fleet: Fleet,
    { bundle, env }: { bundle: string; env: Readonly<Record<string, string>> },
  ): Promise<void> {
    const { version } = fleet;
    all.set(sandbox, fleet);
    sandbox.requestsMaxCount = requestsMaxCountOf(version);
    const overdue = setTimeout(() => sandbox.kill(loadTooSlow(limits.sandboxLoadMs)), limits.sandboxLoadMs);
    try {
      await sandbox.loadBundle(bundle, {
        functionName: version.functionName,
        namespace: version.namespace,
        version: version.version,
        env: version.profile.write ? { TMPDIR: sandbox.scratchDir, ...env } : env,
        secrets: version.secrets(),
        ownOrigins: options.ownOrigins(),
        logLineBytes: limits.logLineBytes,
        logLinesCount: limits.logLinesCount,
      });
    } finally {
      clearTimeout(overdue);
    }
  }

  function onLoadFailed(fleet: Fleet, error: unknown, sandbox: Sandbox | undefined): void {
    const reason = error instanceof PlatformError
      ? error
      : new PlatformError("SANDBOX_DIED", "Cannot start a sandbox", { cause: error });
    if (reason.code !== "BUNDLE_FAILED") {
      log.warn("Sandbox did not start", { ...nameOf(fleet), error });
    }
    sandbox?.kill(reason);
    // Those who come later may get a better answer; these have waited for this start.
    const stack = reason.code === "BUNDLE_FAILED" && typeof reason.cause === "string" ? reason.cause : null;
    for (const exchange of takeWaiting(fleet, fleet.waiting.length)) end(exchange, reason, stack);
    forgetIfEmpty(fleet);
  }

  async function startBlank(profile: SandboxProfile): Promise<Sandbox> {
    startedCount += 1;
    let started: Sandbox | undefined;
    const process = await startSandboxProcess(profile, options.process, {
      startMs: limits.sandboxStartMs,
      scratchBytes: limits.scratchBytes,
      now,
      onLine(message) {
        if (started === undefined || !events.mayLog(started, message.length)) return;
        onLogged(started, { atMs: clock.epochMs(), level: "info", message, fields: null });
      },
    });
    const sandbox = started = await Sandbox.start(process, events, {
      limits: { ...limits, memoryMiB: profile.memoryMiB },
      answerCall: profile.net === false
        ? null
        : (request) => options.answerOwnCall(request, started === undefined ? "" : functionIdOf(started) ?? ""),
      garbage,
      now,
    });
    all.set(sandbox, undefined);
    meter.add(sandbox);
    if (isStopping) sandbox.kill(shuttingDown());
    return sandbox;
  }

  // Room.

  function hasRoom(): boolean {
    const comingCount = blanks.comingCount;
    return all.size + comingCount < limits.sandboxCount &&
      meter.memoryMiB() + BLANK_MIB * (comingCount + 1) <= memoryMaxMiB;
  }

  /** True when one more sandbox may exist; ends the one that was idle longest if that is what it takes. */
  function makeRoom(): boolean {
    return hasRoom() || endOldestIdle(["ready", "blank"]);
  }

  /** A function that nobody calls gives way to the next cold call, unless it was called just now. */
  function makeRoomForBlank(): boolean {
    return hasRoom() || endOldestIdle(["ready"], YIELDS_AFTER_MS);
  }

  function endOldestIdle(states: readonly SandboxState[], idleMs = 0): boolean {
    let oldest: Sandbox | undefined;
    for (const sandbox of all.keys()) {
      if (sandbox.load > 0 || !states.includes(sandbox.state) || now() - sandbox.idleSinceMs < idleMs) continue;
      if (oldest === undefined || sandbox.idleSinceMs < oldest.idleSinceMs) oldest = sandbox;
    }
    if (oldest === undefined) return false;
    blanks.remove(oldest);
    oldest.drain();
    return true;
  }

  // What sandboxes tell.

  function onReleased(sandbox: Sandbox): void {
    if (waitingCount === 0) return;
    const fleet = all.get(sandbox);
    if (fleet !== undefined && fleet.waiting.length > 0) serveWaiting(fleet, sandbox, { isCold: false });
    // A sandbox that has become idle can make room for others.
    if (sandbox.load === 0) { for (const other of fleets.values()) if (other.waiting.length > 0) growFor(other); }
  }

  function onDied(sandbox: Sandbox, reason: PlatformError, unstarted: readonly Exchange[]): void {
    const fleet = all.get(sandbox);
    all.delete(sandbox);
    meter.remove(sandbox);
    blanks.remove(sandbox);
    const facts = { pid: sandbox.pid, ...nameOf(fleet), reason: reason.message, cause: reason.cause };
    if (reason.cause instanceof FrameError) {
      log.warn("A sandbox broke the protocol: its function may be hostile", facts);
    } else log.debug("Sandbox ended", facts);
    if (fleet === undefined) return;
    removeFrom(fleet.sandboxes, sandbox);
    for (const exchange of unstarted.toReversed()) putBack(fleet, exchange, reason);
    if (fleet.waiting.length > 0) growFor(fleet);
    else forgetIfEmpty(fleet);
  }

  /** To the front of the queue: it has waited longer than those in it. */
  function putBack(fleet: Fleet, exchange: Exchange, reason: PlatformError): void {
    exchange.moveCount += 1;
    if (isStopping || exchange.moveCount > MOVES_MAX_COUNT) return end(exchange, reason);
    exchange.holder = queue;
    exchange.sentMs = null;
    exchange.deadlineMs = Infinity;
    exchange.logs.length = 0;
    waitingCount += 1;
    fleet.waiting.unshift(exchange);
  }

  function onLogged(sandbox: Sandbox, line: LogLine): void {
    const version = all.get(sandbox)?.version;
    // Its time decides on the partition it is kept in, and what a sandbox says of it may be anything.
    if (version !== undefined) options.onLine(version, { ...line, atMs: clock.epochMs() });
  }

  function forgetIfEmpty(fleet: Fleet): void {
    if (fleet.sandboxes.length + fleet.startingCount + fleet.waiting.length > 0) return;
    fleets.delete(fleet.version.key);
    if (sumOf(fleet.version.functionId, () => 1) === 0) logBudgets.forget(fleet.version.functionId);
  }

  // What happens with time.

  function tick(): void {
    const nowMs = now();
    for (const sandbox of all.keys()) sandbox.tick(nowMs);
    meter.tick(nowMs, TICK_MS);
    if (waitingCount > 0) { for (const fleet of fleets.values()) tickWaiting(fleet, nowMs); }
  }

  function tickWaiting(fleet: Fleet, nowMs: number): void {
    // They came one after the other, save those that were moved, which go first.
    while (fleet.waiting[0] !== undefined && nowMs - fleet.waiting[0].madeMs >= limits.waitForSandboxMs) {
      const overdue = exhausted(`none was free within ${limits.waitForSandboxMs} ms`);
      for (const exchange of takeWaiting(fleet, 1)) end(exchange, overdue);
    }
    for (const exchange of [...fleet.waiting]) {
      if (!exchange.isWatched && nowMs - exchange.madeMs >= WATCH_WAITING_AFTER_MS) exchange.watchClient();
    }
  }

  function keepHouse(): void {
    const nowMs = now();
    for (const fleet of fleets.values()) {
      for (const sandbox of [...fleet.sandboxes]) {
        if (sandbox.state !== "ready") continue;
        const isIdle = sandbox.load === 0 && nowMs - sandbox.idleSinceMs > limits.sandboxIdleMs;
        if (isIdle || nowMs - sandbox.startedMs > limits.sandboxLifeMs) sandbox.drain();
        else if (fleet.version.profile.write) void checkScratch(sandbox);
      }
      if (fleet.waiting.length > 0) growFor(fleet);
      else forgetIfEmpty(fleet);
    }
    if (meter.memoryMiB() > memoryMaxMiB) endOldestIdle(["ready", "blank"]);
    meter.shareProcessors(functionIdOf);
  }

  async function checkScratch(sandbox: Sandbox): Promise<void> {
    const { scratchBytes } = limits;
    if (await scratchIsOver(sandbox.scratchDir, scratchBytes)) sandbox.kill(scratchLimit(scratchBytes));
  }

  blanks.refillSoon(DEFAULT_PROFILE, 0);

  return {
    run,
    prewarm(version) {
      const fleet = fleetFor(version);
      if (fleet.sandboxes.length + fleet.startingCount === 0 && !isStopping && mayGrow(fleet)) grow(fleet);
    },
    isWarm: (key) => (fleets.get(key)?.sandboxes.length ?? 0) > 0,
    retire(key) {
      const fleet = fleets.get(key);
      if (fleet === undefined) return;
      fleet.isRetired = true;
      for (const sandbox of [...fleet.sandboxes]) sandbox.drain();
    },
    stats: () => ({
      sandboxCount: all.size,
      blankCount: blanks.count,
      busyCount: [...all.keys()].filter((sandbox) => sandbox.load > 0).length,
      waitingCount,
      startedCount,
      memoryMiB: Math.round(meter.memoryMiB()),
    }),
    async probe() {
      const sandbox = await blanks.take(DEFAULT_PROFILE);
      blanks.giveBack(DEFAULT_PROFILE, sandbox);
      return sandbox.fences;
    },
    async settle(deadlineMs) {
      while ([...all.keys()].some((sandbox) => sandbox.load > 0) && now() < deadlineMs) await delay(TICK_MS);
    },
    async [Symbol.asyncDispose]() {
      isStopping = true;
      clearInterval(ticker);
      clearInterval(housekeeper);
      for (const fleet of fleets.values()) {
        for (const exchange of takeWaiting(fleet, fleet.waiting.length)) end(exchange, shuttingDown());
      }
      const kill = () => {
        const living = [...all.keys()];
        for (const sandbox of living) sandbox.kill(shuttingDown());
        return Promise.all(living.map((sandbox) => sandbox.gone));
      };
      await kill();
      await blanks.stop();
      await Promise.allSettled([...growing]);
      await kill();
    },
  };
}

/** Of the machine, or of the container that the server runs in. */
function machineMemoryMiB(): number {
  const files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
  const bytes = files.map((file) => {
    try {
      return Number(Deno.readTextFileSync(file)) || Infinity;
    } catch {
      return Infinity;
    }
  });
  return Math.min(Deno.systemMemoryInfo().total, ...bytes) / 1024 / 1024;
}

function nameOf(fleet: Fleet | undefined): { namespace?: string; function?: string; version?: number } {
  if (fleet === undefined) return {};
  const { namespace, functionName, version } = fleet.version;
  return { namespace, function: functionName, version };
}

function exhausted(why: string): PlatformError {
  return new PlatformError("POOL_EXHAUSTED", `Cannot run the function now: no sandbox is free, and ${why}`, {
    details: { retry_after: 1 },
  });
}

function shuttingDown(): PlatformError {
  return new PlatformError("SHUTTING_DOWN", "The server is stopping: try again");
}

function loadTooSlow(limitMs: number): PlatformError {
  return new PlatformError(
    "BUNDLE_FAILED",
    `Cannot load the function: its top level did not finish within ${limitMs} ms`,
    { details: { limit: limitMs } },
  );
}

function removeFrom<T>(list: T[], item: T): boolean {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
  return index >= 0;
}

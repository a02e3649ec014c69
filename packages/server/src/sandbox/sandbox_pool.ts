/**
 * Keeps sandboxes: for each version those that serve it, and blank ones that can become any.
 *
 * Owns: all sandboxes and all fleets, starting and loading a sandbox, room for one more, what each function may take of
 * all.
 * Does not own: who waits for a version (./fleet.ts), who starts next (./start_queue.ts), who gives way (./victims.ts),
 * what happens inside one (./sandbox.ts), which version is live (../catalog/).
 *
 * @module
 */
import { type LimitKey, LIMITS, PlatformError } from "@fluxbase/contract";
import { ChunkCollector } from "../core/chunk_collector.ts";
import { clientClosed } from "../core/client_closed.ts";
import { type Clock, delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { FrameError } from "../../sandbox_runtime/frames.ts";
import type { Fence } from "../../sandbox_runtime/harden.ts";
import { createBlankSandboxes, REFILL_DELAY_MS } from "./blank_sandboxes.ts";
import { Exchange, type ExchangeObserver, type LogLine, type SandboxRequest, type Waiting } from "./exchange.ts";
import { type Crowd, Fleet, type Start } from "./fleet.ts";
import { createFunctionTallies, type TalliedFleet, type Tally } from "./function_tallies.ts";
import { createLogBudgets } from "./log_budgets.ts";
import { createRefusalLog } from "./refusal_log.ts";
import { createRoom } from "./room.ts";
import { type Charge, Sandbox } from "./sandbox.ts";
import { createSandboxMeter } from "./sandbox_meter.ts";
import { type SandboxProcessOptions, type SandboxProfile, startSandboxProcess } from "./sandbox_process.ts";
import { countDoings, type Doings } from "./sandbox_doing.ts";
import type { SandboxVersion } from "./sandbox_version.ts";
import { exhausted, shuttingDown } from "./pool_errors.ts";
import { scratchIsOver, scratchLimit } from "./scratch.ts";
import { createStartQueue } from "./start_queue.ts";
import { type Content, loadContent, readContent, type Unread } from "./version_content.ts";

export type PoolLimits = Readonly<
  Record<
    Extract<
      LimitKey,
      | "eventLoopBlockedMs"
      | "logLineBytes"
      | "logLinesCount"
      | "responseHeadersCount"
      | "responseHeadBytes"
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
  /** Hosts elsewhere that functions tell which trace a request belongs to. */
  readonly traceHosts: readonly string[];
  /** Answers what functions ask of the server itself. */
  readonly answerOwnCall: (request: Request, from: CallingFunction) => Promise<Response>;
  /** A line that a function wrote outside any request. */
  onLine(version: SandboxVersion, line: LogLine): void;
  /** What one of its sandboxes took in half a second. */
  onUsage(version: SandboxVersion, usage: { readonly cpuMs: number; readonly memoryMiB: number }): void;
}

/** A function that asks the server itself. */
export interface CallingFunction {
  readonly functionId: string;
  /** How many functions called one another, itself included. */
  readonly depth: number;
  /** On whose behalf it asks, as far as it said so truly. */
  readonly executionId?: string | undefined;
}

export interface PoolStats {
  readonly sandboxCount: number;
  readonly blankCount: number;
  readonly busyCount: number;
  readonly waitingCount: number;
  readonly startedCount: number;
  /** Ended for the sake of another one. */
  readonly evictedCount: number;
  readonly memoryMiB: number;
  /** All that are not dead. */
  readonly doing: Doings;
  /** Lines of functions that logged more than they may. */
  readonly droppedLinesCount: number;
}

export interface SandboxPool {
  /**
   * Runs a request in a sandbox of the version: at once when one is warm, else when one is. The exchange tells of
   * everything, also of why no sandbox could be had: POOL_EXHAUSTED when too many wait, when none would be free or is
   * free in time and when none can be started; BUNDLE_FAILED when the version cannot be loaded.
   */
  run(version: SandboxVersion, request: SandboxRequest, observer: ExchangeObserver): Exchange;
  /** Makes one sandbox of a version ready for requests to come, where there is room. */
  prewarm(version: SandboxVersion): void;
  /** Whether a version has sandboxes that serve it. */
  isWarm(key: string): boolean;
  /** Sandboxes of this version take no new requests and end when those under way are over. */
  retire(key: string): void;
  stats(): PoolStats;
  /** Of all requests that wait for a sandbox or are in one. */
  clients(): Iterable<Waiting>;
  /** Which fences stand around a sandbox started now. */
  probe(): Promise<readonly Fence[]>;
  /** Resolves when no request is under way, background work included, or at the deadline. */
  settle(deadlineMs: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One more than there are processors: a start also waits for things that are not the processor. */
const STARTS_AT_ONCE_COUNT = navigator.hardwareConcurrency + 1;
const TICK_MS = 10;
const HOUSEKEEPING_MS = 500;
const WATCH_WAITING_AFTER_MS = 20;
/** Taken from sandboxes that die before they begin with it: then it is the request that kills them. */
const MOVES_MAX_COUNT = 3;
/** A sandbox that was idle for so long may be ended for the sake of one that nobody waits for. */
const YIELDS_AFTER_MS = 2_000;
/** Those who wait for a start that fails have a second one; then they are told. */
const FAILED_STARTS_MAX_COUNT = 2;
/** So many failures in a row end an idle sandbox each: if that did not help, ending all the others would not either. */
const FREEING_FAILURES_COUNT = 3;
const DEFAULT_PROFILE: SandboxProfile = { net: true, read: false, write: false, memoryMiB: LIMITS.memoryMiB.default };

export function startSandboxPool(options: SandboxPoolOptions): SandboxPool {
  const { clock, log, limits } = options;
  const headLimits = { headersCount: limits.responseHeadersCount, headBytes: limits.responseHeadBytes };
  /** By key, those that serve; without the ones that leave. */
  const serving = new Map<string, Fleet>();
  const fleets = new Set<Fleet>();
  /** Every sandbox there is, with the fleet it belongs to unless it is blank. */
  const all = new Map<Sandbox, Fleet | undefined>();
  const loads = new Set<Promise<void>>();
  const functionMaxCount = shareOf(limits.sandboxCount);
  const functionWaitingMaxCount = shareOf(limits.waitingRequestsCount);
  const now = () => clock.nowMs();
  const garbage = new ChunkCollector();
  const meter = createSandboxMeter(now, onLook);
  const logBudgets = createLogBudgets(limits.logBytesPerSec, now);
  const refusals = createRefusalLog(log, now);
  const tallies = createFunctionTallies(now);
  const crowd: Crowd = { count: 0 };
  const blanks = createBlankSandboxes({ perProfileCount: limits.blankSandboxCount, now });
  let startingCount = 0;
  let startedCount = 0;
  let droppedLinesCount = 0;
  let refillAtMs = 0;
  let hasIdled = false;
  let isStopping = false;

  const room = createRoom({
    sandboxMaxCount: limits.sandboxCount,
    memoryMaxMiB: limits.sandboxesMemoryMiB,
    sandboxes: all,
    meter,
    blanks,
    now,
    startingCount: () => startingCount,
  });
  const queue = createStartQueue<Fleet>({
    atOnceCount: STARTS_AT_ONCE_COUNT,
    now,
    neededCount: ({ neededCount }) => neededCount,
    mayHaveMore: ({ tally }) => sumOf(tally, ({ size }) => size) < functionMaxCount,
    takeReady: loadReady,
    makeRoom: makeRoomFor,
    start: startFor,
    onSpare: refill,
  });
  /** A look at a scratch folder may take longer than the time between two. */
  const inspected = new WeakSet<Sandbox>();
  const ticker = setInterval(tick, TICK_MS);
  const housekeeper = setInterval(keepHouse, HOUSEKEEPING_MS);

  const events = {
    released: onReleased,
    died: onDied,
    logged: onLogged,
    refused(sandbox: Sandbox, address: string): void {
      const version = all.get(sandbox)?.version;
      if (version !== undefined) refusals.refused(version, address);
    },
    mayLog(sandbox: Sandbox, byteCount: number): boolean {
      const functionId = functionIdOf(sandbox);
      const mayLog = functionId === undefined || logBudgets.take(functionId, byteCount);
      if (!mayLog) droppedLinesCount += 1;
      return mayLog;
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
    const fleet = fleetFor(version);
    const exchange = new Exchange(request, { now, observer, holder: fleet });
    fleet.tally.callsCount += 1;
    const sandbox = fleet.leastBusy();
    if (sandbox !== undefined) sandbox.send(exchange, exchange.madeMs);
    else wait(fleet, exchange);
    return exchange;
  }

  function fleetFor(version: SandboxVersion): Fleet {
    let fleet = serving.get(version.key);
    if (fleet === undefined) {
      fleet = new Fleet(version, {
        limits,
        crowd,
        now,
        tally: tallies.of(version.functionId),
        onAbandoned: (exchange) => end(exchange, clientClosed()),
      });
      serving.set(version.key, fleet);
      fleets.add(fleet);
    }
    return fleet;
  }

  function wait(fleet: Fleet, exchange: Exchange): void {
    const refused = isStopping ? shuttingDown() : whyNotWait(fleet);
    if (refused !== undefined) {
      end(exchange, refused);
      return forgetIfEmpty(fleet);
    }
    fleet.wait(exchange);
    queue.add(fleet);
  }

  function whyNotWait(fleet: Fleet): PlatformError | undefined {
    if (crowd.count >= limits.waitingRequestsCount) return exhausted("too many requests wait for one");
    // Only a crowd can be over the share, so the sum is seldom made.
    if (
      crowd.count >= functionWaitingMaxCount &&
      sumOf(fleet.tally, ({ waitingCount }) => waitingCount) >= functionWaitingMaxCount
    ) return exhausted("too many requests of this function wait for one");
    // Who needs a start of its own and would get it too late is told now.
    const isStartNeeded = fleet.version.isolated || fleet.size === 0;
    if (crowd.count === 0 || !isStartNeeded) return undefined;
    const waitMs = queue.expectedWaitMs(fleet, fleet.neededWith(1));
    return waitMs > limits.waitForSandboxMs
      ? exhausted(
        `none will be within ${limits.waitForSandboxMs} ms`,
        Math.ceil((waitMs - limits.waitForSandboxMs) / 1_000),
      )
      : undefined;
  }

  function sumOf({ fleets }: Tally, countOf: (fleet: TalliedFleet) => number): number {
    let sum = 0;
    for (const fleet of fleets) sum += countOf(fleet);
    return sum;
  }

  function end(exchange: Exchange, reason: PlatformError, stack: string | null = null): void {
    exchange.fail(reason, stack);
    exchange.finish();
  }

  // More sandboxes.

  function loadReady(fleet: Fleet): boolean {
    const sandbox = blanks.take(fleet.version.profile);
    refillAtMs = now() + REFILL_DELAY_MS;
    if (sandbox === undefined) return false;
    follow(bring(sandbox, fleet.begin(), readContent(fleet.version, limits.sandboxLoadMs)));
    return true;
  }

  async function startFor(fleet: Fleet): Promise<void> {
    const start = fleet.begin();
    const reading = readContent(fleet.version, limits.sandboxLoadMs);
    let sandbox: Sandbox;
    try {
      sandbox = await startBlank(fleet.version.profile);
    } catch (error) {
      onNotStarted(start, error);
      throw error;
    }
    follow(bring(sandbox, start, reading));
  }

  function follow(load: Promise<void>): void {
    const work = load.finally(() => loads.delete(work));
    loads.add(work);
  }

  /** Makes a blank sandbox one of the fleet. */
  async function bring(sandbox: Sandbox, start: Start, reading: Promise<Content | Unread>): Promise<void> {
    const { fleet, beganMs } = start;
    const spawnedMs = now();
    const content = await reading;
    if (sandbox.state !== "blank") return onLost(start);
    if ("error" in content) {
      blanks.put(fleet.version.profile, sandbox);
      log.warn("Cannot read a function to run it", { ...nameOf(fleet), error: content.error });
      return failStart(start, exhausted("the function cannot be read now"));
    }
    all.set(sandbox, fleet);
    try {
      const { traceHosts } = options;
      const ownOrigins = options.ownOrigins();
      await loadContent(sandbox, fleet, { content, limits, head: headLimits, ownOrigins, traceHosts });
    } catch (error) {
      return onNotLoaded(start, error, sandbox);
    }
    fleet.sandboxes.push(sandbox);
    fleet.end(start);
    fleet.serve(sandbox, { beganMs, spawnedMs, loadedMs: now() });
    // A version that is not live any more still serves who waited for it.
    if (fleet.isLeaving) sandbox.drain();
    queue.add(fleet);
  }

  /** No code of a user had run: it is the server that lacks something. */
  function onNotStarted(start: Start, error: unknown): void {
    const facts = { ...nameOf(start.fleet), error };
    log.warn("A sandbox did not start: starts pause for a moment", facts);
    if (queue.failuresCount < FREEING_FAILURES_COUNT) room.freeOne();
    if (queue.failuresCount + 1 < FAILED_STARTS_MAX_COUNT) start.fleet.end(start);
    else failStart(start, exhausted("none can be started now"));
  }

  /** It ended between its start and its load. */
  function onLost(start: Start): void {
    start.fleet.end(start);
    queue.failed();
    queue.add(start.fleet);
    forgetIfEmpty(start.fleet);
  }

  function onNotLoaded(start: Start, error: unknown, sandbox: Sandbox): void {
    const reason = error instanceof PlatformError
      ? error
      : new PlatformError("SANDBOX_DIED", "Cannot load the function", { cause: error });
    if (reason.code !== "BUNDLE_FAILED") log.warn("A sandbox did not load", { ...nameOf(start.fleet), error });
    sandbox.kill(reason);
    failStart(start, reason);
  }

  function failStart(start: Start, reason: PlatformError): void {
    const { fleet } = start;
    const stack = reason.code === "BUNDLE_FAILED" && typeof reason.cause === "string" ? reason.cause : null;
    for (const exchange of fleet.endFailed(start)) end(exchange, isStopping ? shuttingDown() : reason, stack);
    queue.add(fleet);
    forgetIfEmpty(fleet);
  }

  /** Blank ones ahead, where nobody is in line for what is free. */
  function refill(): void {
    if (isStopping) return;
    for (const profile of blanks.lacking()) {
      if (!queue.hasSlot || !room.make(YIELDS_AFTER_MS)) return;
      const over = blanks.begin(profile);
      queue.run(async () => {
        try {
          blanks.put(profile, await startBlank(profile));
        } catch (error) {
          log.warn("A blank sandbox did not start", { error });
          throw error;
        } finally {
          over();
        }
      });
    }
  }

  async function startBlank(profile: SandboxProfile): Promise<Sandbox> {
    startingCount += 1;
    try {
      if (isStopping) throw shuttingDown();
      return await startSandbox(profile);
    } finally {
      startingCount -= 1;
    }
  }

  async function startSandbox(profile: SandboxProfile): Promise<Sandbox> {
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
    // It may connect and then say nothing.
    const overdue = setTimeout(() => process.kill(), limits.sandboxStartMs);
    try {
      started = await Sandbox.start(process, events, {
        limits: { ...limits, head: headLimits, memoryMiB: profile.memoryMiB },
        answerCall: profile.net === false ? null : (request, { depth, requestId }) => {
          const functionId = started === undefined ? undefined : functionIdOf(started);
          const executionId = started?.executionOf(requestId);
          return options.answerOwnCall(request, { functionId: functionId ?? "", depth, executionId });
        },
        garbage,
        now,
      });
    } finally {
      clearTimeout(overdue);
    }
    all.set(started, undefined);
    meter.add(started);
    if (isStopping) started.kill(shuttingDown());
    return started;
  }

  // Room.

  function makeRoomFor(fleet: Fleet): boolean {
    if (fleet.waitingCount > 0) return room.make(0);
    // Nobody waits: it is made ready now or not at all.
    fleet.isAwaited = room.make(YIELDS_AFTER_MS);
    return fleet.isAwaited;
  }

  // What sandboxes tell.

  function onReleased(sandbox: Sandbox): void {
    if (crowd.count === 0) return;
    all.get(sandbox)?.serve(sandbox, null);
    // One that has become idle can make room for others.
    if (sandbox.load === 0) hasIdled = true;
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
    if (fleet !== undefined) {
      removeFrom(fleet.sandboxes, sandbox);
      for (const exchange of unstarted.toReversed()) putBack(fleet, exchange, reason);
      queue.add(fleet);
      forgetIfEmpty(fleet);
    }
    queue.advance();
  }

  function putBack(fleet: Fleet, exchange: Exchange, reason: PlatformError): void {
    exchange.moveCount += 1;
    if (isStopping || exchange.moveCount > MOVES_MAX_COUNT) return end(exchange, reason);
    exchange.sentMs = null;
    exchange.deadlineMs = Infinity;
    exchange.forgetLogs();
    fleet.waitAgain(exchange);
  }

  function onLogged(sandbox: Sandbox, line: LogLine): void {
    const version = all.get(sandbox)?.version;
    // Its time decides on the partition it is kept in, and what a sandbox says of it may be anything.
    if (version !== undefined) options.onLine(version, { ...line, atMs: clock.epochMs() });
  }

  function forgetIfEmpty(fleet: Fleet): void {
    if (!fleet.isEmpty || fleet.isAwaited) return;
    fleets.delete(fleet);
    fleet.tally.fleets.delete(fleet);
    queue.remove(fleet);
    if (serving.get(fleet.version.key) === fleet) serving.delete(fleet.version.key);
  }

  // What happens with time.

  function tick(): void {
    const nowMs = now();
    for (const sandbox of all.keys()) sandbox.tick(nowMs);
    meter.tick(nowMs, TICK_MS);
    if (crowd.count > 0) { for (const fleet of fleets) tickWaiting(fleet, nowMs); }
    if (hasIdled || nowMs >= refillAtMs) {
      hasIdled = false;
      refillAtMs = Infinity;
      queue.advance();
    } else queue.tick();
  }

  function tickWaiting(fleet: Fleet, nowMs: number): void {
    if (fleet.waitingCount === 0) return;
    // They came one after the other, save those that were moved, which go first.
    while (fleet.waiting[0] !== undefined && nowMs - fleet.waiting[0].madeMs >= limits.waitForSandboxMs) {
      const overdue = exhausted(`none was free within ${limits.waitForSandboxMs} ms`);
      for (const exchange of fleet.take(1)) end(exchange, overdue);
    }
    for (const exchange of [...fleet.waiting]) {
      if (!exchange.isWatched && nowMs - exchange.madeMs >= WATCH_WAITING_AFTER_MS) exchange.watchClient();
    }
  }

  function keepHouse(): void {
    const nowMs = now();
    for (const { functionId } of tallies.cool()) {
      logBudgets.forget(functionId);
      refusals.forget(functionId);
    }
    for (const fleet of fleets) {
      for (const sandbox of [...fleet.sandboxes]) {
        // In every state: one that is being replaced may still run for long.
        if (fleet.version.profile.write) void checkScratch(sandbox);
        if (sandbox.state !== "ready") continue;
        const isIdle = sandbox.load === 0 && nowMs - sandbox.idleSinceMs > limits.sandboxIdleMs;
        if (isIdle || nowMs - sandbox.startedMs > limits.sandboxLifeMs) sandbox.drain();
      }
      queue.add(fleet);
      forgetIfEmpty(fleet);
    }
    room.keepMemory();
    meter.shareProcessors(functionIdOf);
    queue.advance();
  }

  function onLook(sandbox: Sandbox, charge: Charge): void {
    const version = all.get(sandbox)?.version;
    if (version === undefined) return;
    sandbox.charge(charge);
    const { cpuMs, memoryMiB } = charge;
    // An idle one's memory was told with the work that it has done.
    if (cpuMs > 0 || sandbox.load > 0) options.onUsage(version, { cpuMs, memoryMiB });
  }

  async function checkScratch(sandbox: Sandbox): Promise<void> {
    const { scratchDir: dir, pid } = sandbox;
    if (dir === null || inspected.has(sandbox)) return;
    inspected.add(sandbox);
    const { scratchBytes } = limits;
    if (await scratchIsOver({ dir, pid }, scratchBytes)) sandbox.kill(scratchLimit(scratchBytes));
    inspected.delete(sandbox);
  }

  // The default profile is the one that is kept ahead from the start.
  blanks.take(DEFAULT_PROFILE);
  refillAtMs = now() + REFILL_DELAY_MS;

  return {
    run,
    prewarm(version) {
      const fleet = fleetFor(version);
      if (fleet.size > 0 || isStopping) return;
      fleet.isAwaited = true;
      queue.add(fleet);
    },
    isWarm: (key) => (serving.get(key)?.sandboxes.length ?? 0) > 0,
    retire(key) {
      const fleet = serving.get(key);
      if (fleet === undefined) return;
      serving.delete(key);
      fleet.isLeaving = true;
      fleet.isAwaited = false;
      for (const sandbox of [...fleet.sandboxes]) sandbox.drain();
      // Who waited for one of these needs one that starts.
      queue.add(fleet);
      forgetIfEmpty(fleet);
    },
    *clients() {
      for (const { waiting } of fleets) {
        for (const { request } of waiting) yield { client: request.client, isEndless: false };
      }
      for (const sandbox of all.keys()) yield* sandbox.clients();
    },
    stats: () => ({
      sandboxCount: all.size,
      blankCount: blanks.count,
      busyCount: [...all.keys()].filter((sandbox) => sandbox.load > 0).length,
      waitingCount: crowd.count,
      startedCount,
      evictedCount: room.evictedCount,
      memoryMiB: Math.round(meter.memoryMiB()),
      doing: countDoings(all.keys(), { meter, startingCount }),
      droppedLinesCount,
    }),
    async probe() {
      const over = blanks.begin(DEFAULT_PROFILE);
      try {
        const sandbox = await startBlank(DEFAULT_PROFILE);
        blanks.put(DEFAULT_PROFILE, sandbox);
        return sandbox.fences;
      } finally {
        over();
      }
    },
    async settle(deadlineMs) {
      while ([...all.keys()].some((sandbox) => sandbox.load > 0) && now() < deadlineMs) await delay(TICK_MS);
    },
    async [Symbol.asyncDispose]() {
      isStopping = true;
      clearInterval(ticker);
      clearInterval(housekeeper);
      for (const fleet of fleets) {
        queue.remove(fleet);
        for (const exchange of fleet.take(fleet.waitingCount)) end(exchange, shuttingDown());
      }
      const kill = () => {
        const living = [...all.keys()];
        for (const sandbox of living) sandbox.kill(shuttingDown());
        return Promise.all(living.map((sandbox) => sandbox.gone));
      };
      await kill();
      await queue.settle();
      await Promise.allSettled([...loads]);
      await kill();
    },
  };
}

function nameOf(fleet: Fleet | undefined): { namespace?: string; function?: string; version?: number } {
  if (fleet === undefined) return {};
  const { namespace, functionName, version } = fleet.version;
  return { namespace, function: functionName, version };
}

function removeFrom<T>(list: T[], item: T): boolean {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
  return index >= 0;
}

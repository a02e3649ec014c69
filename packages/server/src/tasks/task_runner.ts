/**
 * Runs tasks that are due, as many at once as this server has room for, and writes down what became of each.
 *
 * Owns: when to look for tasks, leases, what of a task is written after an attempt.
 * Does not own: which tasks a server may take (claim_tasks in the database), how one is run (./attempt.ts).
 *
 * At least once: a task ends with an answer or dead. It is run again only when its server ended or lost its lease in the
 * middle, and a server that lost one aborts the attempt before another server may take the task.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { AttemptOutcome, ClaimedTask } from "../storage/tasks.ts";

export interface TaskStore {
  claim(roomCount: number, leaseSec: number): Promise<ClaimedTask[]>;
  /** Milliseconds until the next one is due that waits for its time; null: none does. */
  nextMs(): Promise<number | null>;
  /** The ids of those that are still this server's. */
  renew(ids: readonly string[], leaseSec: number): Promise<string[]>;
  settle(outcomes: readonly AttemptOutcome[]): Promise<void>;
}

export interface TaskRunnerParts {
  readonly store: TaskStore;
  readonly clock: Clock;
  readonly log: Log;
  /** How many are run at once here. */
  readonly roomCount: number;
  /** Never rejects. Null: nothing is to be written, somebody else holds the task or has ended it. */
  readonly attempt: (task: ClaimedTask, signal: AbortSignal) => Promise<AttemptOutcome | null>;
  /** No more is begun. */
  readonly stopping: AbortSignal;
  readonly leaseMs?: number;
}

export interface TaskRunner {
  /** There may be something to do. */
  wake(): void;
  /** Tasks that were cancelled elsewhere are stopped. */
  checkLeases(): Promise<void>;
  /** Whether this server would begin another one at once. */
  readonly hasRoom: boolean;
  readonly runningCount: number;
  /** After `stopping`: resolves when what runs is done, or at this time on the clock for durations. */
  finish(deadlineMs: number): Promise<void>;
  /** Aborts what runs; another server goes on with it. */
  [Symbol.asyncDispose](): Promise<void>;
}

const LEASE_MS = 30_000;
/** Of the lease: when it is renewed, and when an attempt is aborted that could not renew it. */
const RENEW_PART = 1 / 3;
const ABORT_PART = 5 / 6;
/** Looks that nothing asked for, should a notification be lost. */
const LOOK_MS = 1_000;
/** Not all servers at the same moment. */
const LOOK_SPREAD_MS = 50;
const SETTLE_AGAIN_MS = 500;
const SETTLE_MAX_COUNT = 200;

interface Running {
  readonly task: ClaimedTask;
  readonly abort: AbortController;
  /** On the clock for durations: until then it is certainly ours. */
  safeUntilMs: number;
}

export function startTaskRunner(parts: TaskRunnerParts): TaskRunner {
  const { store, clock, log, roomCount, stopping, leaseMs = LEASE_MS } = parts;
  const leaseSec = leaseMs / 1_000;
  const running = new Map<string, Running>();
  const ended: { outcome: AttemptOutcome; safeUntilMs: number; done: () => void }[] = [];
  const attempts = new Set<Promise<void>>();
  let looking: Promise<void> | undefined;
  let again = false;
  let settling: Promise<void> | undefined;
  let renewing: Promise<void> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isFailing = false;

  function wake(): void {
    again = true;
    if (stopping.aborted || looking !== undefined) return;
    looking = look().finally(() => {
      looking = undefined;
      // Asked for after the last look; a database that is away has its pause.
      if (again && !isFailing) wake();
    });
  }

  async function look(): Promise<void> {
    clearTimeout(timer);
    let nextMs: number = LOOK_MS;
    try {
      while (again && !stopping.aborted) {
        again = false;
        const room = roomCount - running.size;
        if (room <= 0) break;
        const startedMs = clock.nowMs();
        const tasks = await store.claim(room, leaseSec);
        for (const task of tasks) begin(task, startedMs + leaseMs * ABORT_PART);
        // More may be due than one claim takes.
        again ||= tasks.length > 0;
      }
      if (running.size < roomCount) nextMs = Math.min(LOOK_MS, await store.nextMs() ?? LOOK_MS);
      isFailing = false;
    } catch (error) {
      if (!isFailing) log.warn("Cannot take tasks from the database: trying again", { error });
      isFailing = true;
    }
    if (!stopping.aborted) timer = setTimeout(wake, Math.max(0, nextMs) + Math.random() * LOOK_SPREAD_MS);
  }

  function begin(task: ClaimedTask, safeUntilMs: number): void {
    const one: Running = { task, abort: new AbortController(), safeUntilMs };
    running.set(task.id, one);
    const attempt = (async () => {
      const outcome = await parts.attempt(task, one.abort.signal);
      if (outcome !== null && !isLost(one)) await settled(outcome, one.safeUntilMs);
    })().finally(() => {
      running.delete(task.id);
      attempts.delete(attempt);
      wake();
    });
    attempts.add(attempt);
  }

  const isLost = (one: Running) => one.abort.signal.reason instanceof LeaseLost;

  /** Resolves when it is written, or can be written no more. */
  function settled(outcome: AttemptOutcome, safeUntilMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    ended.push({ outcome, safeUntilMs, done: resolve });
    settling ??= settle().finally(() => settling = undefined);
    return promise;
  }

  /** One statement for all that have ended meanwhile. */
  async function settle(): Promise<void> {
    // Those that end in the same turn go together.
    await Promise.resolve();
    while (ended.length > 0) {
      const some = ended.splice(0, SETTLE_MAX_COUNT);
      try {
        await store.settle(some.map(({ outcome }) => outcome));
        for (const { done } of some) done();
      } catch (error) {
        // While the lease holds, nobody else runs them.
        const left = some.filter(({ safeUntilMs }) => clock.nowMs() < safeUntilMs);
        for (const one of some) if (!left.includes(one)) one.done();
        ended.unshift(...left);
        log.warn("Cannot write down what became of tasks: trying again", { count: left.length, error });
        await new Promise((resolve) => setTimeout(resolve, SETTLE_AGAIN_MS));
      }
    }
  }

  async function renew(): Promise<void> {
    const before = [...running.values()];
    if (before.length === 0) return;
    const startedMs = clock.nowMs();
    try {
      const ids = new Set(await store.renew(before.map(({ task }) => task.id), leaseSec));
      for (const one of before) {
        if (ids.has(one.task.id)) one.safeUntilMs = startedMs + leaseMs * ABORT_PART;
        else if (running.get(one.task.id) === one) one.abort.abort(new LeaseLost());
      }
    } catch {
      // Those whose time is over are aborted below.
    }
  }

  function abortUnsafe(): void {
    const nowMs = clock.nowMs();
    for (const { abort, safeUntilMs } of running.values()) if (nowMs >= safeUntilMs) abort.abort(new LeaseLost());
  }

  const checkLeases = () => renewing ??= renew().finally(() => renewing = undefined);
  const renewal = setInterval(checkLeases, leaseMs * RENEW_PART);
  const watch = setInterval(abortUnsafe, leaseMs / 30);
  wake();

  return {
    wake,
    checkLeases,
    get hasRoom() {
      return running.size < roomCount && !stopping.aborted;
    },
    get runningCount() {
      return running.size;
    },
    async finish(deadlineMs) {
      // Those that were just taken begin.
      await looking;
      const { promise: overdue, resolve } = Promise.withResolvers<void>();
      const ending = setTimeout(resolve, Math.max(0, deadlineMs - clock.nowMs()));
      await Promise.race([Promise.all(attempts), overdue]);
      clearTimeout(ending);
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      await looking;
      clearTimeout(timer);
      for (const { abort } of running.values()) abort.abort(new ServerEnds());
      await Promise.all(attempts);
      clearInterval(renewal);
      clearInterval(watch);
      await renewing;
    },
  };
}

/** Another server may run it by now, or nobody is to. */
export class LeaseLost extends Error {
  override readonly name = "AbortError";
  constructor() {
    super("This attempt is not wanted any more");
  }
}

/** Another server goes on with it. */
export class ServerEnds extends Error {
  override readonly name = "AbortError";
  constructor() {
    super("The server ends");
  }
}

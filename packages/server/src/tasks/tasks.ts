/**
 * The queue of one server: what makes tasks hands them over here, and what is due is run.
 *
 * @module
 */
import { DEFAULT_RETRIES, DEFAULT_TASK_CONCURRENCY, PlatformError } from "@fluxbase/contract";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import type { Clock } from "../core/clock.ts";
import type { AdjustableLog } from "../core/log.ts";
import type { TaskQueue, TaskRequest } from "../invoke/async_call.ts";
import type { InvokeParts } from "../invoke/invoke.ts";
import type { Database, Db } from "../storage/db.ts";
import type { Listener } from "../storage/listener.ts";
import {
  announceTasks,
  claimTasks,
  insertTask,
  listFullQueues,
  nextTaskMs,
  renewLeases,
  settleAttempts,
  TASKS_CHANNEL,
} from "../storage/tasks.ts";
import { attemptTask, taskCallerOf } from "./attempt.ts";
import { startTaskRunner } from "./task_runner.ts";

export interface TaskParts {
  readonly db: Database["db"];
  readonly listener: Listener;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: AdjustableLog;
  readonly place: { readonly baseUrl: string };
  readonly invokeParts: InvokeParts;
  readonly limits: {
    readonly tasksCount: number;
    readonly waitingTasksCount: number;
    readonly waitingTasksMiB: number;
  };
  readonly stopping: AbortSignal;
}

export interface Tasks extends TaskQueue {
  /**
   * Stores it, also as part of a transaction; then the caller has to `announce` when that is committed.
   *
   * @returns its id, or that of the task with the same key
   * @throws {PlatformError} QUEUE_FULL
   */
  enqueue(task: TaskRequest, db?: Db): Promise<string>;
  /** No more tasks of the function are taken. */
  isFull(functionId: string): boolean;
  readonly runningCount: number;
  /** While the server stops: resolves when what runs is done, or at this time on the clock for durations. */
  finish(deadlineMs: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const MIB = 1024 * 1024;
const QUEUES_LOOK_MS = 5_000;
const FULL_RETRY_SEC = 10;

export async function startTasks(parts: TaskParts): Promise<Tasks> {
  const { db, listener, catalog, clock, log, place, invokeParts, limits, stopping } = parts;
  const node = `${log.node} ${crypto.randomUUID()}`;
  let full: ReadonlySet<string> = new Set();
  /** Functions that got a task since the last look at their queues. */
  let fed = new Set<string>();

  const runner = startTaskRunner({
    clock,
    log,
    stopping,
    roomCount: limits.tasksCount,
    store: {
      claim: (roomCount, leaseSec) =>
        claimTasks(db, { node, roomCount, leaseSec, concurrency: DEFAULT_TASK_CONCURRENCY }),
      nextMs: () => nextTaskMs(db),
      renew: (ids, leaseSec) => renewLeases(db, { node, ids, leaseSec }),
      settle: (outcomes) => settleAttempts(db, node, outcomes),
    },
    attempt: (task, signal) => attemptTask(task, signal, { catalog, place, invokeParts }),
  });
  await listener.follow({
    what: "tasks",
    channels: [TASKS_CHANNEL],
    async read() {
      runner.wake();
      await runner.checkLeases();
    },
  });

  async function lookAtQueues(): Promise<void> {
    const ids = [...new Set([...full, ...fed])];
    if (ids.length === 0) return;
    fed = new Set();
    try {
      full = new Set(
        await listFullQueues(db, ids, {
          maxCount: limits.waitingTasksCount,
          maxBytes: limits.waitingTasksMiB * MIB,
        }),
      );
    } catch {
      // What was known before holds.
    }
  }
  const queues = setInterval(lookAtQueues, QUEUES_LOOK_MS);

  return {
    async enqueue(task, within = db) {
      const { fn, caller } = task;
      if (full.has(fn.id)) throw queueFull(fn, limits);
      fed.add(fn.id);
      return await insertTask(within, {
        id: crypto.randomUUID(),
        functionId: fn.id,
        triggerType: task.triggerType,
        sourceId: task.sourceId ?? null,
        caller: taskCallerOf(caller),
        method: task.method ?? "POST",
        url: task.url ?? `/functions/v1/${fn.name}`,
        path: task.path ?? "",
        headers: task.headers ?? {},
        body: task.body ?? null,
        dedupeKey: task.dedupeKey ?? null,
        runAt: task.runAt ?? null,
        retries: task.retries ?? fn.settings.retries ?? DEFAULT_RETRIES,
        parentId: task.parentId ?? null,
        createdBy: task.createdBy ?? caller.userId ?? caller.keyId ?? caller.role,
      });
    },
    isFull: (functionId) => full.has(functionId),
    announce() {
      if (runner.hasRoom) runner.wake();
      // Nobody waits for it: servers look every second.
      else void announceTasks(db).catch(() => {});
    },
    get runningCount() {
      return runner.runningCount;
    },
    finish: runner.finish,
    async [Symbol.asyncDispose]() {
      clearInterval(queues);
      await runner[Symbol.asyncDispose]();
      await announceTasks(db).catch(() => {});
    },
  };
}

function queueFull({ name }: LiveFunction, { waitingTasksCount, waitingTasksMiB }: TaskParts["limits"]): PlatformError {
  return new PlatformError(
    "QUEUE_FULL",
    `Cannot queue a call of "${name}": its tasks that wait are ${waitingTasksCount} or have ${waitingTasksMiB} MiB, and it may have no more; try again when some are done`,
    { details: { limit: waitingTasksCount, retry_after: FULL_RETRY_SEC } },
  );
}

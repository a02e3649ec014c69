/**
 * Makes a task of each instant of each schedule that is due: exactly one, with any number of servers.
 *
 * Owns: when this server looks. What has to become of a schedule says ./plan.ts.
 *
 * A server sleeps until the next instant of any schedule, and then all of them look. Whoever is first has the schedule for
 * itself, writes down what became of its instants together with their tasks, and moves it on, in one transaction: one that
 * dies in the middle has done nothing. An idle server asks one question for each change, and one in half a minute, which is
 * how often the listener looks again.
 *
 * @module
 */
import type { SkipReason } from "@fluxbase/contract";
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import type { Listener } from "../storage/listener.ts";
import {
  claimDueSchedules,
  type DueSchedule,
  insertTicks,
  moveSchedules,
  nextLookMs,
  SCHEDULES_CHANNEL,
  settleTicks,
} from "../storage/schedules.ts";
import { insertTasks } from "../storage/tasks.ts";
import { type Plan, planOf } from "./plan.ts";
import { type TickCaller, tickTask } from "./tick_task.ts";

export interface TickerParts {
  readonly db: Database["db"];
  readonly listener: Listener;
  readonly log: Log;
  /** Who calls. */
  readonly caller: TickCaller;
  /** No more of its tasks are taken. */
  isFull(functionId: string): boolean;
  /** Tasks were made. */
  announce(): void;
  readonly stopping: AbortSignal;
}

const CLAIM_COUNT = 500;
/** `setTimeout` may be early by a part of a millisecond. */
const TIMER_SLACK_MS = 1;
const TIMER_MAX_MS = 3_600_000;
/** What is due is in another server's hands, which may end before it is done. */
const OTHERS_MS = 50;
const RETRY_MS = 1_000;

export async function startTicker(parts: TickerParts): Promise<AsyncDisposable> {
  const { db, listener, log, stopping } = parts;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let looking: Promise<void> | undefined;
  let isAskedAgain = false;
  let isEnded = false;
  const isOver = () => isEnded || stopping.aborted;

  /** One look at a time; asked for meanwhile, once more. */
  function look(): Promise<void> {
    isAskedAgain = looking !== undefined;
    return looking ??= lookNow().finally(() => {
      looking = undefined;
      if (isAskedAgain) void look();
    });
  }

  async function lookNow(): Promise<void> {
    if (isOver()) return;
    clearTimeout(timer);
    try {
      let ms = await nextLookMs(db);
      while (ms !== null && ms <= 0 && !isOver()) {
        const count = await tick(parts);
        ms = await nextLookMs(db);
        if (count === 0) ms = Math.max(ms ?? OTHERS_MS, OTHERS_MS);
      }
      if (ms !== null) lookIn(ms);
    } catch (error) {
      log.warn("Cannot look at schedules: trying again", { error });
      lookIn(RETRY_MS);
    }
  }

  function lookIn(ms: number): void {
    if (isOver()) return;
    clearTimeout(timer);
    timer = setTimeout(() => void look(), Math.min(TIMER_MAX_MS, ms + TIMER_SLACK_MS));
  }

  await listener.follow({ what: "schedules", channels: [SCHEDULES_CHANNEL], read: look });
  return {
    async [Symbol.asyncDispose]() {
      isEnded = true;
      clearTimeout(timer);
      await looking;
    },
  };
}

interface Tick {
  readonly scheduleId: string;
  readonly atMs: number;
  readonly taskId: string | null;
  readonly skipped: SkipReason | null;
}

/** @returns how many schedules were looked at */
async function tick({ db, log, caller, isFull, announce }: TickerParts): Promise<number> {
  const { lookedAt, made } = await db.transaction().execute(async (trx) => {
    const due = await claimDueSchedules(trx, CLAIM_COUNT);
    if (due.length === 0) return { lookedAt: 0, made: 0 };
    const plans = due.map((schedule) => {
      const plan = planned(schedule, log);
      const skipped = (reason: SkipReason) => (atMs: number): Tick => ({
        scheduleId: schedule.id,
        atMs,
        taskId: null,
        skipped: reason,
      });
      const begun = isFull(schedule.functionId)
        ? skipped("queue_full")
        : (atMs: number): Tick => ({ scheduleId: schedule.id, atMs, taskId: crypto.randomUUID(), skipped: null });
      return {
        schedule,
        seenUntilMs: plan.seenUntilMs,
        lookAtMs: plan.lookAtMs,
        fresh: [
          ...plan.run.map(begun),
          ...plan.wait.map((atMs): Tick => ({ scheduleId: schedule.id, atMs, taskId: null, skipped: null })),
          ...plan.skip.map(({ atMs, reason }) => skipped(reason)(atMs)),
        ],
        settled: [...plan.begin.map(begun), ...plan.drop.map(({ atMs, reason }) => skipped(reason)(atMs))],
      };
    });
    const isNew = await insertTicks(trx, plans.flatMap(({ fresh }) => fresh));
    await settleTicks(trx, plans.flatMap(({ settled }) => settled));
    const outcomes = plans.map(({ schedule, seenUntilMs, lookAtMs, fresh, settled }) => {
      const mine = fresh.filter(({ atMs }) => isNew.has(`${schedule.id} ${atMs}`));
      return { schedule, seenUntilMs, lookAtMs, tasks: tasksOf([...settled, ...mine]) };
    });
    await insertTasks(
      trx,
      outcomes.flatMap(({ schedule, tasks }) => tasks.map(({ id, atMs }) => tickTask(schedule, { id, atMs, caller }))),
    );
    await moveSchedules(
      trx,
      outcomes.map(({ schedule, seenUntilMs, lookAtMs, tasks }) => ({
        id: schedule.id,
        seenUntilMs,
        lookAtMs,
        lastTaskId: tasks.at(-1)?.id ?? null,
      })),
    );
    return { lookedAt: due.length, made: outcomes.reduce((sum, { tasks }) => sum + tasks.length, 0) };
  });
  if (made > 0) announce();
  return lookedAt;
}

const FAILED_LOOK_MS = 60_000;

/** One that cannot be worked out, such as of a time zone that this machine does not know, holds up no other. */
function planned(schedule: DueSchedule, log: Log): Plan {
  try {
    return planOf(schedule);
  } catch (error) {
    log.warn("Cannot work out when a schedule is due: trying again", { schedule: schedule.id, error });
    const nothing = { run: [], wait: [], skip: [], begin: [], drop: [] };
    return { ...nothing, seenUntilMs: schedule.seenUntilMs, lookAtMs: schedule.nowMs + FAILED_LOOK_MS };
  }
}

function tasksOf(ticks: readonly Tick[]): { readonly id: string; readonly atMs: number }[] {
  return ticks.flatMap(({ taskId, atMs }) => taskId === null ? [] : [{ id: taskId, atMs }])
    .sort((a, b) => a.atMs - b.atMs);
}

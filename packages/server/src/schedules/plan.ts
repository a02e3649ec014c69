/**
 * What has to become of a schedule at a moment: which instants are due, and which of them run, wait or are skipped.
 *
 * @module
 */
import type { SkipReason } from "@fluxbase/contract";
import type { DueSchedule } from "../storage/schedules.ts";
import { lastInstants, nextInstants } from "./timing.ts";

export interface Plan {
  /** New instants that run now, wait for the one before them, or come to nothing. */
  readonly run: readonly number[];
  readonly wait: readonly number[];
  readonly skip: readonly { readonly atMs: number; readonly reason: SkipReason }[];
  /** Instants that have waited and run now, or never will. */
  readonly begin: readonly number[];
  readonly drop: readonly { readonly atMs: number; readonly reason: SkipReason }[];
  readonly seenUntilMs: number;
  /** When a server has to look again; null: never. */
  readonly lookAtMs: number | null;
}

/** Later than this, no server was there to see it: `catch_up` decides. */
const LATE_MS = 60_000;
const CATCH_UP_MAX_COUNT = 100;
const WAITING_MAX_COUNT = 100;
/** How soon is seen that the call is over which others wait for. */
const WAITING_LOOK_MS = 500;

type Facts = Omit<DueSchedule, "id" | "functionId" | "name" | "functionName" | "retries">;

export function planOf(schedule: Facts): Plan {
  const { overlap, waitingMs, nowMs } = schedule;
  const due = dueInstants(schedule);
  const next = nextInstant(schedule);
  if (!schedule.isCallable) {
    const skip = (atMs: number) => ({ atMs, reason: "disabled" as const });
    const nothing = { run: [], wait: [], begin: [] };
    return {
      ...nothing,
      skip: due.map(({ atMs }) => skip(atMs)),
      drop: waitingMs.map(skip),
      seenUntilMs: nowMs,
      lookAtMs: next,
    };
  }
  const [run, wait, begin]: [number[], number[], number[]] = [[], [], []];
  const skip: { atMs: number; reason: SkipReason }[] = [];
  const waiting = [...waitingMs];
  let isBusy = schedule.isBusy;
  while (waiting.length > 0 && (overlap === "allow" || !isBusy)) {
    begin.push(...waiting.splice(0, 1));
    isBusy = true;
  }
  for (const { atMs, isLate } of due) {
    if (overlap === "allow" || (!isBusy && waiting.length === 0)) {
      run.push(atMs);
      isBusy = true;
    } // What is made up for does not overlap: it is only late.
    else if ((overlap === "queue" || isLate) && waiting.length < WAITING_MAX_COUNT) {
      wait.push(atMs);
      waiting.push(atMs);
    } else skip.push({ atMs, reason: "overlap" });
  }
  const soon = waiting.length > 0 ? nowMs + WAITING_LOOK_MS : Infinity;
  return {
    run,
    wait,
    skip,
    begin,
    drop: [],
    seenUntilMs: nowMs,
    lookAtMs: next === null && soon === Infinity ? null : Math.min(next ?? soon, soon),
  };
}

interface DueInstant {
  readonly atMs: number;
  readonly isLate: boolean;
}

function dueInstants({ cron, timeZone, runAtMs, catchUp, seenUntilMs, nowMs }: Facts): DueInstant[] {
  const lateMs = nowMs - LATE_MS;
  const between = (afterMs: number, untilMs: number, count: number): number[] => {
    if (cron !== null) return untilMs > afterMs ? lastInstants({ cron, timeZone }, { afterMs, untilMs, count }) : [];
    return runAtMs !== null && runAtMs > afterMs && runAtMs <= untilMs ? [runAtMs] : [];
  };
  const onTime = between(Math.max(seenUntilMs, lateMs), nowMs, CATCH_UP_MAX_COUNT);
  const madeUpCount = { none: 0, once: onTime.length > 0 ? 0 : 1, all: CATCH_UP_MAX_COUNT }[catchUp];
  const late = madeUpCount === 0 ? [] : between(seenUntilMs, lateMs, madeUpCount);
  return [
    ...late.map((atMs) => ({ atMs, isLate: true })),
    ...onTime.map((atMs) => ({ atMs, isLate: false })),
  ];
}

function nextInstant({ cron, timeZone, runAtMs, nowMs }: Facts): number | null {
  if (cron !== null) return nextInstants({ cron, timeZone }, { afterMs: nowMs, count: 1 })[0] ?? null;
  return runAtMs !== null && runAtMs > nowMs ? runAtMs : null;
}

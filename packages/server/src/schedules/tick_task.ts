/**
 * The task of one instant: a POST that says which schedule, and which instant of it.
 *
 * @module
 */
import { DEFAULT_RETRIES } from "@fluxbase/contract";
import type { DueSchedule } from "../storage/schedules.ts";
import type { NewTask } from "../storage/tasks.ts";

export type TickCaller = NewTask["caller"];

export interface TickFacts {
  /** Of the task. */
  readonly id: string;
  readonly atMs: number;
  readonly caller: TickCaller;
}

const CREATED_BY = "schedule";

export function tickTask(
  schedule: Pick<DueSchedule, "id" | "functionId" | "functionName" | "name" | "cron" | "retries">,
  { id, atMs, caller }: TickFacts,
): NewTask {
  const tick = { schedule: schedule.name, scheduled_at: new Date(atMs).toISOString() };
  return {
    id,
    functionId: schedule.functionId,
    triggerType: "cron",
    sourceId: schedule.id,
    // What a function is told of its trigger is never taken from a request.
    caller: { ...caller, facts: { ...caller.facts, trigger: { ...tick, cron: schedule.cron } } },
    method: "POST",
    url: `/functions/v1/${schedule.functionName}`,
    path: "",
    headers: { "content-type": "application/json" },
    body: new TextEncoder().encode(JSON.stringify(tick)),
    dedupeKey: null,
    runAt: null,
    retries: schedule.retries ?? DEFAULT_RETRIES,
    createdBy: CREATED_BY,
  };
}

/**
 * The next instants of a schedule, for people to see whether it means what they mean.
 *
 * @module
 */
import type { VersionSchedule } from "@fluxbase/contract";
import { nextInstants } from "./timing.ts";

const SHOWN_COUNT = 5;

export function nextRuns({ cron, time_zone: timeZone }: Pick<VersionSchedule, "cron" | "time_zone">): string[] {
  return nextInstants({ cron, timeZone }, { afterMs: Date.now(), count: SHOWN_COUNT })
    .map((ms) => new Date(ms).toISOString());
}

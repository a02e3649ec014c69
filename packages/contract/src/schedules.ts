/**
 * Schedules: rules by which functions are called at certain times, as they travel over HTTP.
 *
 * @module
 */
import type { TaskState } from "./tasks.ts";

/** What is made up for when no server was running: the last instant, nothing, or every one (100 at most). */
export const CATCH_UPS = ["once", "none", "all"] as const;
export type CatchUp = (typeof CATCH_UPS)[number];

/** What happens to an instant while the call of the one before is not over. */
export const OVERLAPS = ["skip", "queue", "allow"] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** Where a schedule is written: in a comment, in the code, as the field `cron_schedule`, or made by the API. */
export const SCHEDULE_SOURCES = ["annotation", "code", "field", "api"] as const;
export type ScheduleSource = (typeof SCHEDULE_SOURCES)[number];

export interface ScheduleRule {
  readonly name: string;
  /** A cron expression of five fields, or of six with seconds before them; null: it runs once, at `run_at`. */
  readonly cron: string | null;
  readonly time_zone: string;
  readonly catch_up: CatchUp;
  readonly overlap: Overlap;
}

/** A schedule that a version of a function brings along. */
export interface VersionSchedule extends ScheduleRule {
  readonly cron: string;
  readonly source: Exclude<ScheduleSource, "api">;
}

export interface VersionScheduleView extends VersionSchedule {
  readonly next_runs: readonly string[];
}

export interface Schedule extends ScheduleRule {
  readonly id: string;
  readonly function_name: string;
  readonly namespace: string;
  readonly source: ScheduleSource;
  /** Of one that runs once. */
  readonly run_at: string | null;
  readonly paused: boolean;
  /** The next five instants; none while it is paused, or when it is over. */
  readonly next_runs: readonly string[];
  readonly last_tick: ScheduleTick | null;
  readonly created_at: string;
  readonly created_by: string | null;
}

/** Why an instant came to no call. */
export const SKIP_REASONS = ["overlap", "disabled", "queue_full"] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** What became of one instant of a schedule. */
export interface ScheduleTick {
  readonly scheduled_at: string;
  readonly skipped: SkipReason | null;
  /** Null where it was skipped, and when the task is kept no longer. */
  readonly task_id: string | null;
  readonly task_state: TaskState | null;
  readonly execution_id: string | null;
  readonly status_code: number | null;
  readonly error: string | null;
}

export interface ScheduleDetails extends Schedule {
  /** The last twenty, newest first. */
  readonly ticks: readonly ScheduleTick[];
}

export const SCHEDULE_NAME_MAX_CHARACTERS = 100;

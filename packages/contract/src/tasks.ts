/**
 * Tasks: calls of functions that are kept until they are answered or given up, as they travel over HTTP.
 *
 * @module
 */
import type { ErrorCode } from "./errors.ts";
import type { TriggerType } from "./triggers.ts";

export const TASK_STATES = ["waiting", "running", "done", "dead", "cancelled"] as const;
export type TaskState = (typeof TASK_STATES)[number];

export interface Task {
  readonly id: string;
  /** To be sent as `cursor` for those that come after it in a list. */
  readonly cursor: string;
  readonly function_id: string;
  readonly function_name: string;
  readonly namespace: string;
  /** `dead`: its attempts are used up, or the function's answer was final; it waits for somebody to retry or delete it. */
  readonly state: TaskState;
  /** What made it. */
  readonly trigger_type: TriggerType;
  /** Id of the schedule or hook that made it. */
  readonly source_id: string | null;
  readonly method: string;
  /** Path and query as the function sees them. */
  readonly url: string;
  /** When its next attempt may begin, or its last one could. */
  readonly run_at: string;
  /** Attempts that have begun. */
  readonly attempts: number;
  /** Attempts after the first. */
  readonly retries: number;
  /** Of the last attempt. */
  readonly execution_id: string | null;
  /** What the function answered last. */
  readonly status_code: number | null;
  readonly error: string | null;
  readonly error_code: ErrorCode | null;
  readonly created_at: string;
  readonly created_by: string | null;
  readonly finished_at: string | null;
}

export interface TaskDetails extends Task {
  /** The body of the last answer; null without any. */
  readonly answer: TaskBody | null;
  readonly payload: { readonly headers: Readonly<Record<string, string>>; readonly body: TaskBody | null };
}

export interface TaskBody {
  /** Text, or base64 of what is no text. */
  readonly content: string;
  readonly encoding: "utf-8" | "base64";
  readonly content_type: string | null;
  /** Only its first 64 KB are kept. */
  readonly is_cut: boolean;
}

/** The answer to a call that asks for a later one. */
export interface QueuedTask {
  readonly task_id: string;
  /** Tells what has become of it. */
  readonly status_url: string;
}

/**
 * The record of an invocation as it travels over HTTP.
 *
 * @module
 */
import type { ErrorCode } from "./errors.ts";
import type { TaskState } from "./tasks.ts";
import type { TriggerType } from "./triggers.ts";

export type ExecutionStatus = "running" | "success" | "error" | "timeout" | "killed";
export type LogLevel = "debug" | "info" | "warn" | "error";

export const EXECUTION_STATUSES: readonly ExecutionStatus[] = ["running", "success", "error", "timeout", "killed"];
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export interface Execution {
  readonly id: string;
  /** To be sent as `cursor` for those that come after it in a list. */
  readonly cursor: string;
  /** The client's own (X-Request-ID); the same as `id` when it brought none. */
  readonly request_id: string;
  readonly function_id: string;
  readonly function_name: string;
  readonly namespace: string;
  readonly version: number;
  readonly trigger_type: TriggerType;
  /** The task that it was an attempt of, and which one; null for calls that were answered at once. */
  readonly task_id: string | null;
  readonly task_attempt: number | null;
  /** `success` means that the handler answered below 500. */
  readonly status: ExecutionStatus;
  readonly status_code: number | null;
  readonly duration_ms: number | null;
  /** Time spent waiting for a sandbox. */
  readonly queue_ms: number;
  readonly cold_start: boolean;
  readonly method: string;
  /** Path after the function's own path, without the query. */
  readonly path: string;
  readonly user_id: string | null;
  readonly error_message: string | null;
  /** Same text as `error_message`. */
  readonly error: string | null;
  readonly error_code: ErrorCode | null;
  readonly error_stack: string | null;
  /** All log lines as one text. */
  readonly logs: string;
  readonly executed_at: string;
  /** Same instant as `executed_at`. */
  readonly started_at: string;
  readonly completed_at: string | null;
  /** The server that ran it. */
  readonly node: string | null;
  /** Of the trace that it belongs to (traceparent); null where nobody traced it. */
  readonly trace_id: string | null;
  /** From the start to the head of the answer. */
  readonly first_byte_ms: number | null;
  /**
   * Processor time, and the most memory that its sandbox had. Sandboxes are looked at twice a second, and what one took
   * is shared among the calls that it ran: null for a call that was over before somebody looked.
   */
  readonly cpu_ms: number | null;
  readonly memory_mb: number | null;
  /** Of the bodies. */
  readonly bytes_in: number | null;
  readonly bytes_out: number | null;
}

/** Everything that is known of one execution. */
export interface ExecutionDetails extends Execution {
  /** Null where it was recorded before this was. */
  readonly caller: {
    /** `anonymous`, `anon`, `user`, `key`, `function` or `service`. */
    readonly kind: string;
    readonly role: string | null;
    readonly key_id: string | null;
    readonly user_id: string | null;
  } | null;
  /** That held for it. */
  readonly limits: { readonly timeout_ms: number; readonly memory_mb: number } | null;
  /** Null when no sandbox ever got it. */
  readonly sandbox: {
    /** It was made for this call. */
    readonly cold: boolean;
    readonly age_ms: number;
    /** Of the calls that it has served, from 1. */
    readonly request_number: number;
  } | null;
  /** In their order, without gaps; phases that did not happen are left out. */
  readonly timeline: readonly ExecutionPhase[];
  readonly failure: ExecutionFailure | null;
  /** The execution that it was run again from. */
  readonly replay_of: string | null;
  /** Its request was kept, so it can be run again. */
  readonly is_captured: boolean;
  /** The execution that called the platform and so made this one. */
  readonly parent: RelatedExecution | null;
  /** Those that it made by calling the platform, in their order; 100 at most. */
  readonly calls: readonly RelatedExecution[];
  /** Tasks that it made, in their order; 100 at most. */
  readonly tasks: readonly RelatedTask[];
  /** In their order; 1,000 at most. */
  readonly log_entries: readonly LogEntry[];
}

export interface RelatedTask {
  readonly id: string;
  readonly function_name: string;
  readonly namespace: string;
  readonly state: TaskState;
  readonly created_at: string;
}

/** Milliseconds from the start of the execution. */
export interface ExecutionPhase {
  /**
   * `queue`: waiting; `start`: a sandbox was started; `load`: it loaded the version; `handler`: until the head of the
   * answer; `answer`: until its end.
   */
  readonly phase: "queue" | "start" | "load" | "handler" | "answer";
  readonly from_ms: number;
  readonly to_ms: number;
}

export interface ExecutionFailure {
  readonly code: ErrorCode | null;
  readonly message: string;
  /** In the lines of the source; of the error itself. */
  readonly stack: string | null;
  /** The lines of the source around the place. */
  readonly code_frame: string | null;
  /** What caused it, and the errors that an AggregateError holds, in the order in which they belong to each other. */
  readonly related: readonly { readonly kind: "cause" | "member"; readonly stack: string }[];
}

/** Some of a body, or all of it. */
export interface ShownBody {
  readonly bytes: number;
  readonly is_cut: boolean;
  readonly encoding: "utf8" | "base64";
  readonly content: string;
}

/** A request that was kept, as it is run again: without credentials. */
export interface CapturedRequestView {
  readonly execution_id: string;
  readonly method: string;
  /** Its path, as the function saw it, and its query. */
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** All of it; `is_cut` where it was longer than what is kept, and nothing of it is there. */
  readonly body: ShownBody;
  /** What was taken out before it was kept, such as `header cookie`. */
  readonly removed: readonly string[];
}

/** What became of an execution that was run again. */
export interface ReplayAnswer {
  readonly execution_id: string;
  readonly replay_of: string;
  readonly version: number;
  readonly status_code: number;
  /** Of an answer that the function did not give itself. */
  readonly error_code: ErrorCode | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The first 64 KB; of an error its message. */
  readonly body: ShownBody;
  /** What was taken out of the request before it was kept, such as `header cookie`, and so was missing. */
  readonly removed: readonly string[];
  readonly comparison: ReplayComparison;
}

/** `before`: of the execution that was run again. */
export interface ReplayComparison {
  readonly same: boolean;
  readonly status: { readonly before: number; readonly after: number; readonly same: boolean };
  readonly error_code: { readonly before: ErrorCode | null; readonly after: ErrorCode | null; readonly same: boolean };
  /** By name: those that one of the two has alone, or with another value. */
  readonly headers: { readonly same: boolean; readonly differing: readonly string[] };
  /** Null where one of the two was sent in pieces. */
  readonly body: {
    readonly before_bytes: number | null;
    readonly after_bytes: number | null;
    readonly same: boolean | null;
  };
}

export interface RelatedExecution {
  readonly id: string;
  readonly function_name: string;
  readonly namespace: string;
  readonly version: number;
  readonly status: ExecutionStatus;
  readonly status_code: number | null;
  readonly duration_ms: number | null;
  readonly started_at: string;
}

export interface LogEntry {
  readonly id: string;
  /** To be sent as `cursor` for those that come after it in a list. */
  readonly cursor: string;
  readonly function_id: string;
  /** As it is called now; null when it is gone for good. */
  readonly function_name: string | null;
  readonly namespace: string | null;
  readonly timestamp: string;
  readonly level: LogLevel;
  readonly message: string;
  /** Null for a line that was written outside any request. */
  readonly execution_id: string | null;
  readonly line_number: number;
  /** Structured arguments of the console call, or null. */
  readonly fields: Readonly<Record<string, unknown>> | null;
}

/** How much servers log. */
export interface LogLevelView {
  readonly level: LogLevel;
  /** Of this server, while nobody has set another. */
  readonly configured: LogLevel;
}

/**
 * Executions and log lines as the API shows them.
 *
 * @module
 */
import type {
  Execution,
  ExecutionDetails,
  ExecutionFailure,
  ExecutionPhase,
  LogEntry,
  RelatedExecution,
} from "@fluxbase/contract";
import type { StoredExecution, StoredLogLine } from "../storage/executions.ts";
import type { StoredTask } from "../storage/tasks.ts";
import { cursorOf } from "./cursor.ts";

export function executionView(stored: StoredExecution): Execution {
  const startedAt = stored.startedAt.toISOString();
  return {
    id: stored.id,
    cursor: cursorOf(stored.startedAtUs, stored.id),
    request_id: stored.requestId ?? stored.id,
    function_id: stored.functionId,
    function_name: stored.functionName,
    namespace: stored.namespace,
    version: stored.version,
    trigger_type: stored.triggerType,
    task_id: stored.taskId,
    task_attempt: stored.taskAttempt,
    status: stored.status,
    status_code: stored.statusCode,
    duration_ms: roundedOrNull(stored.durationMs),
    queue_ms: rounded(stored.queueMs),
    cold_start: stored.coldStart,
    method: stored.method,
    path: stored.path,
    user_id: stored.userId,
    error_message: stored.errorMessage,
    error: stored.errorMessage,
    error_code: stored.errorCode,
    error_stack: stored.errorStack,
    logs: stored.logText,
    executed_at: startedAt,
    started_at: startedAt,
    completed_at: stored.completedAt?.toISOString() ?? null,
    node: stored.node,
    trace_id: stored.traceId,
    first_byte_ms: roundedOrNull(stored.firstByteMs),
    cpu_ms: roundedOrNull(stored.cpuMs),
    memory_mb: roundedOrNull(stored.memoryMiB),
    bytes_in: stored.bytesIn,
    bytes_out: stored.bytesOut,
  };
}

function roundedOrNull(value: number | null): number | null {
  return value === null ? null : rounded(value);
}

/** To the microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

export function logView(line: StoredLogLine): LogEntry {
  return {
    id: `${line.executionId ?? line.batchSeq ?? line.loggedAt.getTime()}-${line.lineNumber}`,
    timestamp: line.loggedAt.toISOString(),
    level: line.level,
    message: line.message,
    cursor: cursorOf(line.loggedAtUs, line.executionId ?? "", line.lineNumber),
    function_id: line.functionId,
    function_name: line.functionName,
    namespace: line.namespace,
    execution_id: line.executionId,
    line_number: line.lineNumber,
    fields: line.fields,
  };
}

export interface Surroundings {
  readonly isCaptured: boolean;
  readonly tasks: readonly StoredTask[];
  readonly parent: StoredExecution | undefined;
  readonly calls: readonly StoredExecution[];
  readonly lines: readonly StoredLogLine[];
}

export function detailsView(
  stored: StoredExecution,
  { parent, calls, tasks, lines, isCaptured }: Surroundings,
): ExecutionDetails {
  const { details = null, coldStart, userId } = stored;
  return {
    ...executionView(stored),
    caller: details === null
      ? null
      : { kind: details.caller.kind, role: details.caller.role, key_id: details.caller.keyId, user_id: userId },
    limits: details === null ? null : { timeout_ms: details.timeoutMs, memory_mb: details.memoryMiB },
    sandbox: details?.sandbox === undefined
      ? null
      : { cold: coldStart, age_ms: details.sandbox.ageMs, request_number: details.sandbox.ordinal },
    timeline: timelineOf(stored),
    failure: failureOf(stored),
    replay_of: details?.replayOf ?? null,
    is_captured: isCaptured,
    parent: parent === undefined ? null : relatedView(parent),
    calls: calls.map(relatedView),
    tasks: tasks.map(({ id, functionName, namespace, state, createdAt }) => ({
      id,
      function_name: functionName,
      namespace,
      state,
      created_at: createdAt.toISOString(),
    })),
    log_entries: lines.map(logView),
  };
}

function relatedView(stored: StoredExecution): RelatedExecution {
  const { id, function_name, namespace, version, status, status_code, duration_ms, started_at } = executionView(stored);
  return { id, function_name, namespace, version, status, status_code, duration_ms, started_at };
}

/** What one phase ends with, the next one begins with. */
function timelineOf({ durationMs, queueMs, firstByteMs, details = null }: StoredExecution): ExecutionPhase[] {
  const endMs = durationMs ?? 0;
  const cold = details?.cold;
  const wasSent = details === null ? durationMs !== queueMs : details.sandbox !== undefined;
  // A start may have begun for others, before this request came.
  const ends: readonly (readonly [ExecutionPhase["phase"], number | undefined])[] = [
    ["queue", cold?.beganMs ?? queueMs],
    ["start", cold?.spawnedMs],
    ["load", cold?.loadedMs],
    ["handler", wasSent ? firstByteMs ?? endMs : undefined],
    ["answer", wasSent && firstByteMs !== null ? endMs : undefined],
  ];
  let fromMs = 0;
  return ends.flatMap(([phase, until]) => {
    if (until === undefined) return [];
    const toMs = Math.max(fromMs, until);
    const made = { phase, from_ms: rounded(fromMs), to_ms: rounded(toMs) };
    fromMs = toMs;
    return [made];
  });
}

/** A frame of the source ends the text of a stack: its place, then numbered lines. */
const FRAME = /\n\n(\S+:\d+:\d+\n[> ] +\d+ \|[^]*)$/;
const RELATED = /\n(?=Caused by: |\[errors \d+\]: )/;
const PREFIX = /^(?:Caused by: |\[errors (\d+)\]: )/;

function failureOf({ errorCode, errorMessage, errorStack }: StoredExecution): ExecutionFailure | null {
  if (errorMessage === null) return null;
  const [whole = "", frame] = (errorStack ?? "").split(FRAME);
  const [first = "", ...related] = whole.split(RELATED);
  return {
    code: errorCode,
    message: errorMessage,
    stack: errorStack === null ? null : first,
    code_frame: frame ?? null,
    related: related.map((text) => {
      const [prefix = "", index] = PREFIX.exec(text) ?? [];
      return { kind: index === undefined ? "cause" : "member", stack: text.slice(prefix.length) };
    }),
  };
}

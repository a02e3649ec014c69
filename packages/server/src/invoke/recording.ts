/**
 * From the end of an invocation to its execution record.
 *
 * @module
 */
import { type ErrorCode, type ExecutionStatus, PlatformError } from "@fluxbase/contract";
import { parseTraceparent, TRACE_HEADER } from "../../sandbox_runtime/trace_context.ts";
import type { Caller } from "../auth/caller.ts";
import type { LiveFunction } from "../catalog/catalog.ts";
import type { Capture } from "../executions/captures.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import type { ExchangeObserver, LogLine, Outcome } from "../sandbox/exchange.ts";
import type { SandboxVersion } from "../sandbox/sandbox_version.ts";
import type { ExecutionFacts, ExecutionRecord } from "../storage/executions.ts";
import { hiddenValues, mask } from "../secrets/masking.ts";
import type { SecretValues } from "../secrets/secret_store.ts";
import type { CallTrace } from "../telemetry/telemetry.ts";
import type { Invocation } from "./invocation.ts";

export interface RecordingStart {
  readonly caller: Caller;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** On the clock for durations. */
  readonly startedMs: number;
  readonly version: SandboxVersion;
  /** Of the user who calls. */
  readonly userSecrets: SecretValues | undefined;
  /** Null where nothing is told of it. */
  readonly trace: CallTrace | null;
}

/** A class, because a closure for each request that outlives it cost a quarter of the throughput in collections. */
export class Recording implements ExchangeObserver {
  readonly #executions: ExecutionLog;
  readonly #call: Invocation;
  readonly #start: RecordingStart;
  /** Told of the end. */
  capture: Capture | undefined;

  constructor(executions: ExecutionLog, call: Invocation, start: RecordingStart) {
    this.#executions = executions;
    this.#call = call;
    this.#start = start;
  }

  logged(lines: readonly LogLine[], beforeCount: number): void {
    const { fn, executionId } = this.#call;
    if (fn.settings.disableExecutionLogs) return;
    const { startedAtMs, trace } = this.#start;
    const shown = masked(lines, hiddenOf(this.#start));
    trace?.logged({ id: executionId, functionName: fn.name, namespace: fn.namespace, version: versionOf(fn) }, shown);
    shown.forEach((line, index) => {
      const lineNumber = beforeCount + index + 1;
      this.#executions.recordLine({ functionId: fn.id, of: { executionId, startedAtMs, lineNumber }, ...line });
    });
  }

  finished(outcome: Outcome, logs: readonly LogLine[]): void {
    const { status, error, stack, sentMs, coldStart, answeredMs, completedMs, usage } = outcome;
    const { fn, executionId, givenRequestId, trigger, method, url, path, headers, task } = this.#call;
    const { caller, startedAtMs, startedMs, trace } = this.#start;
    this.capture?.finished(statusOf(status, error));
    const isSilent = error === null && logs.length === 0;
    const hidden = isSilent ? [] : hiddenOf(this.#start);
    const record: ExecutionRecord = {
      id: executionId,
      requestId: givenRequestId,
      functionId: fn.id,
      functionName: fn.name,
      namespace: fn.namespace,
      version: versionOf(fn),
      triggerType: trigger,
      taskId: task?.id ?? null,
      taskAttempt: task?.attempt ?? null,
      status: statusOf(status, error),
      statusCode: status,
      durationMs: completedMs - startedMs,
      queueMs: (sentMs ?? completedMs) - startedMs,
      coldStart: coldStart !== null,
      method,
      path,
      userId: caller.userId,
      errorMessage: error === null ? null : mask(error.message, hidden),
      errorCode: error?.code ?? null,
      errorStack: stack === null ? null : mask(stack, hidden),
      startedAtMs,
      node: this.#executions.node,
      traceId: trace?.traceId ?? parseTraceparent(headers.get(TRACE_HEADER))?.traceId ?? null,
      cpuMs: usage?.cpuMs ?? null,
      memoryMiB: usage?.memoryMiB ?? null,
      bytesIn: outcome.bytesIn,
      bytesOut: outcome.bytesOut,
      firstByteMs: answeredMs === null ? null : answeredMs - startedMs,
      parentId: this.#call.parentId ?? null,
      details: this.#details(outcome),
      ...fn.settings.disableExecutionLogs
        ? { logs: [] }
        : { logs: masked(withFailure(logs, outcome, this.#start), hidden), linesBefore: outcome.linesBefore },
    };
    this.#executions.record(record);
    if (trace === null) return;
    const userAgent = headers.get("user-agent");
    trace.ended(record, { url, userAgent, startedMs, sentMs, coldStart, answeredMs, completedMs });
  }

  #details({ coldStart, sandboxAgeMs, ordinal }: Outcome): ExecutionFacts {
    const { caller: { kind, role, keyId }, startedMs, version } = this.#start;
    const { timeoutMs, fn, replayOf } = this.#call;
    return {
      caller: { kind, role, keyId },
      ...replayOf === undefined ? {} : { replayOf },
      timeoutMs: timeoutMs ?? fn.settings.timeoutMs,
      memoryMiB: version.profile.memoryMiB,
      ...sandboxAgeMs === null ? {} : { sandbox: { ageMs: Math.round(sandboxAgeMs), ordinal } },
      ...coldStart === null ? {} : {
        cold: {
          beganMs: coldStart.beganMs - startedMs,
          spawnedMs: coldStart.spawnedMs - startedMs,
          loadedMs: coldStart.loadedMs - startedMs,
        },
      },
    };
  }

  /** For an invocation that never reached a sandbox. */
  failedBeforeStart(error: unknown, nowMs: number): void {
    const known = error instanceof PlatformError
      ? error
      : new PlatformError("INTERNAL", "Unexpected failure", { cause: error });
    const outcome = {
      status: known.status,
      error: known,
      stack: null,
      sentMs: null,
      coldStart: null,
      sandboxAgeMs: null,
      ordinal: 0,
      answeredMs: null,
      completedMs: nowMs,
      bytesIn: 0,
      bytesOut: 0,
      usage: null,
      linesBefore: 0,
    };
    this.finished(outcome, []);
  }
}

function versionOf({ liveVersion, latestVersion }: LiveFunction): number {
  return liveVersion ?? latestVersion;
}

/** Secrets that this request has seen. */
export function hiddenOf({ version, userSecrets }: Pick<RecordingStart, "version" | "userSecrets">): readonly string[] {
  if (userSecrets === undefined) return version.hidden();
  const own: Record<string, string> = JSON.parse(userSecrets.reveal());
  return hiddenValues([...version.hidden(), ...Object.values(own)]);
}

/** What a handler threw is the last of its lines: who reads the log looks for it there. */
function withFailure(
  lines: readonly LogLine[],
  { error, stack, completedMs }: Outcome,
  { startedAtMs, startedMs }: Pick<RecordingStart, "startedAtMs" | "startedMs">,
): readonly LogLine[] {
  if (error?.code !== "FUNCTION_ERROR") return lines;
  const atMs = startedAtMs + Math.round(completedMs - startedMs);
  return [...lines, { atMs, level: "error", message: stack ?? error.message, fields: null }];
}

function masked(lines: readonly LogLine[], hidden: readonly string[]): readonly LogLine[] {
  if (hidden.length === 0) return lines;
  return lines.map((line) => ({ ...line, ...maskedLine(line, hidden) }));
}

export function maskedLine(
  { message, fields }: Pick<LogLine, "message" | "fields">,
  hidden: readonly string[],
): Pick<LogLine, "message" | "fields"> {
  return {
    message: mask(message, hidden),
    fields: fields === null ? null : JSON.parse(maskJson(JSON.stringify(fields), hidden)),
  };
}

/** Values as JSON writes them. */
function maskJson(json: string, hidden: readonly string[]): string {
  return mask(json, hidden.map((value) => JSON.stringify(value).slice(1, -1)));
}

/** What ended the sandbox under a request, as opposed to a handler that failed. */
const KILLED: ReadonlySet<string> = new Set<ErrorCode>(["MEMORY_LIMIT", "CPU_LIMIT", "DISK_LIMIT", "SANDBOX_DIED"]);

function statusOf(status: number | null, error: PlatformError | null): ExecutionStatus {
  if (error === null) return status !== null && status < 500 ? "success" : "error";
  if (error.code === "WALL_LIMIT") return "timeout";
  return KILLED.has(error.code) ? "killed" : "error";
}

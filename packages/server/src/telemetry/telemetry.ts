/**
 * What is told to OpenTelemetry of calls, and of the server in numbers.
 *
 * Nothing of it is loaded where nothing is sent.
 *
 * @module
 */
import type { HeaderList } from "../core/header_list.ts";
import type { Log } from "../core/log.ts";
import type { ExecutionRecord, FunctionLineRecord, LogLineRecord } from "../storage/executions.ts";
import type { MetricFamily } from "./metric_family.ts";
import type { TelemetryConfig } from "./telemetry_config.ts";

export interface Telemetry {
  /** Decides whether a call is recorded, and tells its function by the headers. */
  begin(headers: HeaderList): CallTrace;
  /** A line that a function wrote outside any request. */
  line(line: FunctionLineRecord & FunctionName): void;
  /** What waits is sent, as far as it is taken. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface FunctionName {
  readonly namespace: string;
  readonly functionName: string;
  readonly version: number;
}

/** One call on its way. */
export interface CallTrace {
  readonly traceId: string;
  /** Lines that are shown before it is over. Neither ever throws. */
  logged(call: FunctionName & { readonly id: string }, lines: readonly LogLineRecord[]): void;
  /** With the lines that were not shown before. */
  ended(record: ExecutionRecord, course: Course): void;
}

/** When what happened, on the clock for durations. */
export interface Course {
  readonly url: string;
  readonly userAgent: string | null;
  readonly startedMs: number;
  /** To a sandbox; null when it never came to one. */
  readonly sentMs: number | null;
  readonly coldStart: { readonly beganMs: number; readonly spawnedMs: number; readonly loadedMs: number } | null;
  readonly answeredMs: number | null;
  readonly completedMs: number;
}

export interface TelemetryParts {
  readonly log: Log;
  /** The name of this server. */
  readonly node: string;
  readonly version: string;
  metrics(): Promise<readonly MetricFamily[]>;
}

/** Null where nothing is to be sent. */
export async function startTelemetry(
  config: TelemetryConfig | null,
  parts: TelemetryParts,
): Promise<Telemetry | null> {
  if (config === null) return null;
  const { startOtlp } = await import("./otlp.ts");
  return startOtlp(config, parts);
}

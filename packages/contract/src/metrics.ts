/**
 * Counts of calls over time, as they travel over HTTP.
 *
 * @module
 */
import type { ErrorCode } from "./errors.ts";
import type { ExecutionStatus } from "./executions.ts";

export type MetricsStep = "1m" | "5m" | "15m" | "1h" | "6h" | "1d";
export type MetricsBy = "version" | "trigger" | "status";

export const METRICS_STEPS: readonly MetricsStep[] = ["1m", "5m", "15m", "1h", "6h", "1d"];
export const METRICS_BY: readonly MetricsBy[] = ["version", "trigger", "status"];

/** From the start of the call to the end of the answer. */
export interface Durations {
  readonly mean: number;
  /** From buckets that are 5 % wide. */
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
}

/** Of calls that began in a certain time. */
export interface MetricsCounts {
  /** With an execution, whether it has a row or was only counted. */
  readonly calls: number;
  /** By how they ended. */
  readonly statuses: Partial<Readonly<Record<ExecutionStatus, number>>>;
  /** By the status of HTTP: `2xx`, `3xx`, `4xx`, `5xx`. */
  readonly status_classes: Readonly<Record<string, number>>;
  /** By error code, refusals included. */
  readonly error_codes: Partial<Readonly<Record<ErrorCode, number>>>;
  readonly cold_starts: number;
  /** Refused before there was an execution, rate limits left out. */
  readonly refused: number;
  readonly rate_limited: number;
  /** Null without calls. */
  readonly duration_ms: Durations | null;
  /** Time spent waiting for a sandbox. */
  readonly queue_ms: { readonly mean: number } | null;
  /** Processor time of sandboxes, looked at twice a second. */
  readonly cpu_ms: number;
  /** The most that one sandbox was seen with. */
  readonly memory_mb: number;
  /** Of bodies. */
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly log_lines: number;
}

export interface MetricsPoint extends MetricsCounts {
  /** When the step begins. */
  readonly at: string;
}

export interface MetricsSeries {
  /** The version, trigger or status; null when the series is not split. */
  readonly key: string | null;
  readonly total: MetricsCounts;
  /** Steps in which something happened, in their order. */
  readonly points: readonly MetricsPoint[];
}

export interface Metrics {
  readonly from: string;
  readonly to: string;
  readonly step: MetricsStep;
  readonly series: readonly MetricsSeries[];
}

/** One of the functions that are called most. */
export interface TopFunction extends MetricsCounts {
  readonly function_id: string;
  readonly name: string;
  readonly namespace: string;
}

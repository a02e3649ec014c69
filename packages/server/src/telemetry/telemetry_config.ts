/**
 * What is sent to OpenTelemetry, and where to.
 *
 * @module
 */
import type { Secret } from "../core/secret.ts";

export const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;

export type SamplerName = typeof SAMPLERS[number];

export interface SignalTarget {
  readonly url: string;
  /** Names and values as one JSON object: they may be credentials. */
  readonly headers: Secret;
  readonly timeoutMs: number;
  readonly compression: "none" | "gzip";
}

export interface Batching {
  readonly delayMs: number;
  readonly queueCount: number;
  readonly batchCount: number;
}

/** A signal that is null is not sent. */
export interface TelemetryConfig {
  readonly traces: SignalTarget | null;
  readonly metrics: SignalTarget | null;
  readonly logs: SignalTarget | null;
  readonly serviceName: string;
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: SamplerName;
  /** From 0 to 1. */
  readonly samplerRatio: number;
  readonly metricIntervalMs: number;
  readonly spans: Batching;
  readonly lines: Batching;
}

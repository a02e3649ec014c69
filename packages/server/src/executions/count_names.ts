/**
 * What is counted of calls, by the names that the database keeps.
 *
 * @module
 */
import { type ErrorCode, ERRORS, EXECUTION_STATUSES, type ExecutionStatus } from "@fluxbase/contract";
import { BUCKETS_COUNT } from "./histogram.ts";

/** Sums over all calls of a minute. */
export const COUNT = {
  calls: "calls",
  coldStarts: "cold",
  durationMs: "ms",
  queueMs: "queue_ms",
  cpuMs: "cpu_ms",
  bytesIn: "in",
  bytesOut: "out",
  logLines: "lines",
  /** Before there was an execution, rate limits left out. */
  refused: "refused",
  rateLimited: "limited",
} as const;

const namesFor = <Key extends string>(prefix: string, keys: readonly Key[]): Readonly<Record<Key, string>> =>
  Object.fromEntries(keys.map((key) => [key, prefix + key])) as Record<Key, string>;

/** Made once: no text is put together in a call. */
export const STATUS_COUNT: Readonly<Record<ExecutionStatus, string>> = namesFor("s:", EXECUTION_STATUSES);
export const CODE_COUNT: Readonly<Record<ErrorCode, string>> = namesFor("e:", Object.keys(ERRORS) as ErrorCode[]);
/** By the first digit of the status of HTTP. */
export const CLASS_COUNT: readonly string[] = Array.from({ length: 10 }, (_, digit) => `h:${digit}`);
export const BUCKET_COUNT: readonly string[] = Array.from({ length: BUCKETS_COUNT }, (_, bucket) => `d:${bucket}`);

/** Those that begin with a prefix, by what follows it. */
export function countsWith(prefix: "s:" | "e:" | "h:" | "d:", counts: Counts): Map<string, number> {
  const found = new Map<string, number>();
  for (const [name, count] of Object.entries(counts)) if (name.startsWith(prefix)) found.set(name.slice(2), count);
  return found;
}

export type Counts = Readonly<Record<string, number>>;

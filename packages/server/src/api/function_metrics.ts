/**
 * Metrics of functions since this server started, by function.
 *
 * Nothing is counted for them alone: they are what the minutes are made of (../executions/minute_book.ts).
 *
 * @module
 */
import { COUNT, type Counts, countsWith } from "../executions/count_names.ts";
import { msOf } from "../executions/histogram.ts";
import type { HistogramFamily, Labels, MetricFamily, NumberFamily } from "../telemetry/metric_family.ts";

/** What was counted of one function. */
export interface FunctionRow {
  readonly labels: Labels;
  readonly counts: Counts;
}

/** What is added up, in the unit that Prometheus wants. */
const COUNTERS: Readonly<Record<string, { readonly help: string; readonly name: string; readonly per?: number }>> = {
  fluxbase_cold_starts_total: { help: "Calls that had to wait for a sandbox to start", name: COUNT.coldStarts },
  fluxbase_queue_seconds_total: { help: "Time that calls waited for a sandbox", name: COUNT.queueMs, per: 1_000 },
  fluxbase_cpu_seconds_total: { help: "Processor time of sandboxes", name: COUNT.cpuMs, per: 1_000 },
  fluxbase_request_bytes_total: { help: "Bytes of the bodies of requests", name: COUNT.bytesIn },
  fluxbase_response_bytes_total: { help: "Bytes of the bodies of answers", name: COUNT.bytesOut },
  fluxbase_log_lines_total: { help: "Lines that functions logged", name: COUNT.logLines },
  fluxbase_rate_limited_total: { help: "Calls that a rate limit refused", name: COUNT.rateLimited },
  fluxbase_refused_total: {
    help: "Calls that were refused before they began, rate limits left out",
    name: COUNT.refused,
  },
};
/** Those that are split by one thing more. */
const SPLIT_COUNTERS: Readonly<
  Record<string, { readonly help: string; readonly by: string; readonly prefix: "s:" | "e:" }>
> = {
  fluxbase_calls_total: { help: "Calls by how they ended", by: "status", prefix: "s:" },
  fluxbase_errors_total: { help: "Errors and refusals by their code", by: "code", prefix: "e:" },
};
const BOUNDS_SEC = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function functionMetrics(rows: readonly FunctionRow[]): MetricFamily[] {
  return [
    ...Object.entries(COUNTERS).map(([metric, { help, name, per = 1 }]): NumberFamily => ({
      kind: "counter",
      name: metric,
      help,
      points: rows.flatMap(({ labels, counts }) =>
        counts[name] === undefined ? [] : [{ labels, value: counts[name] / per }]
      ),
    })),
    ...Object.entries(SPLIT_COUNTERS).map(([metric, { help, by, prefix }]): NumberFamily => ({
      kind: "counter",
      name: metric,
      help,
      points: rows.flatMap(({ labels, counts }) =>
        [...countsWith(prefix, counts)].map(([key, value]) => ({ labels: { ...labels, [by]: key }, value }))
      ),
    })),
    durations(rows),
  ];
}

function durations(rows: readonly FunctionRow[]): HistogramFamily {
  return {
    kind: "histogram",
    name: "fluxbase_call_duration_seconds",
    help: "Time from the start of a call to the end of its answer",
    bounds: BOUNDS_SEC,
    points: rows.flatMap(({ labels, counts }) => {
      const found = [...countsWith("d:", counts)];
      if (found.length === 0) return [];
      const inBuckets = new Array<number>(BOUNDS_SEC.length + 1).fill(0);
      for (const [bucket, count] of found) {
        const sec = msOf(Number(bucket)) / 1_000;
        const at = BOUNDS_SEC.findIndex((bound) => sec <= bound);
        const index = at < 0 ? BOUNDS_SEC.length : at;
        inBuckets[index] = (inBuckets[index] ?? 0) + count;
      }
      return [{ labels, counts: inBuckets, sum: (counts[COUNT.durationMs] ?? 0) / 1_000 }];
    }),
  };
}

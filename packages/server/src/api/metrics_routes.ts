/**
 * Routes that show how many calls there were, how they ended and what they took, over time.
 *
 * @module
 */
import {
  type Metrics,
  METRICS_BY,
  METRICS_STEPS,
  type MetricsCounts,
  type MetricsSeries,
  type MetricsStep,
  PlatformError,
  type TopFunction,
} from "@fluxbase/contract";
import { z } from "zod";
import type { Catalog } from "../catalog/catalog.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import { COUNT, type Counts, countsWith } from "../executions/count_names.ts";
import { percentiles } from "../executions/histogram.ts";
import type { Db } from "../storage/db.ts";
import { listBusiest, listCounts, MINUTES_DAYS, type Step, type StoredCounts } from "../storage/metrics.ts";
import { placeFor } from "./function_routes.ts";
import { choiceParam, instantParam, integerParam, parseQuery, textParam } from "./query.ts";
import type { ApiCall, Route } from "./route.ts";
import { metricsSchema, topFunctionSchema } from "./schemas.ts";

const STEP_SEC: Readonly<Record<MetricsStep, number>> = {
  "1m": 60,
  "5m": 300,
  "15m": 900,
  "1h": 3_600,
  "6h": 21_600,
  "1d": 86_400,
};
const HOUR_SEC = 3_600;
const DAY_MS = 86_400_000;
/** What is shown without a step has about so many points. */
const POINTS_WANTED_COUNT = 120;
const POINTS_MAX_COUNT = 1_500;
const DEFAULT_RANGE_MS = 3_600_000;
const PARTS = [0.5, 0.9, 0.95, 0.99] as const;

const rangeQuery = { from: instantParam, to: instantParam };
const metricsQuery = z.object({
  namespace: textParam,
  ...rangeQuery,
  step: choiceParam(METRICS_STEPS),
  by: choiceParam(METRICS_BY),
});
const topQuery = z.object({
  namespace: textParam,
  ...rangeQuery,
  limit: integerParam({ min: 1, max: 1_000, otherwise: 20 }),
});

export interface MetricsRouteParts {
  readonly db: Db;
  readonly catalog: Catalog;
  readonly executions: ExecutionLog;
}

export function metricsRoutes({ db, catalog, executions: log }: MetricsRouteParts): Route[] {
  async function metricsOf(call: ApiCall, about: { functionId?: string; namespace?: string }) {
    const { by, ...given } = parseQuery(metricsQuery, call.query);
    const { from, to, step } = rangeOf(given);
    const stepSec = STEP_SEC[step];
    await log.flush();
    const rows = await listCounts(db, {
      ...about,
      source: stepSec < HOUR_SEC ? "minute" : "hour",
      from,
      to,
      stepSec,
      ...(by === "version" || by === "trigger" ? { by } : {}),
    });
    const series = by === undefined
      ? [seriesOf(null, rows)]
      : by === "status"
      ? byStatus(rows)
      : [...Map.groupBy(rows, ({ key }) => key)].filter(([key]) => key !== "").map(([key, of]) => seriesOf(key, of));
    const body: Metrics = { from: from.toISOString(), to: to.toISOString(), step, series };
    return { status: 200, body };
  }

  function ofFunction(call: ApiCall) {
    const { namespace, name } = placeFor(call, "functions:read");
    const fn = catalog.find(namespace, name);
    if (fn === undefined) throw functionNotFound(namespace, name);
    return metricsOf(call, { functionId: fn.id });
  }

  function ofAll(call: ApiCall) {
    const { namespace, by } = parseQuery(metricsQuery, call.query);
    if (by === "version") {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        'Cannot count by version here: versions are those of one function; ask for "/functions/{name}/metrics?by=version"',
      );
    }
    return metricsOf(call, namespace === undefined ? {} : { namespace });
  }

  async function top(call: ApiCall) {
    const { namespace, limit, ...given } = parseQuery(topQuery, call.query);
    const { from, to, source } = wholeRangeOf(given);
    await log.flush();
    const found = await listBusiest(db, { source, from, to, limit, ...(namespace === undefined ? {} : { namespace }) });
    const functions: TopFunction[] = found.map((row) => ({
      function_id: row.functionId,
      name: row.functionName,
      namespace: row.namespace,
      ...countsView([row]),
    }));
    return { status: 200, body: { from: from.toISOString(), to: to.toISOString(), functions } };
  }

  const routes: Route[] = [
    {
      method: "GET",
      path: "/admin/metrics",
      summary: "Get metrics over time of all functions or of a namespace",
      access: "admin",
      query: metricsQuery,
      answer: { status: 200, schema: metricsSchema },
      handle: ofAll,
    },
    {
      method: "GET",
      path: "/admin/metrics/top",
      summary: "List the functions with the most calls",
      access: "admin",
      query: topQuery,
      answer: {
        status: 200,
        schema: z.object({ from: z.iso.datetime(), to: z.iso.datetime(), functions: z.array(topFunctionSchema) }),
      },
      handle: top,
    },
  ];
  for (const base of ["/functions/{name}", "/functions/{namespace}/{name}"]) {
    routes.push({
      method: "GET",
      path: `${base}/metrics`,
      summary: "Get metrics over time of a function",
      access: "functions:read",
      query: metricsQuery,
      answer: { status: 200, schema: metricsSchema },
      handle: ofFunction,
    });
  }
  return routes;
}

interface Given {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly step?: MetricsStep | undefined;
}

/** @throws {PlatformError} INVALID_ARGUMENT */
function instantsOf({ from, to }: Given): { readonly from: Date; readonly to: Date } {
  // What happens in this moment belongs to it.
  const end = to === undefined ? new Date(Date.now() + 1) : new Date(to);
  const start = from === undefined ? new Date(end.getTime() - DEFAULT_RANGE_MS) : new Date(from);
  if (start >= end) {
    throw new PlatformError(
      "INVALID_ARGUMENT",
      `Cannot count from ${start.toISOString()} to ${end.toISOString()}: "from" must be before "to"`,
    );
  }
  return { from: start, to: end };
}

/** Steps begin at whole multiples of them, so the first one begins before `from` where that is in the middle of it. */
function rangeOf(given: Given): { readonly from: Date; readonly to: Date; readonly step: MetricsStep } {
  const { from, to } = instantsOf(given);
  const seconds = (to.getTime() - from.getTime()) / 1_000;
  const areMinutesKept = from.getTime() > Date.now() - MINUTES_DAYS * DAY_MS;
  const fits = (step: MetricsStep, count: number) =>
    seconds / STEP_SEC[step] <= count && (areMinutesKept || STEP_SEC[step] >= HOUR_SEC);
  const step = given.step ?? METRICS_STEPS.find((each) => fits(each, POINTS_WANTED_COUNT)) ?? "1d";
  if (!fits(step, POINTS_MAX_COUNT)) {
    const advice = METRICS_STEPS.find((each) => fits(each, POINTS_MAX_COUNT));
    throw new PlatformError(
      "INVALID_ARGUMENT",
      `Cannot count in steps of ${step} from ${from.toISOString()} to ${to.toISOString()}: there may be ${POINTS_MAX_COUNT} steps, and minutes are kept for ${MINUTES_DAYS} days; ${
        advice === undefined ? "ask for less time" : `use step=${advice}`
      }`,
    );
  }
  return { from: startOfStep(from, STEP_SEC[step]), to, step };
}

function wholeRangeOf(given: Given): { readonly from: Date; readonly to: Date; readonly source: Step } {
  const { from, to } = instantsOf(given);
  const isLong = to.getTime() - from.getTime() > DAY_MS || from.getTime() < Date.now() - MINUTES_DAYS * DAY_MS;
  const source = isLong ? "hour" : "minute";
  return { from: startOfStep(from, isLong ? HOUR_SEC : 60), to, source };
}

function startOfStep(instant: Date, stepSec: number): Date {
  const stepMs = stepSec * 1_000;
  return new Date(Math.floor(instant.getTime() / stepMs) * stepMs);
}

function seriesOf(key: string | null, rows: readonly StoredCounts[]): MetricsSeries {
  return {
    key,
    total: countsView(rows),
    points: rows.map((row) => ({ at: row.at.toISOString(), ...countsView([row]) })),
  };
}

/** Nothing but numbers of calls is kept by how they ended. */
function byStatus(rows: readonly StoredCounts[]): MetricsSeries[] {
  const statuses = new Set(rows.flatMap(({ counts }) => [...countsWith("s:", counts).keys()]));
  return [...statuses].sort().map((status) =>
    seriesOf(
      status,
      rows.flatMap((row) => {
        const calls = row.counts[`s:${status}`];
        return calls === undefined ? [] : [{ ...row, memoryMiB: 0, counts: { calls, [`s:${status}`]: calls } }];
      }),
    )
  );
}

function countsView(rows: readonly Pick<StoredCounts, "counts" | "memoryMiB">[]): MetricsCounts {
  const counts = sumOf(rows.map((row) => row.counts));
  const of = (name: string) => counts[name] ?? 0;
  const calls = of(COUNT.calls);
  const found = percentiles(
    new Map([...countsWith("d:", counts)].map(([bucket, count]) => [Number(bucket), count])),
    PARTS,
  );
  const [p50 = 0, p90 = 0, p95 = 0, p99 = 0] = found?.map(rounded) ?? [];
  const classes = [...countsWith("h:", counts)].map(([digit, count]) => [digit === "0" ? "none" : `${digit}xx`, count]);
  return {
    calls,
    statuses: Object.fromEntries(countsWith("s:", counts)),
    status_classes: Object.fromEntries(classes),
    error_codes: Object.fromEntries(countsWith("e:", counts)),
    cold_starts: of(COUNT.coldStarts),
    refused: of(COUNT.refused),
    rate_limited: of(COUNT.rateLimited),
    duration_ms: found === null ? null : { mean: rounded(of(COUNT.durationMs) / calls), p50, p90, p95, p99 },
    queue_ms: found === null ? null : { mean: rounded(of(COUNT.queueMs) / calls) },
    cpu_ms: of(COUNT.cpuMs),
    memory_mb: rounded(rows.reduce((most, { memoryMiB }) => Math.max(most, memoryMiB), 0)),
    bytes_in: of(COUNT.bytesIn),
    bytes_out: of(COUNT.bytesOut),
    log_lines: of(COUNT.logLines),
  };
}

function sumOf(all: readonly Counts[]): Counts {
  const sums: Record<string, number> = {};
  for (const counts of all) for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}

/** To the microsecond. */
function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

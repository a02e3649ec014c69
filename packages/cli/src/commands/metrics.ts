/**
 * `fluxbase top` and `fluxbase functions stats`: what functions are called for, how it ends, and what it takes.
 *
 * @module
 */
import process from "node:process";
import type { MetricsBy, MetricsCounts, MetricsStep } from "@fluxbase/sdk";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type InNamespace, inNamespace, withClient } from "../action.ts";
import { printJson, printRows } from "../output.ts";

const COLUMNS = [
  "calls",
  "errors",
  "killed",
  "limited",
  "cold",
  "p50_ms",
  "p95_ms",
  "p99_ms",
  "cpu_ms",
  "memory_mb",
  "log_lines",
];
/** What `top` may be sorted by; the most comes first. */
const ORDERS: Readonly<Record<string, (counts: MetricsCounts) => number>> = {
  calls: ({ calls }) => calls,
  errors: (counts) => errorsOf(counts),
  time: ({ cpu_ms }) => cpu_ms,
  memory: ({ memory_mb }) => memory_mb,
};
const REFRESH_MS = 2_000;
/** Clears the terminal and begins at its top. */
const CLEAR = "\x1b[2J\x1b[H";
const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export const lastOption = (otherwise: string) =>
  new Option("--last <time>", "time range, such as 15m, 24h, 7d").argParser(millisecondsOf)
    .default(millisecondsOf(otherwise), otherwise);

export interface StatsOptions {
  readonly last: number;
  readonly step?: MetricsStep;
  readonly by?: MetricsBy;
}

interface TopOptions extends InNamespace {
  readonly last: number;
  readonly limit: number;
  readonly sort: string;
  readonly once?: boolean;
}

export function addTop(program: Command): void {
  program.command("top").description("Show the busiest functions, live")
    .option("-n, --namespace <name>", "only this namespace")
    .addOption(lastOption("5m"))
    .option("--limit <count>", "number of functions", Number, 20)
    .addOption(
      new Option("--sort <what>", "sort order, highest first").choices(Object.keys(ORDERS)).default("calls"),
    )
    .option("--once", "print once and exit, as without a terminal")
    .action(withClient<TopOptions, []>(async (client, { namespace, last, limit, sort, once, ...options }) => {
      const order = ORDERS[sort] ?? (() => 0);
      const isLive = process.stdout.isTTY && once !== true && options.output !== "json";
      do {
        const { functions } = await client.admin.metrics.top({
          from: new Date(Date.now() - last).toISOString(),
          limit,
          ...inNamespace(namespace),
        });
        const sorted = functions.toSorted((a, b) => order(b) - order(a));
        if (isLive) process.stdout.write(CLEAR);
        if (options.output === "json") printJson(sorted);
        else {
          const rows = sorted.map((fn) => ({ function: `${fn.namespace}/${fn.name}`, ...rowOf(fn) }));
          printRows(rows, ["function", ...COLUMNS], options);
        }
        if (isLive) await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
      } while (isLive);
    }));
}

/** A row for each step, or for each thing that they are split by. */
export function statsRows(
  series: readonly { readonly key: string | null; readonly total: MetricsCounts; readonly points: readonly Point[] }[],
  by: MetricsBy | undefined,
): { readonly rows: readonly object[]; readonly columns: readonly string[] } {
  if (by !== undefined) {
    return { rows: series.map(({ key, total }) => ({ [by]: key, ...rowOf(total) })), columns: [by, ...COLUMNS] };
  }
  const [all] = series;
  const rows = (all?.points ?? []).map((point) => ({ at: point.at, ...rowOf(point) }));
  return {
    rows: all === undefined ? [] : [...rows, { at: "all", ...rowOf(all.total) }],
    columns: ["at", ...COLUMNS],
  };
}

type Point = MetricsCounts & { readonly at: string };

function rowOf(counts: MetricsCounts): Record<string, number | null> {
  const { calls, statuses, rate_limited, cold_starts, duration_ms, cpu_ms, memory_mb, log_lines } = counts;
  const { p50 = null, p95 = null, p99 = null } = duration_ms ?? {};
  return {
    calls,
    errors: errorsOf(counts),
    killed: statuses.killed ?? 0,
    limited: rate_limited,
    cold: cold_starts,
    p50_ms: rounded(p50),
    p95_ms: rounded(p95),
    p99_ms: rounded(p99),
    cpu_ms: Math.round(cpu_ms),
    memory_mb: Math.round(memory_mb),
    log_lines,
  };
}

/** Everything that did not succeed. */
function errorsOf({ calls, statuses }: MetricsCounts): number {
  return calls - (statuses.success ?? 0);
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Number(ms.toPrecision(3));
}

function millisecondsOf(text: string): number {
  const [, count, unit = ""] = /^(\d+)([mhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNIT_MS[unit] ?? NaN);
  if (!(ms > 0)) {
    throw new InvalidArgumentError("It must be a number of minutes, hours or days, such as 15m, 24h or 7d");
  }
  return ms;
}

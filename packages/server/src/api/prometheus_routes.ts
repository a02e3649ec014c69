/**
 * The page that Prometheus reads.
 *
 * Calls are those of this server since its start; Prometheus adds those of several servers. Nothing is counted for this
 * page alone: it shows what the minutes are made of (../executions/minute_book.ts).
 *
 * @module
 */
import { Gauge, Histogram, Registry } from "prom-client";
import type { Catalog } from "../catalog/catalog.ts";
import { may, reaches } from "../auth/permissions.ts";
import { COUNT, type Counts, countsWith } from "../executions/count_names.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import { msOf } from "../executions/histogram.ts";
import type { ApiCall, Route } from "./route.ts";

/** Numbers of the server, read when somebody asks. */
export type ServerNumbers = Readonly<Record<string, { readonly help: string; readonly value: number }>>;

export interface PrometheusParts {
  readonly catalog: Pick<Catalog, "findById">;
  readonly executions: ExecutionLog;
  readonly version: string;
  server(): ServerNumbers;
}

type Labels = "namespace" | "function";

interface Row {
  readonly labels: Readonly<Record<Labels, string>>;
  readonly counts: Counts;
}

/** Counters of functions by what is added up, in the unit that Prometheus wants. */
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
const DURATION = "fluxbase_call_duration_seconds";
const DURATION_HELP = "Time from the start of a call to the end of its answer";
const BOUNDS_SEC = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const OTHERS = { namespace: "other", function: "other" };

export function prometheusRoutes({ catalog, executions, version, server }: PrometheusParts): Route[] {
  async function page(call: ApiCall) {
    await executions.flush();
    const { own, others } = executions.totals.read((id) => catalog.findById(id) !== undefined);
    const rows: Row[] = [...own].flatMap(([id, counts]) => {
      const fn = catalog.findById(id);
      return fn === undefined || !reaches(call.caller, fn.namespace)
        ? []
        : [{ labels: { namespace: fn.namespace, function: fn.name }, counts }];
    });
    const registry = new Registry();
    // What is not of a namespace is for those who are limited to none.
    if (call.caller.namespaces === null && may(call.caller, "metrics:read")) {
      rows.push({ labels: OTHERS, counts: others });
      addServer(registry, { executions, version, numbers: server() });
    }
    addFunctions(registry, rows);
    return { status: 200, text: await registry.metrics(), headers: [["content-type", registry.contentType]] as const };
  }

  return [{
    method: "GET",
    path: "/metrics",
    isAtRoot: true,
    summary: "Shows what was counted since the server started, as Prometheus reads it",
    access: "metrics:read",
    answer: { status: 200 },
    handle: page,
  }];
}

function addFunctions(registry: Registry, rows: readonly Row[]): void {
  const registers = [registry];
  for (const [metric, { help, name, per = 1 }] of Object.entries(COUNTERS)) {
    const counter = new Total({ name: metric, help, labelNames: ["namespace", "function"], registers });
    for (const { labels, counts } of rows) if (counts[name] !== undefined) counter.set(labels, counts[name] / per);
  }
  for (const [metric, { help, by, prefix }] of Object.entries(SPLIT_COUNTERS)) {
    const counter = new Total({ name: metric, help, labelNames: ["namespace", "function", by], registers });
    for (const { labels, counts } of rows) {
      for (const [key, count] of countsWith(prefix, counts)) counter.set({ ...labels, [by]: key }, count);
    }
  }
  new Durations(rows, registry);
}

/** A counter that was counted elsewhere. */
class Total extends Gauge {
  override async get() {
    return { ...await super.get(), type: "counter" as never };
  }
}

/** Durations that were counted elsewhere. */
class Durations extends Histogram<Labels> {
  readonly #rows: readonly Row[];

  constructor(rows: readonly Row[], registry: Registry) {
    super({ name: DURATION, help: DURATION_HELP, labelNames: ["namespace", "function"], registers: [registry] });
    this.#rows = rows;
  }

  /** What the registry asks for. */
  getForPromString() {
    const values = this.#rows.flatMap(valuesOf);
    return Promise.resolve({ name: DURATION, help: DURATION_HELP, type: "histogram", values });
  }
}

function valuesOf({ labels, counts }: Row) {
  const found = [...countsWith("d:", counts)].map(([bucket, count]) => ({ sec: msOf(Number(bucket)) / 1_000, count }));
  if (found.length === 0) return [];
  const upTo = (bound: number) => found.reduce((sum, { sec, count }) => sec <= bound ? sum + count : sum, 0);
  const part = (name: string, value: number, more = {}) => ({
    metricName: `${DURATION}_${name}`,
    labels: { ...labels, ...more },
    value,
  });
  return [
    ...BOUNDS_SEC.map((bound) => part("bucket", upTo(bound), { le: bound })),
    part("bucket", upTo(Infinity), { le: "+Inf" }),
    part("sum", (counts[COUNT.durationMs] ?? 0) / 1_000),
    part("count", upTo(Infinity)),
  ];
}

function addServer(
  registry: Registry,
  { executions, version, numbers }: { executions: ExecutionLog; version: string; numbers: ServerNumbers },
): void {
  const registers = [registry];
  new Gauge({
    name: "fluxbase_build_info",
    help: "The version of the server",
    labelNames: ["version", "node"],
    registers,
  }).set({ version, node: executions.node }, 1);
  for (const [name, { help, value }] of Object.entries(numbers)) {
    if (name.endsWith("_total")) new Total({ name, help, registers }).set(value);
    else new Gauge({ name, help, registers }).set(value);
  }
}

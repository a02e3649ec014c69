/**
 * The page that Prometheus reads, and what else is told the same numbers.
 *
 * Calls are those of this server since its start; whoever reads several servers adds them up.
 *
 * @module
 */
import type { Caller } from "../auth/caller.ts";
import { may, reaches } from "../auth/permissions.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import { labelled, type MetricFamily } from "../telemetry/metric_family.ts";
import { functionMetrics, type FunctionRow } from "./function_metrics.ts";
import { metricPage } from "./metric_page.ts";
import type { ApiCall, Route } from "./route.ts";

export interface MetricParts {
  readonly catalog: Pick<Catalog, "findById">;
  readonly executions: Pick<ExecutionLog, "flush" | "node" | "totals">;
  readonly version: string;
  /** Of the server, read when somebody asks. */
  server(): Promise<readonly MetricFamily[]>;
}

const OTHERS = { namespace: "other", function: "other" };

export function prometheusRoutes(parts: MetricParts): Route[] {
  async function page({ caller }: ApiCall) {
    const { text, contentType } = await metricPage(await metricsFor(caller, parts));
    return { status: 200, text, headers: [["content-type", contentType]] as const };
  }

  return [{
    method: "GET",
    path: "/metrics",
    isAtRoot: true,
    summary: "Get metrics in the Prometheus format",
    access: "metrics:read",
    answer: { status: 200 },
    handle: page,
  }];
}

/** All that this caller may see. */
export async function metricsFor(caller: Caller, parts: MetricParts): Promise<MetricFamily[]> {
  const { catalog, executions, version, server } = parts;
  await executions.flush();
  const { own, others } = executions.totals.read((id) => catalog.findById(id) !== undefined);
  const rows: FunctionRow[] = [...own].flatMap(([id, counts]) => {
    const fn = catalog.findById(id);
    return fn === undefined || !reaches(caller, fn.namespace)
      ? []
      : [{ labels: { namespace: fn.namespace, function: fn.name }, counts }];
  });
  // What is not of a namespace is for those who are limited to none.
  if (caller.namespaces !== null || !may(caller, "metrics:read")) return functionMetrics(rows);
  const build = { labels: { version, node: executions.node }, value: 1 };
  return [
    labelled("fluxbase_build_info", "The version of the server", [build]),
    ...await server(),
    ...functionMetrics([...rows, { labels: OTHERS, counts: others }]),
  ];
}

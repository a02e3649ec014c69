/**
 * The metrics that Prometheus reads, as OpenTelemetry has them: names with dots, units apart, and the names of the
 * semantic conventions where they have one.
 *
 * @module
 */
import { type Attributes, type HrTime, ValueType } from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from "@opentelemetry/sdk-metrics";
import type { Labels, MetricFamily } from "./metric_family.ts";
import { hrTime } from "./spans.ts";
import type { TelemetryParts } from "./telemetry.ts";

const UNITS: Readonly<Record<string, string>> = { seconds: "s", bytes: "By" };
const NAMES: Readonly<Record<string, string>> = {
  fluxbase_calls_total: "faas.invocations",
  fluxbase_errors_total: "faas.errors",
  fluxbase_cold_starts_total: "faas.coldstarts",
  fluxbase_call_duration_seconds: "faas.invoke_duration",
};
const ATTRIBUTES: Readonly<Record<string, string>> = { function: "faas.name", code: "error.type" };

export function metricProducer({ metrics, version }: TelemetryParts, resource: Resource): MetricProducer {
  const startTime = hrTime(Date.now());
  return {
    async collect() {
      const families = await metrics();
      const endTime = hrTime(Date.now());
      const scope = { name: "fluxbase", version };
      const data = families.filter(({ points }) => points.length > 0)
        .map((family) => metricOf(family, { startTime, endTime }));
      return { resourceMetrics: { resource, scopeMetrics: [{ scope, metrics: data }] }, errors: [] };
    },
  };
}

function metricOf(family: MetricFamily, times: { startTime: HrTime; endTime: HrTime }): MetricData {
  const described = {
    descriptor: { ...nameOf(family.name), description: family.help, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  if (family.kind === "histogram") {
    const boundaries = [...family.bounds];
    return {
      ...described,
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: family.points.map(({ labels, counts, sum }) => ({
        ...times,
        attributes: attributesOf(labels),
        value: {
          buckets: { boundaries, counts: [...counts] },
          sum,
          count: counts.reduce((all, count) => all + count, 0),
        },
      })),
    };
  }
  const dataPoints = family.points.map(({ labels, value }) => ({ ...times, attributes: attributesOf(labels), value }));
  return family.kind === "counter"
    ? { ...described, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
    : { ...described, dataPointType: DataPointType.GAUGE, dataPoints };
}

function nameOf(name: string): { name: string; unit: string } {
  const words = name.replace(/_total$/, "").split("_");
  const unit = UNITS[words.at(-1) ?? ""];
  if (unit !== undefined) words.pop();
  return { name: NAMES[name] ?? `fluxbase.${words.slice(1).join("_")}`, unit: unit ?? "1" };
}

function attributesOf(labels: Labels): Attributes {
  return Object.fromEntries(
    Object.entries(labels).map(([name, value]) => [ATTRIBUTES[name] ?? `fluxbase.${name}`, value]),
  );
}

/**
 * Metrics as the text that Prometheus reads.
 *
 * @module
 */
import { Registry } from "prom-client";
import type { HistogramFamily, MetricFamily } from "../telemetry/metric_family.ts";

export async function metricPage(
  families: readonly MetricFamily[],
): Promise<{ readonly text: string; readonly contentType: string }> {
  const registry = new Registry();
  for (const family of families) {
    const { name, help, kind: type } = family;
    const values = family.kind === "histogram" ? bucketsOf(family) : family.points;
    // Its own metrics hash the labels of each value, to count by them: these were counted elsewhere.
    registry.registerMetric({ name, get: () => Promise.resolve({ name, help, type, values }) } as never);
  }
  return { text: await registry.metrics(), contentType: registry.contentType };
}

function bucketsOf({ name, points, bounds }: HistogramFamily) {
  return points.flatMap(({ labels: sharedLabels, counts, sum }) => {
    const part = (suffix: string, value: number, labels = {}) => ({
      metricName: `${name}_${suffix}`,
      sharedLabels,
      labels,
      value,
    });
    let upTo = 0;
    const buckets = counts.map((count, index) => part("bucket", upTo += count, { le: bounds[index] ?? "+Inf" }));
    return [...buckets, part("sum", sum), part("count", upTo)];
  });
}

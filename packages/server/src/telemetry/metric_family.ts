/**
 * A metric of the server, as Prometheus names it; OpenTelemetry gets the same (./otlp_metrics.ts).
 *
 * @module
 */
export type Labels = Readonly<Record<string, string>>;

export interface Point {
  readonly labels: Labels;
  readonly value: number;
}

/** One more count than there are bounds: those above the last. */
export interface HistogramPoint {
  readonly labels: Labels;
  readonly counts: readonly number[];
  readonly sum: number;
}

interface Described {
  /** Ends in its unit, and in `_total` when it only grows. */
  readonly name: string;
  readonly help: string;
}

export interface NumberFamily extends Described {
  readonly kind: "counter" | "gauge";
  readonly points: readonly Point[];
}

export interface HistogramFamily extends Described {
  readonly kind: "histogram";
  /** Inclusive, ascending. */
  readonly bounds: readonly number[];
  readonly points: readonly HistogramPoint[];
}

export type MetricFamily = NumberFamily | HistogramFamily;

const NO_LABELS: Labels = {};

/** A metric without labels. */
export function single(name: string, help: string, value: number): NumberFamily {
  return labelled(name, help, [{ labels: NO_LABELS, value }]);
}

export function labelled(name: string, help: string, points: readonly Point[]): NumberFamily {
  return { kind: name.endsWith("_total") ? "counter" : "gauge", name, help, points };
}

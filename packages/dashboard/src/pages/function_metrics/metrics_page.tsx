/**
 * Main task: see whether the function does well, and since when it does not.
 *
 * @module
 */
import type { Metrics, MetricsPoint, MetricsSeries } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { pathOf } from "../../data/functions.ts";
import type { ChartSeries } from "../../parts/chart.tsx";
import { LazyChart } from "../../parts/lazy_chart.tsx";
import { Segments } from "../../parts/segments.tsx";
import { failuresOf } from "../../parts/sparkline.tsx";
import { ErrorState, Skeleton } from "../../parts/states.tsx";
import { bytesText, countText, durationText, shareText } from "../../parts/time.tsx";
import { useClient } from "../../session/use_session.ts";
import "./metrics.css";

const HOUR_MS = 3_600_000;
const RANGES = [["1h", "1 h", 1], ["6h", "6 h", 6], ["24h", "24 h", 24], ["7d", "7 d", 168], ["30d", "30 d", 720], [
  "90d",
  "90 d",
  2_160,
]] as const;
const LOOK_EVERY_MS = 15_000;
const COLORS = [1, 4, 3, 5, 2] as const;
const STEP_SEC: Readonly<Record<Metrics["step"], number>> = {
  "1m": 60,
  "5m": 300,
  "15m": 900,
  "1h": 3_600,
  "6h": 21_600,
  "1d": 86_400,
};
const MIB = 1024 * 1024;

export function MetricsPage() {
  const { namespace, name } = useParams({ from: "/shell/functions/$namespace/$name" });
  const { range: wanted, by: wantedBy } = useSearch({ from: "/shell/functions/$namespace/$name/metrics" });
  const navigate = useNavigate({ from: "/functions/$namespace/$name/metrics" });
  const client = useClient();
  const [range, , hours] = RANGES.find(([value]) => value === wanted) ?? RANGES[2];
  const by = wantedBy === "version" ? "version" : "all";
  const query = useQuery({
    queryKey: ["function", namespace, name, "metrics", range, by],
    queryFn: () =>
      client.functions.getMetrics(pathOf({ namespace, name }), {
        from: new Date(Date.now() - hours * HOUR_MS).toISOString(),
        ...(by === "version" ? { by } : {}),
      }),
    refetchInterval: LOOK_EVERY_MS,
    placeholderData: (before) => before,
  });
  return (
    <div className="page">
      <div className="filters">
        <Segments
          label="Time"
          value={range}
          options={RANGES.map(([value, text]) => [value, text] as const)}
          onChange={(range) => void navigate({ search: (now) => ({ ...now, range }), replace: true })}
        />
        <Segments
          label="Split"
          value={by}
          options={[["all", "All calls"], ["version", "By version"]]}
          onChange={(by) => void navigate({ search: (now) => ({ ...now, by }), replace: true })}
        />
      </div>
      {query.data !== undefined
        ? <Shown metrics={query.data} isSplit={by === "version"} />
        : query.error
        ? <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        : <Skeleton />}
    </div>
  );
}

function Shown({ metrics, isSplit }: { readonly metrics: Metrics; readonly isSplit: boolean }) {
  const { at, series } = useMemo(() => evenly(metrics), [metrics]);
  const charts = useMemo(() => isSplit ? chartsByVersion(series) : chartsOf(series[0]), [series, isSplit]);
  return (
    <>
      <Totals all={metrics.series} />
      <div className="charts">
        {charts.map((chart) => <LazyChart key={chart.title} at={at} {...chart} />)}
      </div>
    </>
  );
}

function Totals({ all }: { readonly all: readonly MetricsSeries[] }) {
  const sum = (of: (total: MetricsSeries["total"]) => number) => all.reduce((total, one) => total + of(one.total), 0);
  const most = (of: (total: MetricsSeries["total"]) => number) => Math.max(0, ...all.map(({ total }) => of(total)));
  const calls = sum(({ calls }) => calls);
  const tiles = [
    ["Calls", countText(calls)],
    ["Failed", shareText(sum(failuresOf), calls)],
    ["p95", calls === 0 ? "–" : durationText(most(({ duration_ms }) => duration_ms?.p95 ?? 0))],
    ["Cold starts", shareText(sum(({ cold_starts }) => cold_starts), calls)],
    ["Refused", countText(sum(({ refused, rate_limited }) => refused + rate_limited))],
    ["Peak memory", calls === 0 ? "–" : bytesText(most(({ memory_mb }) => memory_mb) * MIB)],
  ] as const;
  return (
    <dl className="tiles">
      {tiles.map(([name, value]) => (
        <div className="card tile" key={name}>
          <dt>{name}</dt>
          <dd className="number">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

type Steps = readonly (MetricsPoint | undefined)[];

/** The server leaves out steps in which nothing happened. */
function evenly({ from, to, step, series }: Metrics) {
  const stepSec = STEP_SEC[step];
  const first = Math.floor(Date.parse(from) / 1_000 / stepSec);
  const last = Math.floor(Date.parse(to) / 1_000 / stepSec);
  const at = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * stepSec);
  return {
    at,
    series: series.map(({ key, points }) => {
      const known = new Map(points.map((point) => [Math.floor(Date.parse(point.at) / 1_000), point]));
      return { key, steps: at.map((second) => known.get(second)) };
    }),
  };
}

interface ChartFacts {
  readonly title: string;
  readonly about: string;
  readonly kind: "lines" | "bars";
  readonly textOf: (value: number) => string;
  readonly series: readonly ChartSeries[];
}

const milliseconds = (value: number) => durationText(value);

function chartsOf(all: { readonly steps: Steps } | undefined): readonly ChartFacts[] {
  const steps = all?.steps ?? [];
  const counted = (of: (point: MetricsPoint) => number) => steps.map((point) => point === undefined ? 0 : of(point));
  const measured = (of: (point: MetricsPoint) => number | undefined) =>
    steps.map((point) => (point === undefined ? undefined : of(point)) ?? null);
  return [
    {
      title: "Calls",
      about: "Calls, and how many of them failed",
      kind: "bars",
      textOf: countText,
      series: [
        { name: "All", values: counted(({ calls }) => calls), color: 1 },
        { name: "Failed", values: counted(failuresOf), color: 2 },
      ],
    },
    {
      title: "Duration",
      about: "Half, 95 and 99 of 100 calls were faster",
      kind: "lines",
      textOf: milliseconds,
      series: [
        { name: "p50", values: measured(({ duration_ms }) => duration_ms?.p50), color: 1 },
        { name: "p95", values: measured(({ duration_ms }) => duration_ms?.p95), color: 3 },
        { name: "p99", values: measured(({ duration_ms }) => duration_ms?.p99), color: 2 },
      ],
    },
    {
      title: "Cold starts",
      about: "Calls that a sandbox was started for",
      kind: "bars",
      textOf: countText,
      series: [{ name: "Cold", values: counted(({ cold_starts }) => cold_starts), color: 4 }],
    },
    {
      title: "Waiting for a sandbox",
      about: "On average",
      kind: "lines",
      textOf: milliseconds,
      series: [{ name: "Mean", values: measured(({ queue_ms }) => queue_ms?.mean), color: 3 }],
    },
    {
      title: "Processor time",
      about: "Of all calls together",
      kind: "bars",
      textOf: milliseconds,
      series: [{ name: "Processor", values: counted(({ cpu_ms }) => cpu_ms), color: 5 }],
    },
    {
      title: "Memory",
      about: "The most that one sandbox used",
      kind: "lines",
      textOf: (mib) => bytesText(mib * MIB),
      series: [{ name: "Most", values: measured(({ memory_mb }) => memory_mb), color: 1 }],
    },
  ];
}

function chartsByVersion(
  all: readonly { readonly key: string | null; readonly steps: Steps }[],
): readonly ChartFacts[] {
  // The newest ones, as many as there are colors.
  const shown = all.toSorted((a, b) => Number(b.key) - Number(a.key)).slice(0, COLORS.length);
  const split = (valueOf: (point: MetricsPoint | undefined) => number | null) =>
    shown.map(({ key, steps }, index) => ({
      name: `v${key}`,
      values: steps.map(valueOf),
      color: COLORS[index] ?? 1,
    }));
  return [
    {
      title: "Calls",
      about: "By version",
      kind: "lines",
      textOf: countText,
      series: split((point) => point?.calls ?? 0),
    },
    {
      title: "Failed",
      about: "By version",
      kind: "lines",
      textOf: countText,
      series: split((point) => point === undefined ? 0 : failuresOf(point)),
    },
    {
      title: "Duration, p95",
      about: "By version",
      kind: "lines",
      textOf: milliseconds,
      series: split((point) => point?.duration_ms?.p95 ?? null),
    },
    {
      title: "Cold starts",
      about: "By version",
      kind: "lines",
      textOf: countText,
      series: split((point) => point?.cold_starts ?? 0),
    },
  ];
}

/**
 * Calls over time, as bars: how many, and which part of them failed.
 *
 * @module
 */
import type { MetricsCounts, MetricsPoint } from "@fluxbase/sdk";
import { countText, exactTime } from "./time.tsx";

export interface BarsRange {
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
}

const HEIGHT = 100;
const GAP_PART = 0.18;

export function failedIn({ calls, statuses }: MetricsCounts): number {
  return Math.max(0, calls - (statuses.success ?? 0) - (statuses.running ?? 0));
}

export function Bars(
  { label, points, range: { fromMs, toMs, stepMs } }: {
    readonly label: string;
    readonly points: readonly MetricsPoint[];
    readonly range: BarsRange;
  },
) {
  const byStart = new Map(points.map((point) => [Math.floor(Date.parse(point.at) / stepMs), point]));
  const first = Math.floor(fromMs / stepMs);
  const count = Math.max(1, Math.ceil(toMs / stepMs) - first);
  const all = Array.from({ length: count }, (_, index) => byStart.get(first + index));
  const most = Math.max(1, ...all.map((point) => point?.calls ?? 0));
  const calls = all.reduce((sum, point) => sum + (point?.calls ?? 0), 0);
  const failed = all.reduce((sum, point) => sum + (point === undefined ? 0 : failedIn(point)), 0);
  return (
    <figure className="bars">
      <div className="bars-scale muted small number" aria-hidden="true">{countText(most)}</div>
      <svg
        viewBox={`0 0 ${count} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${label}: ${calls} calls, ${failed} of them failed`}
      >
        {all.map((point, index) => {
          if (point === undefined) return null;
          const height = (HEIGHT * point.calls) / most;
          const badHeight = (HEIGHT * failedIn(point)) / most;
          const tip = `${exactTime(point.at)}: ${countText(point.calls)} calls, ${countText(failedIn(point))} failed`;
          return (
            <g key={index} data-tip={tip}>
              {/* The whole height, so that a low bar is found, too. */}
              <rect x={index} y={0} width={1} height={HEIGHT} fill="transparent" />
              <rect
                x={index}
                y={HEIGHT - height}
                width={1 - GAP_PART}
                height={height - badHeight}
                fill="var(--chart-1)"
              />
              <rect x={index} y={HEIGHT - badHeight} width={1 - GAP_PART} height={badHeight} fill="var(--chart-2)" />
            </g>
          );
        })}
      </svg>
      <figcaption className="row muted small number">
        <span>{exactTime(new Date(fromMs).toISOString())}</span>
        <span className="spread row row-wrap">
          <span className="key-mark" data-chart="1" aria-hidden="true" /> calls
          <span className="key-mark" data-chart="2" aria-hidden="true" /> failed
        </span>
      </figcaption>
    </figure>
  );
}

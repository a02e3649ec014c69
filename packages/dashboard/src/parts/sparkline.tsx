/**
 * Calls by the hour as small bars, failures in red.
 *
 * @module
 */
import type { MetricsPoint } from "@fluxbase/sdk";

const HOURS = 24;
const HOUR_MS = 3_600_000;
const BAR_PX = 3;
const STEP_PX = 4;
const HEIGHT_PX = 22;

export function failuresOf({ calls, statuses }: Pick<MetricsPoint, "calls" | "statuses">): number {
  return calls - (statuses.success ?? 0) - (statuses.running ?? 0);
}

export function Sparkline({ points, nowMs }: { readonly points: readonly MetricsPoint[]; readonly nowMs: number }) {
  const firstMs = Math.floor(nowMs / HOUR_MS - (HOURS - 1)) * HOUR_MS;
  const byHour = new Map(points.map((point) => [Math.floor((Date.parse(point.at) - firstMs) / HOUR_MS), point]));
  const most = Math.max(1, ...points.map(({ calls }) => calls));
  return (
    <svg className="sparkline" width={HOURS * STEP_PX} height={HEIGHT_PX} aria-hidden="true">
      {Array.from({ length: HOURS }, (_, hour) => {
        const point = byHour.get(hour);
        const calls = point?.calls ?? 0;
        const height = calls === 0 ? 1 : Math.max(2, (calls / most) * HEIGHT_PX);
        const failed = point === undefined ? 0 : (failuresOf(point) / Math.max(1, calls)) * height;
        const x = hour * STEP_PX;
        return (
          <g key={hour}>
            <rect
              className={calls === 0 ? "sparkline-none" : "sparkline-calls"}
              x={x}
              y={HEIGHT_PX - height}
              width={BAR_PX}
              height={height}
            />
            {failed > 0 && (
              <rect className="sparkline-failed" x={x} y={HEIGHT_PX - failed} width={BAR_PX} height={failed} />
            )}
          </g>
        );
      })}
    </svg>
  );
}

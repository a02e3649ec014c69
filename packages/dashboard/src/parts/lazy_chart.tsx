/**
 * A chart, which comes after the page around it: what draws it is a sixth of everything that a first visit loads.
 *
 * @module
 */
import { lazy, Suspense } from "react";
import type { ChartProps } from "./chart.tsx";
import "./chart.css";

const Loaded = lazy(async () => ({ default: (await import("./chart.tsx")).Chart }));

export function LazyChart(props: ChartProps) {
  return (
    <Suspense
      fallback={
        <figure className="card chart" aria-busy="true">
          <figcaption className="card-head">
            <h2>{props.title}</h2>
          </figcaption>
          <div className="chart-place" />
        </figure>
      }
    >
      <Loaded {...props} />
    </Suspense>
  );
}

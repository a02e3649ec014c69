/**
 * Numbers over time. Loaded by ./lazy_chart.tsx, after the numbers beside it.
 *
 * @module
 */
import { useEffect, useRef, useSyncExternalStore } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { theme } from "../shell/theme.ts";

export interface ChartSeries {
  readonly name: string;
  /** One for each instant; null where there was nothing to measure. */
  readonly values: readonly (number | null)[];
  /** Of `--chart-1` and so on. */
  readonly color: 1 | 2 | 3 | 4 | 5;
}

export interface ChartProps {
  readonly title: string;
  /** In a sentence, for whoever does not see it. */
  readonly about: string;
  /** Seconds since the epoch, in even steps. */
  readonly at: readonly number[];
  readonly series: readonly ChartSeries[];
  readonly kind: "lines" | "bars";
  readonly textOf: (value: number) => string;
}

const HEIGHT_PX = 170;
const BAR_SHARE = 0.72;
const BAR_MAX_PX = 28;

export function Chart({ title, about, at, series, kind, textOf }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const isDark = useSyncExternalStore(theme.subscribe, theme.isDark);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const style = getComputedStyle(element);
    const color = (name: string) => resolved(element, style.getPropertyValue(name));
    const [line, text] = [color("--line"), color("--muted")];
    const font = `11px ${style.getPropertyValue("--sans")}`;
    const axis = { stroke: text, font, ticks: { show: false }, grid: { stroke: line, width: 1 } };
    const bars = uPlot.paths.bars?.({ size: [BAR_SHARE, BAR_MAX_PX], align: 1 });
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT_PX,
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        scales: {
          // To the end of the last step, so that its bar has room.
          x: { range: (_, min, max) => [min, max + (at.length > 1 ? (at[1] ?? 0) - (at[0] ?? 0) : 0)] },
          y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            values: (_, seconds, __, ___, stepSec) => seconds.map((second) => instantText(second, stepSec)),
          },
          { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => tick === null ? "" : textOf(tick)) },
        ],
        series: [
          { value: (_, seconds) => seconds === null ? "" : new Date(seconds * 1_000).toLocaleString("en-GB") },
          ...series.map((one) => ({
            label: one.name,
            stroke: color(`--chart-${one.color}`),
            width: 1.5,
            points: {
              size: 5,
              fill: color(`--chart-${one.color}`),
              filter: (plot: uPlot, index: number) => lonelyOf(plot.data[index] ?? []),
            },
            spanGaps: false,
            value: (_: uPlot, value: number | null) => value === null ? "–" : textOf(value),
            ...(kind === "bars" && bars !== undefined
              ? { paths: bars, fill: color(`--chart-${one.color}`), width: 0 }
              : {}),
          })),
        ],
      },
      [[...at], ...series.map(({ values }) => [...values])] as uPlot.AlignedData,
      element,
    );
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [at, series, kind, isDark]);
  return (
    <figure className="card chart">
      <figcaption className="card-head">
        <h2>{title}</h2>
        <span className="unseen">{about}</span>
      </figcaption>
      <div className="chart-place" ref={place} aria-hidden="true" />
    </figure>
  );
}

/** A line begins with two of them. */
function lonelyOf(values: ArrayLike<number | null | undefined>): number[] {
  const isThere = (index: number) => typeof values[index] === "number";
  return Array.from(values, (_, index) => index)
    .filter((index) => isThere(index) && !isThere(index - 1) && !isThere(index + 1));
}

const DAY_SEC = 86_400;
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function instantText(second: number, stepSec: number): string {
  const date = new Date(second * 1_000);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  return (stepSec >= DAY_SEC || isMidnight ? day : time).format(date);
}

/** A canvas knows no light-dark(): the page works it out. */
function resolved(element: HTMLElement, value: string): string {
  const probe = document.createElement("i");
  probe.style.color = value;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

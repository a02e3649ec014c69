/**
 * Instants, durations and amounts as people read them.
 *
 * @module
 */
const SEC = 1_000, MIN = 60 * SEC, HOUR = 60 * MIN, DAY = 24 * HOUR;
const UNITS: readonly (readonly [ms: number, unit: Intl.RelativeTimeFormatUnit])[] = [
  [365 * DAY, "year"],
  [30 * DAY, "month"],
  [DAY, "day"],
  [HOUR, "hour"],
  [MIN, "minute"],
  [SEC, "second"],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", hourCycle: "h23" });

/** "3 min. ago", with the instant when it is pointed at. */
export function Ago({ at }: { readonly at: string }) {
  return <time dateTime={at} className="number" data-tip={exactTime(at)}>{agoOf(at)}</time>;
}

export function agoOf(at: string, nowMs = Date.now()): string {
  const ms = Date.parse(at) - nowMs;
  const [unitMs, unit] = UNITS.find(([size]) => Math.abs(ms) >= size) ?? [SEC, "second"];
  return relative.format(Math.round(ms / unitMs), unit);
}

export function exactTime(at: string): string {
  return exact.format(new Date(at));
}

/** Of the day, to the millisecond. */
export function clockTime(at: string): string {
  const date = new Date(at);
  return `${clock.format(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

export function durationText(ms: number | null): string {
  if (ms === null) return "–";
  if (ms === 0) return "0 ms";
  if (ms < 1) return "< 1 ms";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < SEC) return `${Math.round(ms)} ms`;
  if (ms < MIN) return `${(ms / SEC).toFixed(ms < 10 * SEC ? 2 : 1)} s`;
  return `${Math.floor(ms / MIN)} min ${Math.round((ms % MIN) / SEC)} s`;
}

const KIB = 1024;

export function bytesText(bytes: number | null): string {
  if (bytes === null) return "–";
  if (bytes < KIB) return `${bytes} B`;
  if (bytes < KIB * KIB) return `${(bytes / KIB).toFixed(bytes < 10 * KIB ? 1 : 0)} KB`;
  return `${(bytes / KIB / KIB).toFixed(1)} MB`;
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function countText(count: number): string {
  return count < 10_000 ? count.toLocaleString("en") : compact.format(count);
}

export function shareText(part: number, whole: number): string {
  if (whole === 0) return "–";
  const percent = (100 * part) / whole;
  return part > 0 && percent < 0.1 ? "< 0.1 %" : `${percent < 10 ? Number(percent.toFixed(1)) : Math.round(percent)} %`;
}

/**
 * When a schedule is due: from a cron expression and a time zone to instants.
 *
 * Expressions are read and walked by croner. Here is only what the clocks of a zone do to it: a local time that does not
 * exist runs at the next one that does, and one that occurs twice runs once.
 *
 * @module
 */
import { Cron, CronPattern } from "croner";

/** Checked: see ./schedule_text.ts. */
export interface Timing {
  /** Five fields, six with seconds before them, or a name such as `@hourly`. */
  readonly cron: string;
  /** As IANA names it. */
  readonly timeZone: string;
}

export const CRON_OPTIONS = { mode: "5-or-6-parts", sloppyRanges: true } as const;
/** Most ask for the next one only. */
const CHUNK_MAX_COUNT = 16;
/** To read an expression takes ten times as long as to find its next instant. */
const KEPT_MAX_COUNT = 1_000;

/** The next instants after one, ascending, in milliseconds since the epoch; fewer than `count` where there are no more. */
export function nextInstants(timing: Timing, { afterMs, count }: { afterMs: number; count: number }): number[] {
  const found: number[] = [];
  for (const instantMs of ascending(timing, afterMs)) {
    if (instantMs <= afterMs || instantMs === found.at(-1)) continue;
    if (found.push(instantMs) >= count) break;
  }
  return found;
}

export interface Span {
  /** Exclusive. */
  readonly afterMs: number;
  /** Inclusive. */
  readonly untilMs: number;
  readonly count: number;
}

/** The last instants of a span, ascending. */
export function lastInstants(timing: Timing, { afterMs, untilMs, count }: Span): number[] {
  const found: number[] = [];
  for (const instantMs of descending(timing, untilMs)) {
    if (instantMs <= afterMs) break;
    if (instantMs > untilMs || instantMs === found.at(-1)) continue;
    if (found.push(instantMs) >= count) break;
  }
  return found.reverse();
}

function* ascending(timing: Timing, afterMs: number): Generator<number> {
  const { cron, read, earliest } = clocksFor(timing);
  let from = new Date(earliest(afterMs));
  for (let count = 1;; count = Math.min(CHUNK_MAX_COUNT, 2 * count)) {
    const times = cron.nextRuns(count, from);
    for (const time of times) yield read(time.getTime());
    const last = times.at(-1);
    if (last === undefined) return;
    from = last;
  }
}

function* descending(timing: Timing, untilMs: number): Generator<number> {
  const { cron, read, latest } = clocksFor(timing);
  let from = new Date(latest(untilMs) + 1);
  for (let count = 1;; count = Math.min(CHUNK_MAX_COUNT, 2 * count)) {
    const times = cron.previousRuns(count, from);
    for (const time of times) yield read(time.getTime());
    const last = times.at(-1);
    if (last === undefined) return;
    from = last;
  }
}

interface Clocks {
  readonly cron: Cron;
  /** From a time as croner finds it to the instant. */
  read(timeMs: number): number;
  /** Times up to this one are of instants up to that one. */
  earliest(instantMs: number): number;
  /** Later times are of later instants. */
  latest(instantMs: number): number;
}

const kept = new Map<string, Clocks>();

function clocksFor(timing: Timing): Clocks {
  const key = `${timing.cron} ${timing.timeZone}`;
  let clocks = kept.get(key);
  if (clocks === undefined) {
    clocks = makeClocks(timing);
    if (kept.size >= KEPT_MAX_COUNT) kept.clear();
    kept.set(key, clocks);
  }
  return clocks;
}

/**
 * What runs in every hour goes by elapsed time, as with croner: it neither stops nor doubles when the clocks change. What
 * names hours names local times, also by steps (`a step of two`), lists and ranges, which croner takes for elapsed time: they are
 * walked as if there were no zone, and each local time is one instant.
 */
function makeClocks({ cron, timeZone }: Timing): Clocks {
  const same = Math.floor;
  const isOfEveryHour = new CronPattern(cron, undefined, CRON_OPTIONS).hour.every((value) => value === 1);
  if (isOfEveryHour) {
    return {
      cron: new Cron(cron, { ...CRON_OPTIONS, timezone: timeZone, paused: true }),
      read: same,
      earliest: same,
      latest: same,
    };
  }
  return {
    cron: new Cron(cron, { ...CRON_OPTIONS, timezone: "UTC", paused: true }),
    read: (localMs) => instantOf(localMs, timeZone),
    earliest: (instantMs) => localTimeAt(instantMs, timeZone),
    latest: (instantMs) => latestLocalTime(instantMs, timeZone),
  };
}

/** Local times are written as if they were of UTC. */
function localTimeAt(instantMs: number, timeZone: string): number {
  return Math.floor(instantMs) + zonedAt(instantMs, timeZone).offsetNanoseconds / 1_000_000;
}

/** Where the clocks were put back just now, they have shown later times already. */
function latestLocalTime(instantMs: number, timeZone: string): number {
  const change = zonedAt(instantMs, timeZone).getTimeZoneTransition("previous");
  const now = localTimeAt(instantMs, timeZone);
  return change === null ? now : Math.max(now, localTimeAt(change.epochMilliseconds - 1, timeZone));
}

function instantOf(localMs: number, timeZone: string): number {
  const local = zonedAt(localMs, "UTC").toPlainDateTime();
  const first = local.toZonedDateTime(timeZone, { disambiguation: "earlier" });
  if (first.toPlainDateTime().equals(local)) return first.epochMilliseconds;
  // Skipped by the clocks: it is moved back across the gap, whose end is the next change.
  return first.getTimeZoneTransition("next")?.epochMilliseconds ?? first.epochMilliseconds;
}

function zonedAt(instantMs: number, timeZone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(Math.floor(instantMs)).toZonedDateTimeISO(timeZone);
}

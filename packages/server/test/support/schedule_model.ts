/**
 * When a cron expression is due, by the slowest and plainest way: look at the wall clock in every minute.
 *
 * Knows nothing of croner and of how the server computes it; the property test holds the two against each other.
 *
 * @module
 */
const MINUTE_MS = 60_000;
const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

export interface Schedule {
  /** Five or six fields. */
  readonly cron: string;
  readonly timeZone: string;
}

/** Every instant after the first and up to the second. Both are whole minutes. */
export function instantsByStepping({ cron, timeZone }: Schedule, fromMs: number, untilMs: number): number[] {
  const fields = cron.split(" ");
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = fields.slice(-5);
  const seconds = numbers(0, 59).filter((second) => fields.length === 5 ? second === 0 : has(fields[0] ?? "", second));
  const minutes = new Set(numbers(0, 59).filter((one) => has(minute, one)));
  const hours = new Set(numbers(0, 23).filter((one) => has(hour, one)));
  const isEveryHour = hours.size === 24;

  const isDue = (localMs: number) => {
    const local = new Date(localMs);
    return minutes.has(local.getUTCMinutes()) && hours.has(local.getUTCHours()) &&
      has(month, local.getUTCMonth() + 1, MONTHS) && isDay(day, weekday, local);
  };
  const found: number[] = [];
  // Begun some hours before, so that it is known which local times have been.
  const firstMs = fromMs - 3 * 60 * MINUTE_MS;
  let latestLocal = wallClock(timeZone, firstMs - MINUTE_MS);
  for (let now = firstMs; now <= untilMs; now += MINUTE_MS) {
    const local = wallClock(timeZone, now);
    if (isEveryHour) {
      if (isDue(local)) found.push(...seconds.map((second) => now + second * 1_000));
      continue;
    }
    for (let skipped = latestLocal + MINUTE_MS; skipped < local; skipped += MINUTE_MS) {
      if (isDue(skipped)) {
        found.push(now);
        break;
      }
    }
    if (local > latestLocal && isDue(local)) found.push(...seconds.map((second) => now + second * 1_000));
    latestLocal = Math.max(latestLocal, local);
  }
  return [...new Set(found)].filter((instant) => instant > fromMs && instant <= untilMs);
}

/** Where clocks change, to the half hour, by looking at each. */
export function clockChanges(timeZone: string, fromMs: number, untilMs: number): number[] {
  const found: number[] = [];
  for (let now = fromMs; now < untilMs; now += 30 * MINUTE_MS) {
    const offset = wallClock(timeZone, now) - now;
    const next = wallClock(timeZone, now + 30 * MINUTE_MS) - (now + 30 * MINUTE_MS);
    if (offset !== next) found.push(now + 30 * MINUTE_MS);
  }
  return found;
}

/** `*`, `5`, `1-5`, `1,2`, each with a step or without. */
function has(field: string, value: number, names: readonly string[] = []): boolean {
  return field.split(",").some((part) => {
    const [range = "", step] = part.split("/");
    const [first = "", last] = range.split("-").map((text) => {
      const at = names.indexOf(text);
      return String(at < 0 ? text : at + (names === MONTHS ? 1 : 0));
    });
    const from = first === "*" ? (names === MONTHS ? 1 : 0) : Number(first);
    const to = last !== undefined ? Number(last) : first === "*" || step !== undefined ? Infinity : from;
    return value >= from && value <= to && (value - from) % Number(step ?? 1) === 0;
  });
}

/** Where both say something, one of them is enough. */
function isDay(day: string, weekday: string, local: Date): boolean {
  const isLastOfMonth = new Date(local.getTime() + 24 * 60 * MINUTE_MS).getUTCDate() === 1;
  const ofMonth = day === "L" ? isLastOfMonth : has(day.replace(/^\*\//, "1/"), local.getUTCDate());
  const ofWeek = has(weekday === "7" ? "0" : weekday, local.getUTCDay(), DAYS);
  if (day === "*") return ofWeek;
  return weekday === "*" ? ofMonth : ofMonth || ofWeek;
}

const clocks = new Map<string, { readonly read: Intl.DateTimeFormat; readonly offsets: Map<number, number> }>();

/** The local time at an instant, written as if it were of UTC. Clocks change on the half hour only. */
function wallClock(timeZone: string, instantMs: number): number {
  let clock = clocks.get(timeZone);
  if (clock === undefined) {
    const read = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" });
    clock = { read, offsets: new Map() };
    clocks.set(timeZone, clock);
  }
  const halfHour = Math.floor(instantMs / (30 * MINUTE_MS));
  let offset = clock.offsets.get(halfHour);
  if (offset === undefined) {
    const start = halfHour * 30 * MINUTE_MS;
    offset = Date.parse(`${clock.read.format(start).replace(" ", "T")}Z`) - start;
    clock.offsets.set(halfHour, offset);
  }
  return instantMs + offset;
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

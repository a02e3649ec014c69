/**
 * A schedule as people write it: `0 9 * * MON-FRI Europe/Paris name=report catch_up=none overlap=queue`.
 *
 * Only the cron expression has to be there. What is wrong is said with its place in the text.
 *
 * @module
 */
import { CATCH_UPS, OVERLAPS, SCHEDULE_NAME_MAX_CHARACTERS, type VersionSchedule } from "@fluxbase/contract";
import { CronPattern } from "croner";
import { CRON_OPTIONS, nextInstants, type Timing } from "./timing.ts";

export type ScheduleText = Omit<VersionSchedule, "source">;

export interface TextFault {
  /** What is wrong, as the rest of a sentence about the text. */
  readonly fault: string;
  /** Offset in the text. */
  readonly at: number;
}

interface Word {
  readonly text: string;
  readonly at: number;
}

const FIELD_NAMES = ["second", "minute", "hour", "day of the month", "month", "day of the week"];
const FIELD_BOUNDS = ["0-59", "0-59", "0-23", "1-31", "1-12", "0-7"];
const OPTIONS = { name: undefined, catch_up: CATCH_UPS, overlap: OVERLAPS } as const;
const WEEKDAY_FIELD = /^(?:[\d*?+L]|SUN|MON|TUE|WED|THU|FRI|SAT)/i;
const DEFAULT_ZONE = "UTC";
const SAMPLE = 'such as "0 9 * * MON-FRI Europe/Paris"';

export function parseScheduleText(text: string): ScheduleText | TextFault {
  const words = wordsOf(text);
  const [first] = words;
  if (first === undefined) return { fault: `is empty: it must be a cron expression, ${SAMPLE}`, at: 0 };
  const options = optionsIn(words.filter(isOption));
  if ("fault" in options) return options;
  const rest = words.filter((word) => !isOption(word));
  const zoneAt = first.text.startsWith("@") ? 1 : zonePlaceIn(rest);
  const fields = rest.slice(0, zoneAt);
  const [zone, extra] = rest.slice(zoneAt);
  if (extra !== undefined) {
    return { fault: `goes on with ${quoted(extra)} behind the time zone: it must be ${SAMPLE}`, at: extra.at };
  }
  const fault = faultInFields(fields) ?? (zone && faultInZone(zone));
  if (fault !== undefined) return fault;
  const cron = fields.map((word) => word.text).join(" ");
  const timing = { cron, timeZone: zone?.text ?? DEFAULT_ZONE };
  const never = faultOfTiming(timing);
  if (never !== undefined) return { fault: never, at: first.at };
  return {
    name: options.name ?? nameOf(timing),
    cron,
    time_zone: timing.timeZone,
    catch_up: options.catch_up,
    overlap: options.overlap,
  };
}

/** For what comes in two fields: undefined where both are as they must be. */
export function faultInTiming({ cron, timeZone }: Timing): string | undefined {
  const fields = wordsOf(cron);
  const fault = faultInFields(fields) ?? faultInZone({ text: timeZone, at: 0 });
  return fault?.fault ?? faultOfTiming({ cron: fields.map(({ text }) => text).join(" "), timeZone });
}

/** What a schedule is called that nobody has named. */
export function nameOf({ cron, timeZone }: Timing): string {
  return timeZone === DEFAULT_ZONE ? cron : `${cron} ${timeZone}`;
}

function wordsOf(text: string): Word[] {
  return [...text.matchAll(/\S+/g)].map(({ 0: word, index }) => ({ text: word, at: index }));
}

function isOption({ text }: Word): boolean {
  return text.includes("=");
}

interface Options {
  readonly name?: string;
  readonly catch_up: VersionSchedule["catch_up"];
  readonly overlap: VersionSchedule["overlap"];
}

function optionsIn(words: readonly Word[]): Options | TextFault {
  const found: Record<string, string> = { catch_up: "once", overlap: "skip" };
  for (const { text, at } of words) {
    const [key = "", ...parts] = text.split("=");
    const name = key.replaceAll("-", "_");
    const value = parts.join("=");
    if (!Object.hasOwn(OPTIONS, name)) {
      return { fault: `has ${JSON.stringify(key)}: there are name=…, catch_up=… and overlap=…`, at };
    }
    const values: readonly string[] | undefined = OPTIONS[name as keyof typeof OPTIONS];
    if (values !== undefined && !values.includes(value)) {
      return { fault: `has ${JSON.stringify(text)}: ${name} must be one of ${values.join(", ")}`, at };
    }
    const fault = name === "name" ? faultInName(value) : undefined;
    if (fault !== undefined) return { fault: `has ${JSON.stringify(text.slice(0, 120))}: ${fault}`, at };
    found[name] = value;
  }
  return found as unknown as Options;
}

export function faultInName(name: string): string | undefined {
  // deno-lint-ignore no-control-regex -- names are shown in lists and logs
  const isName = name.trim() === name && name !== "" && !/[\u0000-\u001f\u007f]/.test(name) && name.isWellFormed();
  if (isName && name.length <= SCHEDULE_NAME_MAX_CHARACTERS) return undefined;
  return `a name has 1 to ${SCHEDULE_NAME_MAX_CHARACTERS} characters`;
}

/** Behind five or six fields: the sixth is one of days, or it is the zone. */
function zonePlaceIn(words: readonly Word[]): number {
  const sixth = words[5];
  return sixth !== undefined && WEEKDAY_FIELD.test(sixth.text) ? 6 : 5;
}

function faultInFields(fields: readonly Word[]): TextFault | undefined {
  const [first] = fields;
  if (fields.length === 1 && first?.text.startsWith("@")) {
    return isPattern(first.text) ? undefined : {
      fault: `has ${quoted(first)}: there are @yearly, @monthly, @weekly, @daily, @hourly and fields`,
      at: first.at,
    };
  }
  const count = fields.length;
  if (count !== 5 && count !== 6) {
    const at = fields.at(-1)?.at ?? 0;
    return { fault: `has ${count} fields: a cron expression has five, or six with seconds before them, ${SAMPLE}`, at };
  }
  for (const [index, word] of fields.entries()) {
    const place = index + 6 - count;
    const alone = fields.map((_, other) => other === index ? word.text : "*").join(" ");
    if (isPattern(alone)) continue;
    const [name, bounds] = [FIELD_NAMES[place], FIELD_BOUNDS[place]];
    return {
      fault: `has ${quoted(word)} as ${name}: it must be within ${bounds}, such as *, 5, 1-3, 1,3 or */2`,
      at: word.at,
    };
  }
  return undefined;
}

function isPattern(cron: string): boolean {
  try {
    new CronPattern(cron, undefined, CRON_OPTIONS);
    return true;
  } catch {
    return false;
  }
}

function faultInZone(zone: Word): TextFault | undefined {
  const isZone = /^[A-Za-z]/.test(zone.text) && zone.text.length <= 60 && isKnownZone(zone.text);
  return isZone ? undefined : {
    fault: `has ${quoted(zone)} as time zone: it must be a name such as Europe/Paris or UTC`,
    at: zone.at,
  };
}

function isKnownZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function faultOfTiming(timing: Timing): string | undefined {
  try {
    if (nextInstants(timing, { afterMs: 0, count: 1 }).length > 0) return undefined;
  } catch {
    return "makes no sense: each field is right, and together they are not";
  }
  return "never comes: there is no such day";
}

function quoted({ text }: Word): string {
  return JSON.stringify(text.slice(0, 80));
}

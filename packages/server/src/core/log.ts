/**
 * The server's own log: one line per event, for people on a terminal and as JSON elsewhere.
 *
 * Not the log of user code: that is part of an execution (../executions/).
 *
 * @module
 */
import type { LogLevel } from "@fluxbase/contract";

export interface Log {
  debug(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
  error(message: string, facts?: LogFacts): void;
}

/** Named values of the event; an `Error` is written with its stack and causes. */
export type LogFacts = Readonly<Record<string, unknown>>;

/** One whose level may be changed while it is used. */
export interface AdjustableLog extends Log {
  level: LogLevel;
  /** The name of the server whose log it is. */
  readonly node: string;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** On each line of JSON, since lines of several servers may be kept in one place; made up when it is left out. */
  readonly node?: string;
  /** Receives whole lines without a line end. */
  readonly write: (line: string) => void;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
/** Of one value: what functions and clients send may become one. */
const VALUE_MAX_LENGTH = 4_096;
/** Of a line; what is more is left out value by value. */
const LINE_MAX_LENGTH = 32_768;

export function createLog(
  { level: first, format, node = nameOfServer(), write: writeLine }: LogOptions,
): AdjustableLog {
  let level = first;
  const lineOf = format === "json" ? (...event: Event) => jsonLine(node, ...event) : textLine;

  function write(...event: Event): void {
    if (RANK[event[0]] >= RANK[level]) writeLine(lineOf(...event));
  }
  return {
    debug: (message, facts = {}) => write("debug", message, facts),
    info: (message, facts = {}) => write("info", message, facts),
    warn: (message, facts = {}) => write("warn", message, facts),
    error: (message, facts = {}) => write("error", message, facts),
    get level() {
      return level;
    },
    set level(next) {
      level = next;
    },
    node,
  };
}

type Event = readonly [level: LogLevel, message: string, facts: LogFacts];

/** A log for where nobody listens. */
export const silentLog: AdjustableLog = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  level: "error",
  node: "nobody",
};

/** Several servers may share a machine. */
function nameOfServer(): string {
  return `${Deno.hostname()}-${crypto.randomUUID().slice(0, 8)}`;
}

/** `time`, `level`, `node` and `message` are always what they say: a fact of that name does not replace them. */
function jsonLine(node: string, level: LogLevel, message: string, facts: LogFacts): string {
  const own = { time: new Date().toISOString(), level, node, message: bounded(message) };
  return JSON.stringify({ ...own, ...printables(facts), ...own });
}

function textLine(level: LogLevel, message: string, facts: LogFacts): string {
  const pairs = Object.entries(printables(facts)).map(([name, value]) => ` ${name}=${textValue(value)}`).join("");
  return `${new Date().toISOString()} ${level.padEnd(5)} ${bounded(message)}${pairs}`;
}

function textValue(shown: unknown): string {
  return typeof shown === "string" && /^[^\s"=]+$/.test(shown) ? shown : JSON.stringify(shown) ?? "undefined";
}

function printables(facts: LogFacts): Record<string, unknown> {
  let left = LINE_MAX_LENGTH;
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => {
      const shown = printable(value);
      left -= JSON.stringify(shown)?.length ?? 0;
      return [snakeCase(name), left >= 0 ? shown : "[left out: the line is too long]"];
    }),
  );
}

function printable(value: unknown): unknown {
  if (value instanceof Error) {
    const cause = value.cause === undefined ? "" : `\ncaused by: ${String(printable(value.cause))}`;
    return bounded(`${value.stack ?? value.message}${cause}`);
  }
  return typeof value === "string" ? bounded(value) : value;
}

function bounded(text: string): string {
  if (text.length <= VALUE_MAX_LENGTH) return text;
  return `${text.slice(0, VALUE_MAX_LENGTH)} [${text.length - VALUE_MAX_LENGTH} characters more]`;
}

/** As everything that leaves the server is named. */
function snakeCase(name: string): string {
  return name.replace(/MiB$/, "_mib").replaceAll(/[A-Z]+/g, (letters) => `_${letters.toLowerCase()}`);
}

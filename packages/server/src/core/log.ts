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

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Receives whole lines without a line end. */
  readonly write: (line: string) => void;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export function createLog(options: LogOptions): Log {
  const format = options.format === "json" ? jsonLine : textLine;

  function write(level: LogLevel, message: string, facts: LogFacts = {}) {
    if (RANK[level] < RANK[options.level]) return;
    options.write(format(level, message, facts));
  }
  return {
    debug: (message, facts) => write("debug", message, facts),
    info: (message, facts) => write("info", message, facts),
    warn: (message, facts) => write("warn", message, facts),
    error: (message, facts) => write("error", message, facts),
  };
}

/** A log for where nobody listens. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

function jsonLine(level: LogLevel, message: string, facts: LogFacts): string {
  return JSON.stringify({ time: new Date().toISOString(), level, message, ...mapValues(facts, printable) });
}

function textLine(level: LogLevel, message: string, facts: LogFacts): string {
  const pairs = Object.entries(facts).map(([name, value]) => ` ${name}=${textValue(value)}`).join("");
  return `${new Date().toISOString()} ${level.padEnd(5)} ${message}${pairs}`;
}

function textValue(value: unknown): string {
  const shown = printable(value);
  return typeof shown === "string" && /^[^\s"=]+$/.test(shown) ? shown : JSON.stringify(shown) ?? "undefined";
}

function printable(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const cause = value.cause === undefined ? "" : `\ncaused by: ${String(printable(value.cause))}`;
  return `${value.stack ?? value.message}${cause}`;
}

function mapValues(record: LogFacts, map: (value: unknown) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

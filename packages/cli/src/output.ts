/**
 * What commands print: tables for people, JSON for programs.
 *
 * @module
 */
import process from "node:process";
import type { WriteStream } from "node:tty";
import { styleText } from "node:util";
import type { GlobalOptions } from "./connection.ts";

const PROGRESS_MS = 1_000;

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Beside what a command is asked for: not for pipes. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** On a terminal only, and where nobody asked for none. */
export function paint(format: "red" | "green" | "yellow" | "dim", text: string, stream: WriteStream): string {
  return stream.isTTY && !process.env["NO_COLOR"] ? styleText(format, text) : text;
}

export function warn(text: string): void {
  say(`${paint("yellow", "warning:", process.stderr)} ${text}`);
}

/** Says on a terminal that something goes on, for as long as it does. */
export async function progress<Result>(text: string, work: Promise<Result>): Promise<Result> {
  const { stderr } = process;
  if (!stderr.isTTY) return await work;
  const startMs = Date.now();
  const timer = setInterval(
    () => stderr.write(`\r\x1b[K${text} … ${Math.round((Date.now() - startMs) / 1_000)} s`),
    PROGRESS_MS,
  );
  try {
    return await work;
  } finally {
    clearInterval(timer);
    stderr.write("\r\x1b[K");
  }
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

export function printRows(rows: readonly object[], columns: readonly string[], { output }: GlobalOptions): void {
  if (output === "json") return printJson(rows);
  const cells = rows.map((row) => columns.map((column) => textOf(Reflect.get(row, column))));
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...cells.map((line) => line[index]?.length ?? 0))
  );
  const lineOf = (line: readonly string[]) =>
    line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join("  ").trimEnd();
  print(paint("dim", lineOf(columns.map((column) => column.toUpperCase())), process.stdout));
  for (const line of cells) print(lineOf(line));
}

export function printObject(value: object, fields: readonly string[], options: GlobalOptions): void {
  if (options.output === "json") return printJson(value);
  const width = Math.max(...fields.map((field) => field.length));
  for (const field of fields) print(`${field.padEnd(width)}  ${textOf(Reflect.get(value, field))}`);
}

/** Control characters of others must not reach the terminal. */
function textOf(value: unknown): string {
  const text = value === null || value === undefined
    ? "-"
    : typeof value === "object"
    ? JSON.stringify(value)
    : String(value);
  return printable(text).replaceAll(/[\t\n]/g, " ");
}

/** Without what would move or paint on a terminal; line ends and tabs stay. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}

/** From a pipe whole, from a terminal without showing it. */
export async function readSecret(question: string): Promise<string> {
  const { stdin } = process;
  if (!stdin.isTTY) {
    let text = "";
    for await (const chunk of stdin) text += chunk;
    return text.replace(/\r?\n$/, "");
  }
  process.stderr.write(question);
  stdin.setRawMode(true);
  let text = "";
  try {
    for await (const chunk of stdin) {
      for (const letter of String(chunk)) {
        if (letter === "\r" || letter === "\n") return text;
        if (letter === "\u0003") process.exit(130);
        text = letter === "\u007f" ? text.slice(0, -1) : text + letter;
      }
    }
    return text;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    process.stderr.write("\n");
  }
}

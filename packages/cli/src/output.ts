/**
 * What commands print: tables for people, JSON for programs.
 *
 * @module
 */
import process from "node:process";
import type { GlobalOptions } from "./context.ts";

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Beside what a command is asked for: not for pipes. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function printRows(rows: readonly object[], columns: readonly string[], { output }: GlobalOptions): void {
  if (output === "json") return print(JSON.stringify(rows, null, 2));
  const cells = rows.map((row) => columns.map((column) => textOf(Reflect.get(row, column))));
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...cells.map((line) => line[index]?.length ?? 0))
  );
  const lineOf = (line: readonly string[]) =>
    line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join("  ").trimEnd();
  print(lineOf(columns.map((column) => column.toUpperCase())));
  for (const line of cells) print(lineOf(line));
}

export function printObject(value: object, fields: readonly string[], options: GlobalOptions): void {
  if (options.output === "json") return print(JSON.stringify(value, null, 2));
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
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, " ");
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

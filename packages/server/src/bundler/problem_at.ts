/**
 * Where in a source something is wrong.
 *
 * @module
 */
import type { BuildProblem } from "@fluxbase/contract";

const SNIPPET_MAX_CHARACTERS = 200;

/** Lines and columns count from 1. */
export function problemAt(file: string, code: string, message: string, offset: number | undefined): BuildProblem {
  if (offset === undefined) return { message, file, line: null, column: null, snippet: null };
  const before = code.slice(0, offset);
  const line = before.split("\n").length;
  const lineStart = before.lastIndexOf("\n") + 1;
  const lineEnd = code.indexOf("\n", offset);
  const text = code.slice(lineStart, lineEnd < 0 ? undefined : lineEnd).trimEnd();
  const column = offset - lineStart + 1;
  const from = Math.max(0, column - SNIPPET_MAX_CHARACTERS / 2);
  return { message, file, line, column, snippet: text.slice(from, from + SNIPPET_MAX_CHARACTERS) };
}

/**
 * The lines of the author's source around the place where something failed.
 *
 *     index.ts:3:9
 *       2 | function total(items) {
 *     > 3 |   return items.map((item) => item.price);
 *         |                ^
 *       4 | }
 *
 * @module
 */

/** By path, as a map of the bundle has it. */
export type SourceOf = (file: string) => string | undefined;

const PLACE = /(?:^|[\s(])([^\s()]+):(\d+):(\d+)\)?$/;
/** Lines before and after. */
const AROUND_COUNT = 2;
const LINE_MAX_CHARACTERS = 160;
const FRAMES_MAX_COUNT = 30;

/** Of the first line of the stack that lies in a source that is known. */
export function codeFrame(stack: string, sourceOf: SourceOf): string | undefined {
  for (const text of stack.split("\n", FRAMES_MAX_COUNT)) {
    const [, file, line, column] = PLACE.exec(text) ?? [];
    const source = file === undefined ? undefined : sourceOf(file);
    if (source === undefined) continue;
    return [`${file}:${line}:${column}`, ...linesAround(source, Number(line), Number(column))].join("\n");
  }
  return undefined;
}

function linesAround(source: string, line: number, column: number): string[] {
  const lines = source.split("\n", line + AROUND_COUNT);
  if (line < 1 || line > lines.length) return [];
  const first = Math.max(1, line - AROUND_COUNT);
  const width = String(lines.length).length;
  // A minified line is shown where it matters.
  const from = column > LINE_MAX_CHARACTERS ? column - LINE_MAX_CHARACTERS / 2 : 0;
  return lines.slice(first - 1).flatMap((text, index) => {
    const number = first + index;
    const shown = text.replace(/\r$/, "").slice(from, from + LINE_MAX_CHARACTERS);
    const row = `${number === line ? ">" : " "} ${String(number).padStart(width)} | ${shown}`.trimEnd();
    if (number !== line) return [row];
    // Tabs stay tabs, so that the mark stands below its character.
    const before = shown.slice(0, column - 1 - from).replace(/[^\t]/g, " ");
    return [row, `  ${" ".repeat(width)} | ${before}^`];
  });
}

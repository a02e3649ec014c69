/**
 * What a suite of measurements is, and how its rows are shown.
 *
 * @module
 */

/** One line of the results: a figure, and what it was meant to be. */
export interface Row {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly isMet: boolean;
}

export interface Suite {
  readonly name: string;
  /** Gets an empty folder that goes away after. */
  run(dir: string, options: SuiteOptions): Promise<Row[]>;
}

export interface SuiteOptions {
  /** Fewer and shorter rounds: for a look at ratios, not for the results. */
  readonly isQuick: boolean;
}

const encoder = new TextEncoder();

export function print(text: string): void {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

/** A Markdown table, readable on a terminal too. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ what, target, measured, isMet }) => [what, target, measured, isMet ? "yes" : "no"]);
  const head = ["what", "target", "measured", "met"];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...cells.map(line)].join("\n");
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * percent / 100))] ?? NaN;
}

export async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** Resident or proportional memory of a process, in MiB. */
export async function memoryMiB(pid: number, kind: "Rss" | "Pss"): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  return Number(new RegExp(`^${kind}: +(\\d+)`, "m").exec(text)?.[1] ?? NaN) / 1024;
}

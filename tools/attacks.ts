/**
 * Tries the attack corpus and prints it as one table: what each attack got, what the record says, how its victim is.
 *
 * `npm run attacks` tries all kinds, `npm run attacks -- process frame` some.
 *
 * @module
 */
import { REPORT_VARIABLE, type Result } from "../packages/server/test/attacks/corpus.ts";
import { print, runTests, testFiles } from "./test_run.ts";

const DIR = "packages/server/test/attacks";
const SUFFIX = "_attacks_test.ts";
/** Characters of a cell; the last one has no end. */
const WIDTHS = { attack: 60, got: 60, record: 34 };

async function main(wanted: readonly string[]): Promise<number> {
  const files = await testFiles(DIR);
  const kinds = files.map((file) => file.slice(DIR.length + 1, -SUFFIX.length));
  const unknown = wanted.find((kind) => !kinds.includes(kind));
  if (unknown !== undefined) {
    print(`Unknown kind of attack "${unknown}": use one of ${kinds.sort().join(", ")}\n`);
    return 2;
  }
  const report = await Deno.makeTempFile({ prefix: "fluxbase-attacks-" });
  const texts: string[] = [];
  try {
    const { failed } = await runTests(
      files.filter((_, index) => wanted.length === 0 || wanted.includes(kinds[index] ?? "")),
      { env: { [REPORT_VARIABLE]: report }, said: (text) => void texts.push(text) },
    );
    const results = (await Deno.readTextFile(report)).split("\n").filter(Boolean).map((line): Result =>
      JSON.parse(line)
    );
    printTable(results);
    // A kind may also fail as a whole, before or after its attacks.
    if (failed > 0) print(`\n${texts.filter((text) => text.includes("FAILED") || text.includes("error:")).join("\n")}`);
    const held = results.filter(({ failure }) => failure === undefined).length;
    print(`\n${results.length} attacks, ${held} held off, ${results.length - held} not\n`);
    return failed === 0 && results.length > 0 ? 0 : 1;
  } finally {
    await Deno.remove(report);
  }
}

function printTable(results: readonly Result[]): void {
  printRow({ attack: "attack", got: "what it got", record: "what the record says", victim: "victim" });
  for (const { kind, attack, ...cells } of results.toSorted((a, b) => a.kind.localeCompare(b.kind))) {
    printRow({ attack: `${kind}: ${attack}`, ...cells });
  }
}

function printRow({ attack, got, record, victim }: Record<keyof typeof WIDTHS | "victim", string>): void {
  const cells = [cell(attack, WIDTHS.attack), cell(got, WIDTHS.got), cell(record, WIDTHS.record), victim];
  print(`${cells.join(" | ")}\n`);
}

/** On one line, and of one width. What an attack got may hold anything. */
function cell(text: string, width: number): string {
  const line = text.replaceAll(/[\s\p{C}]+/gu, " ").trim();
  return (line.length > width ? `${line.slice(0, width - 2)} …` : line).padEnd(width);
}

Deno.exit(await main(Deno.args));

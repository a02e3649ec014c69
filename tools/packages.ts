/**
 * Builds, loads and calls a function for each npm package of the table, and prints what came of it.
 *
 * `npm run packages` tries all, `npm run packages -- stripe openai` some.
 *
 * @module
 */
import { PACKAGES } from "../packages/server/test/packages/table.ts";
import { print, runTests } from "./test_run.ts";

interface Result {
  readonly name: string;
  readonly builds: boolean;
  readonly loads: boolean;
  readonly answers: boolean;
  readonly ms?: number;
  readonly bytes?: number;
  readonly said?: string;
}

const TEST = "packages/server/test/packages/table_test.ts";
const NAME_WIDTH = 28;
const SAID_MAX_CHARACTERS = 300;

async function main(wanted: readonly string[]): Promise<number> {
  const names = PACKAGES.map(({ name }) => name);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    print(`Unknown package "${unknown}": use one of ${names.join(", ")}\n`);
    return 2;
  }
  const report = await Deno.makeTempFile({ prefix: "fluxbase-packages-" });
  try {
    await runTests([TEST], {
      env: {
        FLUXBASE_TEST_PACKAGES_REPORT: report,
        ...(wanted.length === 0 ? {} : { FLUXBASE_TEST_PACKAGES: wanted.join(",") }),
      },
      said: () => {},
    });
    const results = (await Deno.readTextFile(report)).split("\n").filter(Boolean).map((line): Result =>
      JSON.parse(line)
    );
    printRow("package", ["builds", "loads", "answers", "ms", "KB"]);
    for (const { name, builds, loads, answers, ms, bytes, said } of results) {
      const size = bytes === undefined || bytes === null ? "" : Math.round(bytes / 1024);
      printRow(name, [...[builds, loads, answers].map((holds) => holds ? "yes" : "NO"), ms ?? "", size]);
      if (!answers) print(`  ${(said ?? "").replaceAll(/\s+/g, " ").slice(0, SAID_MAX_CHARACTERS)}\n`);
    }
    const answering = results.filter(({ answers }) => answers).length;
    print(`\n${results.length} packages, ${answering} answer, ${results.length - answering} do not\n`);
    return answering === (wanted.length === 0 ? PACKAGES.length : wanted.length) ? 0 : 1;
  } finally {
    await Deno.remove(report);
  }
}

function printRow(name: string, cells: readonly (string | number)[]): void {
  print(`${name.padEnd(NAME_WIDTH)} ${cells.map((cell) => String(cell).padStart(8)).join("")}\n`);
}

Deno.exit(await main(Deno.args));

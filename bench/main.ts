/**
 * `npm run bench`: measures what the platform promises. `npm run bench -- warm cold` measures some of it,
 * `--quick` in less time where a suite can, and `--write` puts a run of everything into `bench/results.md`.
 *
 * @module
 */
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { callers } from "./callers.ts";
import { cold, memory } from "./cold.ts";
import { coldMany } from "./cold_many.ts";
import { crowded } from "./crowded.ts";
import { dashboard } from "./dashboard.ts";
import { deploying } from "./deploying.ts";
import { many } from "./many.ts";
import { observability } from "./observability.ts";
import { recycling } from "./recycling.ts";
import { streaming } from "./streaming.ts";
import { propagation } from "./propagation.ts";
import { schedules } from "./schedules.ts";
import { tables } from "./tables.ts";
import { tasks } from "./tasks.ts";
import { print, type Row, type Suite, tableOf } from "./suite.ts";
import { warm } from "./warm.ts";
import { hasWrk } from "./wrk.ts";

const SUITES: readonly Suite[] = [
  warm,
  callers,
  cold,
  coldMany,
  crowded,
  memory,
  streaming,
  many,
  deploying,
  tables,
  recycling,
  tasks,
  schedules,
  propagation,
  observability,
  dashboard,
];
const RESULTS = fileURLToPath(new URL("./results.md", import.meta.url));

async function runSuite(suite: Suite): Promise<Row[]> {
  const dir = await Deno.makeTempDir({ prefix: `fluxbase-bench-${suite.name}-` });
  // Its database runs as another user.
  await Deno.chmod(dir, 0o755);
  try {
    return await suite.run(dir, { isQuick });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function commit(): Promise<string> {
  const git = async (...args: string[]) =>
    new TextDecoder().decode((await new Deno.Command("git", { args }).output()).stdout).trim();
  const isClean = await git("status", "--porcelain", "--", ":!bench/results.md") === "";
  return `${await git("rev-parse", "--short", "HEAD")}${isClean ? "" : " with changes"}`;
}

async function resultsPage(rows: readonly Row[]): Promise<string> {
  const gib = Math.round(totalmem() / 2 ** 30);
  return `# Results

Measured on ${
    new Date().toISOString().slice(0, 10)
  } at commit ${await commit()} with \`npm run bench -- --write\`, on ${cpus().length} cores
(${
    cpus()[0]?.model
  }), ${gib} GiB, Linux ${release()}, Deno ${Deno.version.deno}. The load generator shares the machine, whose speed
changes from minute to minute: ratios within one row hold, absolute numbers are of that day.

${tableOf(rows)}
`;
}

if (!await hasWrk()) {
  print("Cannot measure without wrk: install it first, for example with `apt-get install wrk`");
  Deno.exit(1);
}
const names = Deno.args.filter((arg) => !arg.startsWith("--"));
const isWritten = Deno.args.includes("--write");
const isQuick = Deno.args.includes("--quick");
const unknown = names.filter((name) => !SUITES.some((suite) => suite.name === name));
if (unknown.length > 0 || (isWritten && (isQuick || names.length > 0))) {
  print(
    `Cannot measure ${unknown.join(", ")}: use ${SUITES.map(({ name }) => name).join(", ")}, or --write alone for all`,
  );
  Deno.exit(1);
}
const rows: Row[] = [];
for (const suite of SUITES.filter(({ name }) => names.length === 0 || names.includes(name))) {
  print(`${suite.name} …`);
  const own = await runSuite(suite);
  print(`${tableOf(own)}\n`);
  rows.push(...own);
}
if (isWritten) await Deno.writeTextFile(RESULTS, await resultsPage(rows));

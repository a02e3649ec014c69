/**
 * Three servers, one Postgres, mixed load, and faults in an order that a seed gives.
 *
 * `npm run chaos` takes 30 minutes; `npm run chaos -- --minutes 2 --seed 7` less, with the faults of an earlier run.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { runChaos } from "../packages/server/test/chaos/chaos.ts";
import { print } from "./test_run.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { minutes: { type: "string", default: "30" }, seed: { type: "string" } },
});
const seed = values.seed === undefined ? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0 : Number(values.seed);
const minutes = Number(values.minutes);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  print("--minutes must be more than 0, and --seed an integer\n");
  Deno.exit(2);
}
print(`Seed ${seed}: the same faults come with --seed ${seed}\n`);
const startedMs = performance.now();
const { wrong, ...counts } = await runChaos({
  seed,
  ms: minutes * 60_000,
  say: (text) => print(`${((performance.now() - startedMs) / 1_000).toFixed(1)} s: ${text}\n`),
});
print(`${JSON.stringify(counts, null, 2)}\n`);
for (const line of wrong) print(`WRONG: ${line}\n`);
print(wrong.length === 0 ? "Everything held\n" : `${wrong.length} things did not hold (seed ${seed})\n`);
Deno.exit(wrong.length === 0 ? 0 : 1);

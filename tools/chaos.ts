/**
 * Three servers behind a balancer, one Postgres, one Redis, mixed load, and faults in an order that a seed gives.
 *
 * `npm run chaos` takes 30 minutes; `npm run chaos -- --minutes 2 --seed 7` less, with the faults of an earlier run.
 * `--taskers 4` enqueues more tasks, `--old ../earlier` rolls back to a checkout of an earlier version and forth,
 * `--live-ms` and `--after-fault-ms` give a loaded machine more time, `--only "clock jump"` repeats some faults,
 * `--logs .` keeps the logs of the servers.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { runChaos } from "../packages/server/test/chaos/chaos.ts";
import { PATIENCE } from "../packages/server/test/chaos/checker.ts";
import { type FaultName, FAULTS } from "../packages/server/test/chaos/faults.ts";
import { print } from "./test_run.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "30" },
    seed: { type: "string" },
    taskers: { type: "string", default: "1" },
    scale: { type: "string", default: "1" },
    old: { type: "string" },
    logs: { type: "string" },
    only: { type: "string", multiple: true, default: [] },
    "live-ms": { type: "string", default: String(PATIENCE.liveMs) },
    "after-fault-ms": { type: "string", default: String(PATIENCE.afterFaultMs) },
  },
});
const seed = values.seed === undefined ? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0 : Number(values.seed);
const [minutes, taskers, scale, liveMs, afterFaultMs] = [
  ...[values.minutes, values.taskers, values.scale, values["live-ms"], values["after-fault-ms"]],
].map(Number) as [number, number, number, number, number];
const isFault = (name: string): name is FaultName => name in FAULTS;
const unknown = values.only.filter((name) => !isFault(name));
if (![minutes, taskers, scale, liveMs, afterFaultMs].every((number) => number > 0) || !Number.isInteger(seed)) {
  print("--seed must be an integer, and every other number more than 0\n");
  Deno.exit(2);
}
if (unknown.length > 0) {
  print(`Cannot do ${unknown.join(", ")}: --only takes ${Object.keys(FAULTS).join(", ")}\n`);
  Deno.exit(2);
}
print(`Seed ${seed}: the same faults come with --seed ${seed}\n`);
const startedMs = performance.now();
const { wrong, ...counts } = await runChaos({
  ...{ seed, taskers, scale, ms: minutes * 60_000, patience: { liveMs, afterFaultMs } },
  ...values.old === undefined ? {} : { old: values.old },
  ...values.logs === undefined ? {} : { logsDir: values.logs },
  ...values.only.length === 0 ? {} : { only: values.only.filter(isFault) },
  say: (text) => print(`${((performance.now() - startedMs) / 1_000).toFixed(1)} s: ${text}\n`),
});
print(`${JSON.stringify(counts, null, 2)}\n`);
for (const line of wrong) print(`WRONG: ${line}\n`);
print(wrong.length === 0 ? "Everything held\n" : `${wrong.length} things did not hold (seed ${seed})\n`);
Deno.exit(wrong.length === 0 ? 0 : 1);

/**
 * The short form of `npm run chaos`: some faults once each under load, in namespaces behind HAProxy where the machine has
 * them, else on loopback.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createChecker } from "./chaos/checker.ts";
import type { Node } from "./chaos/cluster.ts";
import { runChaos } from "./chaos/chaos.ts";
import { withoutLeakedProcesses } from "./support/processes.ts";

Deno.test("what three servers have acknowledged is there after kills of a server, Postgres, Redis and sandboxes and a cut network", async () => {
  await withoutLeakedProcesses(async () => {
    const report = await runChaos({
      seed: 7,
      ms: 0,
      scale: 0.1,
      callers: 2,
      // Tasks of a server that is killed wait for the end of their leases: that one comes first.
      faults: [
        "kill a server",
        "kill Postgres",
        "kill sandboxes",
        "kill Redis",
        "cut a server off from the database",
      ],
      // What is lost or wrong is; how fast the machine is, is not the matter here.
      patience: { afterFaultMs: 30_000, liveMs: 30_000 },
      // Without what the machine lacks, and it says so.
      say: (text) => void Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`)),
    });
    assert.deepEqual(report.wrong, [], JSON.stringify(report));
    for (const count of [report.calls, report.writes, report.tasks, report.deployments]) {
      assert.ok(count > 0);
    }
  });
});

Deno.test("a call that fails without a reason is no chance", () => {
  const node = { name: "a", isUp: true, disturbedAtMs: -Infinity, backAtMs: -Infinity } as Node;
  const checker = createChecker({ nodes: [node] });
  const attempt = { node, beganAtMs: performance.now(), reason: "503" };
  checker.databaseIsAway(true);
  checker.failed("A write", { ...attempt, needsDatabase: true });
  checker.failed("A call", { ...attempt, node: { ...node, isHurt: true }, needsDatabase: false });
  assert.deepEqual(checker.wrong, []);
  checker.failed("A call", { ...attempt, needsDatabase: false });
  assert.equal(checker.wrong.length, 1);
});

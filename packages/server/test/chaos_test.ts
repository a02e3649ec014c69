/**
 * The short form of `npm run chaos`: a server, sandboxes and Postgres are killed once each under load.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createChecker } from "./chaos/checker.ts";
import type { Node } from "./chaos/cluster.ts";
import { runChaos } from "./chaos/chaos.ts";
import { withoutLeakedProcesses } from "./support/processes.ts";

Deno.test("what three servers have acknowledged is there after kill -9 of a server, of Postgres and of sandboxes", async () => {
  await withoutLeakedProcesses(async () => {
    const report = await runChaos({
      seed: 7,
      ms: 0,
      faults: ["kill sandboxes", "kill a server", "kill Postgres"],
      // What is lost or wrong is; how fast the machine is, is not the matter here.
      patience: { afterFaultMs: 30_000, liveMs: 30_000 },
    });
    assert.deepEqual(report.wrong, [], JSON.stringify(report));
    for (const count of [report.calls, report.writes, report.tasks, report.deployments]) {
      assert.ok(count > 0);
    }
  });
});

Deno.test("a call that fails without a reason is no chance", () => {
  const checker = createChecker();
  const node = { name: "a", isUp: true, disturbedAtMs: -Infinity } as Node;
  const attempt = { node, beganAtMs: performance.now(), reason: "503" };
  checker.databaseIsAway(true);
  checker.failed("A write", { ...attempt, needsDatabase: true });
  checker.failed("A call", { ...attempt, node: { ...node, isUp: false }, needsDatabase: false });
  assert.deepEqual(checker.wrong, []);
  checker.failed("A call", { ...attempt, needsDatabase: false });
  assert.equal(checker.wrong.length, 1);
});

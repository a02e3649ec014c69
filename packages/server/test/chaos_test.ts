/**
 * The short form of `npm run chaos`: a server, sandboxes and Postgres are killed once each under load.
 *
 * @module
 */
import assert from "node:assert/strict";
import { runChaos } from "./chaos/chaos.ts";
import { withoutLeakedProcesses } from "./support/processes.ts";

Deno.test("what three servers have acknowledged is there after kill -9 of a server, of Postgres and of sandboxes", async () => {
  await withoutLeakedProcesses(async () => {
    const report = await runChaos({
      seed: 7,
      ms: 0,
      faults: ["kill sandboxes", "kill a server", "kill Postgres"],
    });
    assert.deepEqual(report.wrong, [], JSON.stringify(report));
    for (const count of [report.calls, report.writes, report.tasks, report.deployments]) assert.ok(count > 0);
  });
});

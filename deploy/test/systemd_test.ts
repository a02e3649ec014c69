/**
 * The service of systemd: the example is what `fluxbase service install` writes, and systemd understands it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { unitOf } from "../../packages/cli/src/commands/service.ts";
import { isInstalled } from "../../packages/server/test/support/programs.ts";

const UNIT = new URL("../systemd/fluxbase.service", import.meta.url);

Deno.test("the example of a service is the one that is installed", async () => {
  const program = "/usr/lib/node_modules/fluxbase/bin/fluxbase.mjs";
  assert.equal(await Deno.readTextFile(UNIT), unitOf({ node: "/usr/bin/node", program }));
  assert.match(unitOf({ node: "/usr/bin/node", program: "/home/ada/fluxbase.mjs" }), /^ProtectHome=read-only$/m);
});

Deno.test("systemd takes every line of the service, and finds little exposed", async () => {
  if (!await isInstalled("systemd-analyze")) return;
  const path = fileURLToPath(UNIT);
  const { stderr } = await new Deno.Command("systemd-analyze", { args: ["verify", path] }).output();
  const lines = new TextDecoder().decode(stderr).split("\n").filter((line) => line.includes("fluxbase.service"));
  assert.deepEqual(lines, []);
  const { stdout } = await new Deno.Command("systemd-analyze", {
    args: ["security", "--offline=true", "--threshold=50", path],
  }).output();
  assert.match(new TextDecoder().decode(stdout), /Overall exposure level for fluxbase\.service: [0-4]\./);
});

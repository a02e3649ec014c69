/**
 * Sandboxes come and go without a request being lost: isolation, recycling, new versions under load.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest, type TestPlatform } from "./support/platform.ts";

const WHO = `let count = 0; async function handler(req) {
  if (req.params.ms) await new Promise((resolve) => setTimeout(resolve, Number(req.params.ms)));
  return { pid: Deno.pid, count: ++count, version: Deno.env.get("FLUXBASE_FUNCTION_VERSION") };
}`;

async function who(platform: TestPlatform, path: string): Promise<{ pid: number; count: number; version: string }> {
  const response = await platform.call(path);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text);
}

/** Calls without a pause from several sides until told to stop; every answer must be 200. */
function underLoad(platform: TestPlatform, path: string, sidesCount: number) {
  let isOver = false;
  let answeredCount = 0;
  const sides = Array.from({ length: sidesCount }, async () => {
    while (!isOver) {
      await who(platform, path);
      answeredCount += 1;
    }
  });
  return async () => {
    isOver = true;
    await Promise.all(sides);
    return answeredCount;
  };
}

platformTest("isolation: every request has a sandbox of its own", async (platform, step) => {
  await platform.deploy("alone", WHO, { isolation: "request" });
  await platform.deploy("together", WHO);

  await step("one after the other", async () => {
    const answers = [await who(platform, "alone"), await who(platform, "alone"), await who(platform, "alone")];
    assert.equal(new Set(answers.map(({ pid }) => pid)).size, 3);
    assert.ok(answers.every(({ count }) => count === 1));
    const shared = [await who(platform, "together"), await who(platform, "together")];
    assert.equal(shared[0]?.pid, shared[1]?.pid);
    assert.equal(shared[1]?.count, 2);
  });

  await step("many at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => who(platform, "alone/invoke?ms=50")));
    assert.equal(new Set(answers.map(({ pid }) => pid)).size, 20);
  });
});

platformTest("a sandbox is replaced after its number of requests, and none is lost", async (platform) => {
  await platform.deploy("busy", WHO);
  const stop = underLoad(platform, "busy", 8);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const answeredCount = await stop();
  assert.ok(answeredCount > 100, `${answeredCount} answers`);
  const { count } = await who(platform, "busy");
  assert.ok(count <= 50);
}, { FLUXBASE_LIMITS_SANDBOX_REQUESTS_COUNT: "50" });

platformTest("a sandbox is replaced after its life, and new versions under load lose nothing", async (platform) => {
  await platform.deploy("changes", WHO);
  const stop = underLoad(platform, "changes/invoke?ms=5", 16);
  for (let version = 2; version <= 6; version += 1) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { body } = await platform.api("PUT", "/functions/changes", { code: `${WHO} // ${version}` });
    assert.equal(body.live_version, version);
    assert.equal((await who(platform, "changes")).version, String(version));
  }
  const broken = await platform.api("PUT", "/functions/changes", { code: "function handler( {" });
  assert.equal(broken.body.live_version, 6);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(await stop() > 100);
}, { FLUXBASE_LIMITS_SANDBOX_LIFE_MS: "400" });

platformTest("many functions called at the same instant on an empty pool are all answered", async (platform) => {
  const names = Array.from({ length: 40 }, (_, index) => `cold-${index}`);
  await Promise.all(names.map((name) => platform.deploy(name, `function handler() { return "${name}"; }`)));
  const answers = await Promise.all(names.map(async (name) => await (await platform.call(name)).text()));
  assert.deepEqual(answers, names.map((name) => `"${name}"`));
}, { FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0" });

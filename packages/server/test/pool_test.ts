/**
 * Sandboxes come and go without a request being lost: isolation, recycling, new versions under load.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";

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

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

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

platformTest("requests that come while a sandbox loads are answered by that one", async (platform) => {
  await platform.deploy(
    "slow-start",
    `await new Promise((resolve) => setTimeout(resolve, 400)); export default () => Deno.pid;`,
  );
  const calls: Promise<string>[] = [];
  for (let count = 0; count < 16; count += 1) {
    calls.push(platform.call("slow-start").then((response) => response.text()));
    await pause(5);
  }
  assert.equal(new Set(await Promise.all(calls)).size, 1);
});

/** Blocks its event loop for as long as it is told; says which process it is. */
const SPIN = `async function handler(req) {
  const until = Date.now() + Number(req.params.spin ?? 0);
  while (Date.now() < until);
  return Deno.pid;
}`;

platformTest("requests that a dead sandbox had not begun with are answered by another one", async (platform, step) => {
  await platform.deploy("spins", SPIN);
  const pidOf = async (path: string) => {
    const response = await platform.call(path);
    return response.status === 200 ? Number(await response.text()) : (await response.json()).code;
  };

  for (
    const [how, code] of [["blocked", "CPU_LIMIT"], ["killed", "SANDBOX_DIED"]] as const
  ) {
    await step(`because it was ${how}`, async () => {
      const first = await pidOf("spins");
      const fatal = pidOf("spins/invoke?spin=20000");
      await pause(30);
      const answering = Promise.all(Array.from({ length: 10 }, () => pidOf("spins")));
      await pause(100);
      if (how === "killed") Deno.kill(first, "SIGKILL");
      const answers = await answering;
      assert.equal(await fatal, code);
      for (const pid of answers) assert.ok(typeof pid === "number" && pid !== first, String(pid));
    });
  }
}, { FLUXBASE_LIMITS_EVENT_LOOP_BLOCKED_MS: "500" });

platformTest("a sandbox whose event loop is busy gets no new requests where there can be another", async (platform) => {
  await platform.deploy("spins", SPIN, { timeout: 20 });
  const first = await (await platform.call("spins")).text();
  let hasSpun = false;
  const spinning = platform.call("spins/invoke?spin=3000").then(async (response) => {
    hasSpun = true;
    return await response.text();
  });
  await pause(500);
  const other = await (await platform.call("spins")).text();
  assert.equal(hasSpun, false);
  assert.notEqual(other, first);
  assert.equal(await spinning, first);
});

platformTest("one function cannot take every sandbox nor the whole queue", async (platform) => {
  const sleeps = `async function handler() { await new Promise((r) => setTimeout(r, 1500)); return 1; }`;
  await platform.deploy("greedy", sleeps, { isolation: "request" });
  await platform.deploy("modest", `function handler() { return "served"; }`);
  let greedyCount = 0;
  const greedy = Array.from({ length: 14 }, async () => {
    const { status } = await platform.call("greedy");
    greedyCount += 1;
    return status;
  });
  await pause(300);
  assert.equal(await (await platform.call("modest")).json(), "served");
  assert.ok(greedyCount < greedy.length - 4, `${greedyCount} of the greedy calls were over`);
  const statuses = (await Promise.all(greedy)).toSorted();
  // At most two run and five of the ten places in the queue are theirs.
  assert.deepEqual([...new Set(statuses)], [200, 503]);
  assert.ok(statuses.filter((status) => status === 503).length >= 7);
}, {
  FLUXBASE_LIMITS_SANDBOX_COUNT: "4",
  FLUXBASE_LIMITS_WAITING_REQUESTS_COUNT: "10",
  FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0",
});

platformTest("a client that leaves while it waits for a sandbox is never run", async (platform) => {
  await platform.deploy(
    "slow",
    `async function handler() { console.log("ran"); await new Promise((r) => setTimeout(r, 1000)); return 1; }`,
    { isolation: "request" },
  );
  const running = platform.call("slow");
  await pause(300);
  const leaving = new AbortController();
  const waiting = platform.call("slow", { signal: leaving.signal });
  await pause(200);
  leaving.abort();
  await assert.rejects(waiting);
  assert.equal(await (await running).text(), "1");
  const executions = await platform.executions("slow", 2);
  const outcomes = executions.map((one: { error_code: string; logs: string }) => [one.error_code, one.logs]);
  assert.deepEqual(outcomes.toSorted(), [["CLIENT_CLOSED_REQUEST", ""], [null, "ran"]].toSorted());
}, { FLUXBASE_LIMITS_SANDBOX_COUNT: "1", FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0" });

async function sandboxesOf(platform: TestPlatform): Promise<{ count: number; blank: number; memory_mib: number }> {
  return (await platform.api("GET", "/health/ready")).body.sandboxes;
}

platformTest("a function that is in use is made ready again when it is deployed", async (platform) => {
  await platform.deploy("used", WHO);
  await who(platform, "used");
  await platform.api("PUT", "/functions/used", { code: `${WHO} // 2` });
  await eventually(async () => {
    const { count, blank } = await sandboxesOf(platform);
    return count - blank === 1 && blank === 2;
  });
  assert.equal((await who(platform, "used")).version, "2");
  const [last, first] = await platform.executions("used", 2);
  assert.deepEqual([last.cold_start, first.cold_start], [false, true]);
});

platformTest("every function is made ready when it is deployed, if the operator wants that", async (platform) => {
  await platform.deploy("ready", `${WHO}\nconsole.log("loaded");`);
  await eventually(async () => {
    const { count, blank } = await sandboxesOf(platform);
    return count - blank === 1;
  });
  // It is not blank any more while it still loads.
  await eventually(async () => (await platform.api("GET", "/functions/ready/logs")).body.length === 1);
  await who(platform, "ready");
  assert.equal((await platform.executions("ready"))[0].cold_start, false);
}, { FLUXBASE_FUNCTIONS_PREWARM: "always" });

platformTest("a sandbox whose memory stays high is replaced before it hits the limit", async (platform) => {
  await platform.deploy(
    "grows",
    `const kept = [];
    async function handler(req) {
      for (let i = 0; i < (req.params.mb ?? 0); i++) kept.push(new Uint8Array(1024 * 1024).fill(1));
      return Deno.pid;
    }`,
    { memory: 64 },
  );
  const first = await (await platform.call("grows/invoke?mb=62")).text();
  await eventually(async () => {
    const response = await platform.call("grows");
    assert.equal(response.status, 200);
    return await response.text() !== first;
  });
});

platformTest("all sandboxes together keep to their memory: those idle longest give way", async (platform) => {
  const names = Array.from({ length: 12 }, (_, index) => `one-${index}`);
  for (const name of names) {
    await platform.deploy(
      name,
      `const kept = new Uint8Array(30_000_000).fill(1); function handler() { return kept.length; }`,
    );
  }
  for (const name of [...names, ...names]) {
    assert.equal(await (await platform.call(name)).text(), "30000000");
    await pause(100);
  }
  await eventually(async () => (await sandboxesOf(platform)).memory_mib <= 300);
  assert.ok((await sandboxesOf(platform)).count < 12);
}, { FLUXBASE_LIMITS_SANDBOXES_MEMORY_MIB: "300" });

platformTest("lines that no request wrote are in the function's log, and belong to no execution", async (platform) => {
  await platform.deploy(
    "outside",
    `console.warn("at the top", { a: 1 });
    async function handler() {
      Deno.stdout.writeSync(new TextEncoder().encode("past the console\\n"));
      setTimeout(() => { throw new Error("after the answer"); }, 20);
      return 1;
    }`,
  );
  assert.equal(await (await platform.call("outside")).text(), "1");
  type Line = { level: string; message: string; execution_id: string | null; fields: unknown };
  let lines: Line[] = [];
  await eventually(async () => {
    lines = (await platform.api("GET", "/functions/outside/logs?limit=100")).body;
    return lines.length >= 3;
  });
  const byText = (text: string) => lines.find(({ message }) => message.includes(text));
  const top = byText("at the top");
  assert.deepEqual([top?.level, top?.execution_id, top?.fields], ["warn", null, { a: 1 }]);
  assert.deepEqual([byText("past the console")?.level, byText("past the console")?.execution_id], ["info", null]);
  assert.match(
    byText("after the answer")?.message ?? "",
    /Uncaught error: Error: after the answer\n {4}at .*outside\.ts:4:\d+/,
  );
});

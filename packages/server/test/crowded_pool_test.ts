/**
 * More functions than sandboxes, versions that come back, loads that fail: nobody waits or fails for another one's sake.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";
import { sandboxesOf, zygotesOf } from "./support/processes.ts";

const WHO = `export default () => ({ status: 200, body: String(Deno.pid) });`;

async function pidOf(platform: TestPlatform, name: string): Promise<string> {
  const response = await platform.call(name);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return text;
}

async function deployMany(
  platform: TestPlatform,
  prefix: string,
  count: number,
  code = WHO,
  fields: Record<string, unknown> = {},
): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  await Promise.all(names.map((name) => platform.deploy(name, code, fields)));
  return names;
}

platformTest("many cold calls at once end no sandbox of a function that is called often", async (platform, step) => {
  const busy = await deployMany(platform, "busy", 4);
  const scanned = await deployMany(platform, "scanned", 40);
  const pids = new Map<string, string>();
  for (const name of busy) pids.set(name, await pidOf(platform, name));
  for (let round = 0; round < 10; round += 1) await Promise.all(busy.map((name) => pidOf(platform, name)));
  const arePlacesKept = async () => {
    for (const name of busy) assert.equal(await pidOf(platform, name), pids.get(name), name);
  };

  await step("forty that are called at the same instant are all answered", async () => {
    const answers = await Promise.all(scanned.map((name) => pidOf(platform, name)));
    assert.equal(new Set(answers).size, scanned.length);
    await arePlacesKept();
  });

  await step("nor do forty that are called one after the other", async () => {
    for (const name of scanned) await pidOf(platform, name);
    await arePlacesKept();
  });
}, { FLUXBASE_LIMITS_SANDBOX_COUNT: "12", FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0" });

platformTest("a call that would get its sandbox too late is told so at once", async (platform) => {
  await platform.deploy("alone", WHO, { isolation: "request" });
  const answers = await Promise.all(Array.from({ length: 400 }, async () => {
    const response = await platform.call("alone");
    const { code = "OK" } = response.status === 200 ? (await response.body?.cancel(), {}) : await response.json();
    return { code, retryAfter: Number(response.headers.get("retry-after")) };
  }));
  const refused = answers.filter(({ code }) => code === "POOL_EXHAUSTED");
  assert.ok(answers.some(({ code }) => code === "OK"));
  assert.ok(refused.length > 0);
  assert.equal(answers.length, refused.length + answers.filter(({ code }) => code === "OK").length);
  assert.ok(refused.every(({ retryAfter }) => retryAfter >= 1));
  // And whoever comes next is served.
  await pidOf(platform, "alone");
}, { FLUXBASE_LIMITS_WAIT_FOR_SANDBOX_MS: "1000", FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0" });

platformTest("a version that comes back while an old call of it runs is warm again", async (platform, step) => {
  const code = `export default async (req) => {
    if (req.params.ms) await new Promise((resolve) => setTimeout(resolve, Number(req.params.ms)));
    return { status: 200, body: String(Deno.pid) };
  };`;
  await platform.deploy("back", code);

  async function withOldCall(change: () => Promise<void>): Promise<void> {
    const oldPid = await pidOf(platform, "back");
    const running = pidOf(platform, "back/invoke?ms=4000");
    await new Promise((resolve) => setTimeout(resolve, 200));
    await change();
    const pids: string[] = [];
    for (let call = 0; call < 4; call += 1) pids.push(await pidOf(platform, "back"));
    assert.equal(new Set(pids).size, 1, pids.join());
    assert.notEqual(pids[0], oldPid);
    assert.equal(await running, oldPid);
  }

  await step("disabled and enabled", () =>
    withOldCall(async () => {
      for (const enabled of [false, true]) await platform.api("PATCH", "/functions/back", { enabled });
    }));

  await step("another version and back", () =>
    withOldCall(async () => {
      const { body } = await platform.api("PUT", "/functions/back", { code: `${code} // other` });
      assert.equal(body.live_version, 2);
      await platform.api("POST", "/functions/back/rollback", { version: 1 });
    }));
});

platformTest("a load that fails is told to those it was for, and to nobody else", async (platform, step) => {
  // Whether it loads hangs on the process: the same version loads in one sandbox and fails in another.
  const moody = `console.log("load " + Deno.pid);
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (Deno.pid % 3 === 0) throw new Error("not today");
    ${WHO}`;

  await step("where each call has a sandbox of its own", async () => {
    await platform.deploy("moody", moody, { isolation: "request" });
    const answers = await Promise.all(Array.from({ length: 24 }, async () => {
      const response = await platform.call("moody");
      return { status: response.status, text: await response.text() };
    }));
    let loads: number[] = [];
    await eventually(async () => {
      const { body } = await platform.api("GET", "/functions/moody/logs?limit=1000");
      loads = body.map(({ message }: { message: string }) => message).filter((text: string) => text.startsWith("load "))
        .map((text: string) => Number(text.slice(5)));
      return loads.length >= answers.length;
    });
    const failed = answers.filter(({ status }) => status !== 200);
    assert.ok(failed.every(({ text }) => JSON.parse(text).code === "BUNDLE_FAILED"));
    // Fewer may fail than loads do: a call takes another sandbox that is free before its own has loaded.
    const failedLoads = loads.filter((pid) => pid % 3 === 0).length;
    assert.ok(failed.length <= failedLoads, `${failed.length} calls failed, and ${failedLoads} loads`);
  });

  await step("a version that never loads fails every call, and the next version serves", async () => {
    await platform.deploy("broken", `throw new Error("never"); ${WHO}`);
    const statuses = await Promise.all(Array.from({ length: 40 }, async () => {
      const response = await platform.call("broken");
      await response.body?.cancel();
      return response.status;
    }));
    assert.deepEqual([...new Set(statuses)], [500]);
    await platform.api("PUT", "/functions/broken", { code: WHO });
    await pidOf(platform, "broken");
  });
});

platformTest("a sandbox that cannot be started is 503 with Retry-After, and nothing spins", async (platform, step) => {
  // A sandbox with a scratch folder starts from nothing, so that it needs more of the machine than a copy.
  const names = await deployMany(platform, "some", 6, WHO, { permissions: { net: true, read: true } });
  const pid = await pidOf(platform, "some-0");
  // The folder in which each of them gets one of its own.
  const runDir = (await Deno.readLink(`/proc/${pid}/cwd`)).split("/").slice(0, -2).join("/");
  const failures = () => platform.logLines.filter((line) => line.includes("A sandbox did not start")).length;

  await step("while it lasts", async () => {
    await Deno.rename(runDir, `${runDir}-away`);
    await Deno.writeTextFile(runDir, "in the way");
    const begunMs = performance.now();
    const answers = await Promise.all(
      names.slice(1).map(async (name) => {
        const response = await platform.call(name);
        return {
          status: response.status,
          retryAfter: Number(response.headers.get("retry-after")),
          ...await response.json(),
        };
      }),
    );
    for (const { status, code, retryAfter } of answers) {
      assert.deepEqual([status, code], [503, "POOL_EXHAUSTED"]);
      assert.ok(retryAfter >= 1);
    }
    // One start fails after the other, with pauses of 100 ms and more, in each slot.
    const perSlotCount = 1 + (performance.now() - begunMs) / 100;
    const failuresCount = failures();
    assert.ok(
      failuresCount >= 2 && failuresCount <= (navigator.hardwareConcurrency + 1) * perSlotCount,
      `${failuresCount}`,
    );
  });

  await step("and after it", async () => {
    await Deno.remove(runDir);
    await Deno.rename(`${runDir}-away`, runDir);
    await eventually(async () => {
      const response = await platform.call("some-1");
      await response.body?.cancel();
      return response.status === 200;
    });
    for (const name of names) await pidOf(platform, name);
  });
}, { FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0" });

platformTest("sandboxes killed in any state and clients that leave at any moment leave no trace", async (platform) => {
  const slowly = `await new Promise((resolve) => setTimeout(resolve, 30));
    export default async (req) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { status: 200, body: String(Deno.pid) };
    };`;
  const names = [
    ...await deployMany(platform, "shared", 8, slowly),
    ...await deployMany(platform, "quick", 4),
  ];
  await platform.deploy("own", slowly, { isolation: "request" });
  names.push("own");
  let isOver = false;
  const killing = (async () => {
    for (let round = 0; !isOver; round += 1) {
      const pids = round % 5 === 4 ? zygotesOf(Deno.pid) : sandboxesOf(Deno.pid);
      const victim = pids[round * 7 % Math.max(1, pids.length)];
      if (victim !== undefined) Deno.kill(victim, "SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  })();
  const answers = new Map<string, number>();
  await Promise.all(Array.from({ length: 12 }, async (_, side) => {
    for (let round = 0; round < 20; round += 1) {
      const name = names[(side * 5 + round * 3) % names.length] ?? "";
      const leaves = (side + round) % 3 === 0;
      const outcome = await platform.call(name, leaves ? { signal: AbortSignal.timeout(1 + 13 * (round % 12)) } : {})
        .then(async (response) => {
          const text = await response.text();
          return response.status === 200 ? "OK" : JSON.parse(text).code;
        }, () => "left");
      answers.set(outcome, (answers.get(outcome) ?? 0) + 1);
    }
  }));
  isOver = true;
  await killing;
  // What a request may be told when its sandbox dies, and nothing else.
  const told = [...answers.keys()].filter((code) => !["OK", "left", "SANDBOX_DIED", "POOL_EXHAUSTED"].includes(code));
  assert.deepEqual(told, [], JSON.stringify([...answers]));
  assert.ok((answers.get("OK") ?? 0) > 50, JSON.stringify([...answers]));
  await eventually(async () => {
    const { busy, waiting, count } = (await platform.api("GET", "/health/ready")).body.sandboxes;
    return busy === 0 && waiting === 0 && count <= 6;
  });
  for (const name of names) await pidOf(platform, name);
}, { FLUXBASE_LIMITS_SANDBOX_COUNT: "6" });

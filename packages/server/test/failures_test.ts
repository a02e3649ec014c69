/**
 * Functions that fail, each told apart to the caller and in the record, while a neighbour goes on unharmed.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";
import { sandboxesOf } from "./support/processes.ts";

platformTest("failures", async (platform, step) => {
  await platform.deploy("neighbour", `function handler() { return "fine"; }`);
  const neighbourIsFine = async () => assert.equal(await (await platform.call("neighbour")).text(), `"fine"`);

  async function callAndExplain(name: string, init: RequestInit = {}) {
    const response = await platform.call(name, init);
    const body = await response.json();
    const [execution] = await platform.executions(name);
    await neighbourIsFine();
    return { status: response.status, body, execution };
  }

  await step("a handler that throws: 500, the message to the caller, the stack only in the record", async () => {
    await platform.deploy(
      "throws",
      `interface Row { id: number }\n\nfunction inner(row: Row): never {\n  throw new TypeError("row " + row.id);\n}\nasync function handler() {\n  inner({ id: 7 });\n}`,
    );
    const { status, body, execution } = await callAndExplain("throws");
    assert.equal(status, 500);
    assert.deepEqual([body.error, body.code, "stack" in body], ["row 7", "FUNCTION_ERROR", false]);
    assert.equal(execution.status, "error");
    assert.equal(execution.error, "row 7");
    assert.equal(
      execution.error_stack,
      [
        "TypeError: row 7",
        "    at inner (throws.ts:4:9)",
        "    at Object.handler [as handle] (throws.ts:7:3)",
        "",
        "throws.ts:4:9",
        "  2 |",
        "  3 | function inner(row: Row): never {",
        `> 4 |   throw new TypeError("row " + row.id);`,
        "    |         ^",
        "  5 | }",
        "  6 | async function handler() {",
      ].join("\n"),
    );
  });

  await step("it is the last line of its log, behind what the function said itself", async () => {
    await platform.deploy("tells", `const handler = () => { console.log("before"); throw new Error("then this"); };`);
    const { execution } = await callAndExplain("tells");
    const { body: lines } = await platform.api("GET", "/functions/tells/logs");
    const told = lines.map(({ level, message, execution_id: id }: Record<string, string>) => [level, message, id]);
    assert.deepEqual(told.sort(), [
      ["error", execution.error_stack, execution.id],
      ["info", "before", execution.id],
    ]);
    await platform.deploy("silent", `const handler = () => { throw new Error("x"); };`, {
      disable_execution_logs: true,
    });
    await callAndExplain("silent");
    assert.deepEqual((await platform.api("GET", "/functions/silent/logs")).body, []);
  });

  await step(
    "the lines around the place are those of the file it is in, also behind an await and a package",
    async () => {
      const entry =
        `import { check } from "./rules/check.ts";\nimport { join } from "node:path";\n\nexport default async () => { join("a"); await check(null); };`;
      const check =
        `interface Input { id: number }\n\nexport async function check(input: Input | null) {\n  await new Promise((resolve) => setTimeout(resolve, 1));\n  return input!.id; // Zoë\n}`;
      await platform.deploy("files", entry, { files: { "rules/check.ts": check } });
      const { execution } = await callAndExplain("files");
      assert.match(execution.error_stack, /\n\nrules\/check\.ts:5:\d+\n/);
      assert.match(execution.error_stack, /\n> 5 \| {3}return input!\.id; \/\/ Zoë\n {4}\| +\^\n {2}6 \| }$/);
    },
  );

  await step("a secret in a line of source is masked like in any text", async () => {
    await platform.deploy("masked", `const handler = () => { throw new Error("no " + "hunter2-hunter2"); };`, {
      env: { PASSWORD: "hunter2-hunter2" },
    });
    const { execution } = await callAndExplain("masked");
    assert.match(execution.error_stack, /\n> 1 \| const handler/);
    assert.doesNotMatch(JSON.stringify(execution), /hunter2/);
  });

  await step("a top level that throws: 500 BUNDLE_FAILED with its stack in the record", async () => {
    await platform.deploy("top", `\nthrow new Error("no set-up");\nfunction handler() {}`);
    const { status, body, execution } = await callAndExplain("top");
    assert.equal(status, 500);
    assert.equal(body.code, "BUNDLE_FAILED");
    assert.match(body.error, /no set-up/);
    assert.match(execution.error_stack, /top\.ts:2:7/);
  });

  await step("what cannot be thrown or answered properly is still a clear error", async () => {
    const odd: [string, string, RegExp][] = [
      ["throws-text", `() => { throw "just text"; }`, /^just text$/],
      ["throws-nothing", `() => { throw undefined; }`, /./],
      ["throws-proxy", `() => { throw new Proxy({}, { get() { throw 1; } }); }`, /./],
      ["circular", `() => { const a = {}; a.a = a; return a; }`, /circular/],
      ["bad-status", `() => ({ status: 99, body: "" })`, /status 99: it must be an integer from 200 to 599/],
    ];
    for (const [name, handler, says] of odd) {
      await platform.deploy(name, `const handler = ${handler};`);
      const { status, body } = await callAndExplain(name);
      assert.equal(status, 500, name);
      assert.equal(body.code, "FUNCTION_ERROR", name);
      assert.match(body.error, says, name);
    }
  });

  await step(
    "a header that HTTP does not allow: 502 INVALID_RESPONSE or a failing handler, never a broken answer",
    async () => {
      await platform.deploy(
        "split",
        `function handler() { return { status: 200, headers: { "x-a": "b\\r\\nset-cookie: c=1" }, body: "" }; }`,
      );
      const response = await platform.call("split");
      assert.ok(response.status >= 500);
      assert.equal(response.headers.get("set-cookie"), null);
      await response.body?.cancel();
      await neighbourIsFine();
    },
  );

  await step("time over: 504 WALL_LIMIT, the signal fires, the record says timeout", async () => {
    await platform.deploy(
      "slow",
      `export default { async fetch(req) {
        req.signal.addEventListener("abort", () => console.log("told: " + req.signal.reason.name));
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      } }`,
      { timeout: 0.2 },
    );
    const { status, body, execution } = await callAndExplain("slow");
    assert.equal(status, 504);
    assert.deepEqual([body.code, body.limit], ["WALL_LIMIT", 200]);
    assert.equal(execution.status, "timeout");
    assert.equal(execution.logs, "told: TimeoutError");
  });

  await step("an endless loop is killed at its time, and the next call gets a new sandbox", async () => {
    await platform.deploy("loop", `function handler(req) { if (req.params.spin) for (;;); return "ok"; }`, {
      timeout: 0.5,
    });
    const { status, body } = await callAndExplain("loop/invoke?spin=1");
    assert.equal(status, 504);
    assert.equal(body.code, "WALL_LIMIT");
    assert.equal(await (await platform.call("loop")).text(), `"ok"`);
  });

  await step("a sandbox killed from outside under a request: 502, and the next call gets a new one", async () => {
    await platform.deploy(
      "victim",
      `async function handler(req) {
      if (req.params.wait) await new Promise((resolve) => setTimeout(resolve, 20_000));
      return Deno.pid;
    }`,
    );
    const pid = Number(await (await platform.call("victim")).text());
    assert.ok(sandboxesOf(Deno.pid).includes(pid));
    const waiting = platform.call("victim/invoke?wait=1");
    await new Promise((resolve) => setTimeout(resolve, 200));
    Deno.kill(pid, "SIGKILL");
    const response = await waiting;
    assert.equal(response.status, 502);
    assert.match((await response.json()).error, /SIGKILL/);
    assert.notEqual(Number(await (await platform.call("victim")).text()), pid);
  });

  await step("too much memory: 502 MEMORY_LIMIT names the limit", async () => {
    await platform.deploy(
      "hungry",
      `function handler() { const all = []; for (;;) all.push(new Array(1000).fill({})); }`,
      { memory: 64 },
    );
    const { status, body, execution } = await callAndExplain("hungry");
    assert.equal(status, 502);
    assert.deepEqual([body.code, body.limit], ["MEMORY_LIMIT", 64]);
    assert.equal(execution.status, "killed");
  });

  await step("a response over its limit: 502 before it begins, cut when it has begun", async () => {
    await platform.deploy(
      "wordy",
      `function handler(req) { return new Response("x".repeat(Number(req.params.size))); }`,
      { max_response_bytes: 100_000 },
    );
    assert.equal((await (await platform.call("wordy/invoke?size=100000")).text()).length, 100_000);
    const { status, body } = await callAndExplain("wordy/invoke?size=100001");
    assert.deepEqual([status, body.code, body.limit], [502, "RESPONSE_TOO_LARGE", 100_000]);
    await platform.deploy(
      "gushes",
      `export default () => new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(10_000)); } }))`,
      { max_response_bytes: 100_000 },
    );
    const cut = await platform.call("gushes");
    assert.equal(cut.status, 200);
    await assert.rejects(cut.bytes());
    assert.equal((await platform.executions("gushes"))[0].error_code, "RESPONSE_TOO_LARGE");
  });

  await step("a request body over the limit: 413, announced or not", async () => {
    const limit = (await platform.api("GET", "/limits")).body.requestBodyBytes.value;
    const announced = await platform.call("neighbour", { method: "POST", body: new Uint8Array(limit + 1) });
    assert.equal(announced.status, 413);
    assert.equal((await announced.json()).limit, limit);
    const chunks = new ReadableStream({
      start(controller) {
        for (let sent = 0; sent <= limit; sent += 1_000_000) controller.enqueue(new Uint8Array(1_000_000));
        controller.close();
      },
    });
    await platform.deploy(
      "reads",
      `export default { fetch: async (req) => new Response(String((await req.bytes()).length)) }`,
    );
    const streamed = await platform.call("reads", { method: "POST", body: chunks });
    assert.equal(streamed.status, 413);
    assert.equal((await streamed.json()).code, "BODY_TOO_LARGE");
    const exact = await platform.call("reads", { method: "POST", body: new Uint8Array(limit) });
    assert.equal(await exact.text(), String(limit));
  });

  await step("log lines beyond the limit are cut with a marker, never an error", async () => {
    await platform.deploy(
      "talks",
      `function handler() { for (let i = 0; i < 2000; i++) console.log(i); console.log("x".repeat(100_000)); return 1; }`,
    );
    await platform.deploy("longline", `function handler() { console.log("é".repeat(100_000)); return 1; }`);
    assert.equal(await platform.call("talks").then((response) => response.text()), "1");
    await platform.call("longline").then((response) => response.body?.cancel());
    const [talks] = await platform.executions("talks");
    const lines = talks.logs.split("\n");
    assert.equal(lines.length, 1_001);
    assert.match(lines[1_000], /truncated: more than 1000 lines/);
    const [longLine] = await platform.executions("longline");
    assert.match(longLine.logs, /é \[line truncated at 65536 bytes\]$/);
  });

  await step("work given to waitUntil is finished after the answer", async () => {
    await platform.deploy(
      "background",
      `function handler(req, context) {
        context.waitUntil(new Promise((resolve) => setTimeout(() => { console.log("done later"); resolve(); }, 100)));
        return "at once";
      }`,
    );
    assert.equal(await (await platform.call("background")).text(), `"at once"`);
    assert.equal((await platform.executions("background"))[0].logs, "done later");
  });
});

platformTest("development mode shows the stack to the caller", async (platform) => {
  await platform.deploy("throws", `function handler() { throw new Error("here"); }`);
  const { error, stack } = await (await platform.call("throws")).json();
  assert.equal(error, "here");
  assert.match(stack, /throws\.ts:1:\d+/);
}, { FLUXBASE_DEVELOPMENT: "true" });

platformTest("a pool that is full makes requests wait, and refuses them with Retry-After", async (platform) => {
  await platform.deploy(
    "waits",
    `async function handler() { await new Promise((r) => setTimeout(r, 1500)); return 1; }`,
  );
  await platform.deploy("other", `function handler() { return 1; }`);
  const waiting = platform.call("waits");
  await new Promise((resolve) => setTimeout(resolve, 300));
  const refused = await platform.call("other");
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.equal((await refused.json()).code, "POOL_EXHAUSTED");
  assert.equal(await (await waiting).text(), "1");
  assert.equal(await (await platform.call("other")).text(), "1");
}, {
  FLUXBASE_LIMITS_SANDBOX_COUNT: "1",
  FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0",
  FLUXBASE_LIMITS_WAIT_FOR_SANDBOX_MS: "500",
});

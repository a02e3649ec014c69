/**
 * Versions: what makes one, what is kept of each, going back, and deployments under load.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest } from "./support/platform.ts";

const answering = (text: string) => `export default () => ({ status: 200, body: ${JSON.stringify(text)} });`;
const GOOD_SOURCE = answering("source");
const BROKEN = `export default () => { const = 1; };`;

platformTest("versions are listed, read and rolled back to", async (platform, step) => {
  const say = async () => await (await platform.call("fn")).text();
  await platform.deploy("fn", answering("one"), { timeout: 5 });
  await platform.api("PATCH", "/functions/fn", { code: answering("two"), timeout: 6 });
  await platform.api("PATCH", "/functions/fn", { code: BROKEN });

  await step("a failed build is kept as a version and does not go live", async () => {
    const { body } = await platform.api("GET", "/functions/fn");
    assert.deepEqual([body.version, body.live_version, body.is_bundled], [3, 2, false]);
    assert.match(body.bundle_error, /^fn\.ts:1:30: Unexpected token/);
    assert.equal(body.code, BROKEN);
    assert.equal(await say(), "two");
  });

  await step("the list has no sources, one version has", async () => {
    const { status, body } = await platform.api("GET", "/functions/fn/versions");
    assert.equal(status, 200);
    assert.deepEqual(
      body.map((one: Record<string, unknown>) => [one["version"], one["is_live"], one["is_bundled"], one["timeout"]]),
      [[3, false, false, 6], [2, true, true, 6], [1, false, true, 5]],
    );
    assert.ok(body.every((one: Record<string, unknown>) => !("code" in one)));
    const first = await platform.api("GET", "/functions/default/fn/versions/1");
    assert.deepEqual([first.body.memory, first.body.isolation, first.body.settings_origins.timeout], [
      128,
      "shared",
      "api",
    ]);
    assert.deepEqual([first.body.code, first.body.timeout, first.body.files], [answering("one"), 5, {
      "fn.ts": answering("one"),
    }]);
  });

  await step("rollback makes a version live at once, with its settings", async () => {
    const { status, body } = await platform.api("POST", "/functions/fn/rollback", { version: 1 });
    assert.equal(status, 200);
    assert.deepEqual([body.version, body.live_version, body.timeout, body.code], [1, 1, 5, answering("one")]);
    assert.equal(await say(), "one");
  });

  await step("what comes next starts from there", async () => {
    const { body } = await platform.api("PATCH", "/functions/fn", { memory: 64 });
    assert.deepEqual([body.version, body.live_version, body.code, body.timeout], [4, 4, answering("one"), 5]);
    assert.equal(await say(), "one");
  });

  await step("what cannot be gone back to is told", async () => {
    const answers = await Promise.all([
      platform.api("POST", "/functions/fn/rollback", { version: 3 }),
      platform.api("POST", "/functions/fn/rollback", { version: 99 }),
      platform.api("POST", "/functions/fn/rollback", { version: "1" }),
      platform.api("POST", "/functions/fn/rollback", {}),
      platform.api("POST", "/functions/nothing/rollback", { version: 1 }),
      platform.api("GET", "/functions/fn/versions/99"),
      platform.api("GET", "/functions/fn/versions/x"),
    ]);
    assert.deepEqual(answers.map(({ status, body }) => [status, body.code]), [
      [409, "VERSION_NOT_BUILT"],
      [404, "VERSION_NOT_FOUND"],
      [400, "INVALID_ARGUMENT"],
      [400, "INVALID_ARGUMENT"],
      [404, "FUNCTION_NOT_FOUND"],
      [404, "VERSION_NOT_FOUND"],
      [400, "INVALID_ARGUMENT"],
    ]);
  });

  await step("the same source and settings make no new version", async () => {
    const { body } = await platform.api("PUT", "/functions/fn", { code: answering("one"), memory: 64 });
    assert.equal(body.version, 4);
    const { body: other } = await platform.api("PUT", "/functions/fn", { description: "words", enabled: true });
    assert.deepEqual([other.version, other.description], [4, "words"]);
  });

  await step("a change that names its version is refused once somebody else has changed the function", async () => {
    const { version } = (await platform.api("GET", "/functions/fn")).body;
    const first = await platform.api("PUT", `/functions/fn?if_version=${version}`, { memory: 96 });
    const second = await platform.api("PUT", `/functions/fn?if_version=${version}`, { memory: 100 });
    assert.deepEqual([first.status, second.status, second.body.code, second.body.version], [
      200,
      409,
      "VERSION_CONFLICT",
      version + 1,
    ]);
    assert.equal((await platform.api("GET", "/functions/fn")).body.memory, 96);
    const wrong = await platform.api("PUT", "/functions/fn?if_version=x", { memory: 100 });
    assert.deepEqual([wrong.status, wrong.body.code], [400, "INVALID_ARGUMENT"]);
  });

  await step("functions are listed page by page, and found by their names", async () => {
    for (const [namespace, name] of [["b", "one"], ["b", "Two_x"], ["c", "one"]]) {
      await platform.deploy(name ?? "", answering("x"), { namespace, is_public: name !== "Two_x" });
    }
    const list = async (query: string, key?: string) =>
      (await platform.api("GET", `/functions?${query}`, undefined, key)).body.map(
        (one: { namespace: string; name: string }) => `${one.namespace}/${one.name}`,
      );
    assert.deepEqual(await list(""), ["b/Two_x", "b/one", "c/one", "default/fn"]);
    assert.deepEqual(await list("limit=2"), ["b/Two_x", "b/one"]);
    assert.deepEqual(await list("limit=2&after=b/one"), ["c/one", "default/fn"]);
    assert.deepEqual(await list("text=TWO_"), ["b/Two_x"]);
    assert.deepEqual(await list("text=%25"), []);
    // Who may not see the first one gets a whole page all the same.
    assert.deepEqual(await list("limit=2", platform.anonKey), ["b/one", "c/one"]);
    assert.deepEqual((await platform.api("GET", "/functions?after=x")).body.code, "INVALID_ARGUMENT");
  });
});

platformTest("a version is tried with a share of the calls, beside the live one", async (platform, step) => {
  const { api } = platform;
  const saying = (text: string) =>
    `export default async () => {
    const headers = { authorization: "Bearer " + Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY") };
    const { status } = await fetch(Deno.env.get("FLUXBASE_URL") + "/api/v1/functions", { headers });
    return { status: 200, body: "${text} " + status };
  };`;
  /** Enough that a version with a share of half is never missed. */
  const said = async () => {
    const answers = new Set<string>();
    for (let count = 0; count < 50; count += 1) answers.add(await (await platform.call("fn")).text());
    return [...answers].sort();
  };
  const put = (query: string, change: object) => api("PUT", `/functions/fn${query}`, change);
  const standing = (
    { body }: { body: Record<string, unknown> },
  ) => [body["version"], body["live_version"], body["canary"]];
  await platform.deploy("fn", saying("one"));

  await step("a deployment is tried, with a key of its own, and the live one gets the other calls", async () => {
    assert.deepEqual(standing(await put("?canary=50", { code: saying("two") })), [2, 1, { version: 2, percent: 50 }]);
    assert.deepEqual(await said(), ["one 200", "two 200"]);
    const { body } = await api("GET", "/functions/fn/versions");
    assert.deepEqual(
      body.map((one: Record<string, unknown>) => [one["version"], one["is_live"], one["traffic_percent"]]),
      [[2, false, 50], [1, true, 50]],
    );
    const { body: seen } = await api("GET", "/functions/fn/executions?version=2&limit=1");
    assert.equal(seen[0].version, 2);
  });

  await step("what is called otherwise gets the live one", async () => {
    for (let count = 0; count < 12; count += 1) {
      const { task_id: id } = await (await platform.call("fn", { headers: { prefer: "respond-async" } })).json();
      let task: Record<string, unknown> = {};
      await eventually(async () => (task = (await api("GET", `/tasks/${id}`)).body)["state"] === "done");
      assert.match(JSON.stringify(task["answer"]), /one 200/);
    }
  });

  await step("what is deployed next takes its place, what does not build does not", async () => {
    assert.deepEqual(standing(await put("", { memory: 64 })), [3, 1, { version: 3, percent: 50 }]);
    assert.deepEqual(standing(await put("", { code: BROKEN })), [4, 1, { version: 3, percent: 50 }]);
    assert.deepEqual(standing(await put("?canary=60", { code: saying("three") })), [5, 1, { version: 5, percent: 60 }]);
    assert.deepEqual(await said(), ["one 200", "three 200"]);
  });

  await step("it is given all calls, or none", async () => {
    assert.deepEqual(standing(await api("POST", "/functions/fn/rollback", { version: 5 })), [5, 5, null]);
    assert.deepEqual(await said(), ["three 200"]);
    const older = await api("PUT", "/functions/fn/canary", { version: 1, percent: 50 });
    assert.deepEqual(standing(older), [5, 5, { version: 1, percent: 50 }]);
    assert.deepEqual(await said(), ["one 200", "three 200"]);
    assert.deepEqual(standing(await api("DELETE", "/functions/fn/canary")), [5, 5, null]);
    assert.deepEqual(await said(), ["three 200"]);
    await api("PUT", "/functions/fn/canary", { version: 1, percent: 99 });
    assert.deepEqual(standing(await put("", { code: saying("four") })), [6, 6, null]);
  });

  await step("what cannot be tried is told, and who may not change it is refused", async () => {
    const refused = async (body: unknown, key?: string) => {
      const { status, body: answer } = await api("PUT", "/functions/fn/canary", body, key);
      return [status, answer.code];
    };
    for (
      const body of [{ version: 1 }, { version: 1, percent: 0 }, { version: 1, percent: 100 }, {
        version: 6,
        percent: 5,
      }]
    ) {
      assert.deepEqual(await refused(body), [400, "INVALID_ARGUMENT"], JSON.stringify(body));
    }
    assert.deepEqual(await refused({ version: 4, percent: 5 }), [409, "VERSION_NOT_BUILT"]);
    assert.deepEqual(await refused({ version: 99, percent: 5 }), [404, "VERSION_NOT_FOUND"]);
    assert.deepEqual(await refused({ version: 1, percent: 5 }, await platform.mintKey(["functions:read"])), [
      403,
      "FORBIDDEN",
    ]);
    assert.equal((await put("?canary=100", { code: saying("five") })).body.code, "INVALID_ARGUMENT");
    assert.deepEqual(standing(await api("GET", "/functions/fn")), [6, 6, null]);
  });
});

platformTest("new versions, broken ones and rollbacks under load: no request fails", async (platform) => {
  await platform.deploy("fn", answering("v1"), { allow_unauthenticated: true });
  let isOver = false;
  let count = 0;
  const seen = new Set<string>();
  const load = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const response = await platform.call("fn");
      const text = await response.text();
      assert.equal(response.status, 200, text);
      seen.add(text);
      count += 1;
    }
  });
  for (let round = 2; round <= 8; round += 1) {
    const { body } = await platform.api("PATCH", "/functions/fn", {
      code: round % 2 === 0 ? BROKEN : answering(`v${round}`),
    });
    assert.equal(body.version, round);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal((await platform.api("POST", "/functions/fn/rollback", { version: 1 })).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 100));
  isOver = true;
  await Promise.all(load);
  assert.ok(count > 50);
  assert.deepEqual([...seen].sort(), ["v1", "v3", "v5", "v7"]);
});

platformTest("two deployments of one function at once are both stored, the later one is live", async (platform) => {
  await platform.deploy("fn", answering("start"));
  const texts = Array.from({ length: 6 }, (_, index) => `at once ${index}`);
  const answers = await Promise.all(
    texts.map((text) => platform.api("PATCH", "/functions/fn", { code: answering(text) })),
  );
  assert.ok(answers.every(({ status }) => status === 200));
  const { body } = await platform.api("GET", "/functions/fn/versions");
  assert.deepEqual(body.map(({ version }: { version: number }) => version), [7, 6, 5, 4, 3, 2, 1]);
  const { body: live } = await platform.api("GET", "/functions/fn");
  assert.equal(live.live_version, 7);
  await eventually(async () =>
    `export default () => ({ status: 200, body: ${JSON.stringify(await (await platform.call("fn")).text())} });` ===
      live.code
  );
});

platformTest("functions of several files, and those that come bundled", async (platform, step) => {
  await step("files beside the entry", async () => {
    const files = {
      "index.ts":
        `import { greet } from "./greet.ts"; import { names } from "./lib/names.ts"; async function handler(req) { return { body: greet(names[0]), status: 200 }; }`,
      "greet.ts": `export const greet = (name: string): string => "Hello " + name;`,
      "lib/names.ts": `export const names: string[] = ["Zoë"];`,
    };
    const { status, body } = await platform.api("POST", "/functions?strict=true", { name: "many", files });
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual([body.files, body.code], [files, files["index.ts"]]);
    assert.equal(await (await platform.call("many")).text(), "Hello Zoë");
    // A change of the entry alone keeps the others.
    await platform.api("PATCH", "/functions/many?strict=true", {
      code: `import { greet } from "./greet.ts"; export default () => ({ status: 200, body: greet("again") });`,
    });
    assert.equal(await (await platform.call("many")).text(), "Hello again");
  });

  await step("stacks name the file and the line", async () => {
    const { body } = await platform.api("POST", "/functions?strict=true", {
      name: "throws",
      files: {
        "index.ts": `import { fail } from "./lib/fail.ts";\n\nexport default () => fail("x");`,
        "lib/fail.ts": `// line one\nexport function fail(text: string): never {\n  throw new Error(text);\n}`,
      },
    });
    assert.equal(body.bundle_error, null);
    await (await platform.call("throws")).body?.cancel();
    const [execution] = await platform.executions("throws");
    assert.match(execution.error_stack, /at fail \(lib\/fail\.ts:3:\d+\)\n.*index\.ts:3:\d+/);
  });

  await step("an entry that is missing is told", async () => {
    const { status, body } = await platform.api("POST", "/functions", {
      name: "lost",
      files: { "a.ts": "", "b.ts": "" },
    });
    assert.equal(status, 400);
    assert.match(body.error, /"files" has no entry/);
  });

  await step("a bundle that was made elsewhere is used as it is, and shown with its source", async () => {
    const original_code = `import { z } from "npm:zod"; export default () => "source";`;
    const { status, body } = await platform.api("POST", "/functions?strict=true", {
      name: "bundled",
      code: `export default () => "bundle";`,
      original_code,
      is_pre_bundled: true,
    });
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual([body.code, body.original_code, body.is_bundled], [original_code, original_code, true]);
    assert.equal(await (await platform.call("bundled")).json(), "bundle");
    const { body: changed } = await platform.api("PATCH", "/functions/bundled?strict=true", { timeout: 3 });
    assert.deepEqual([changed.version, changed.code], [2, original_code]);
    assert.equal(await (await platform.call("bundled")).json(), "bundle");
    const refused = await platform.api("POST", "/functions?strict=true", {
      name: "unbundled",
      code: `import { z } from "npm:zod@3.22.4"; export default () => z;`,
      is_pre_bundled: true,
    });
    assert.equal(refused.status, 422);
    assert.match(refused.body.error, /already bundled and still has imports/);
  });

  await step("a bundle may be larger than a source file, up to the size of all files of a function", async () => {
    const large = (bytes: number) =>
      platform.api("POST", "/functions", {
        name: `large-${bytes}`,
        code: `export default () => "bundle"; //${"x".repeat(bytes)}`,
        original_code: GOOD_SOURCE,
        is_pre_bundled: true,
      });
    assert.equal((await large(2_000_000)).status, 201);
    assert.equal(await (await platform.call("large-2000000")).json(), "bundle");
    const refused = await large(5_300_000);
    assert.equal(refused.status, 413);
    assert.match(refused.body.error, /bytes, and at most 5242880/);
  });
});

/**
 * Managing functions: what is accepted, what is refused and how, versions, and failed builds.
 *
 * @module
 */
import assert from "node:assert/strict";
import { purgeFunctions } from "../src/storage/functions.ts";
import { platformTest } from "./support/platform.ts";

const DAY_MS = 86_400_000;
const GOOD = `function handler() { return "good"; }`;

platformTest("bad input to the control plane", async (platform, step) => {
  await platform.deploy("there", GOOD);
  const { api } = platform;

  interface Case {
    readonly name: string;
    readonly send: readonly [method: string, path: string, body?: unknown];
    readonly status: number;
    readonly code: string;
    /** Must be in the sentence. */
    readonly says: RegExp;
  }
  const tenMegabytes = `{"name": "big", "code": "${"a".repeat(10_000_000)}"}`;
  const create = (fields: object) => ["POST", "/functions", { name: "fresh", code: GOOD, ...fields }] as const;
  const cases: readonly Case[] = [
    { name: "no body", send: ["POST", "/functions"], status: 400, code: "INVALID_JSON", says: /empty/ },
    {
      name: "invalid JSON",
      send: ["POST", "/functions", `{"a": 1,}`],
      status: 400,
      code: "INVALID_JSON",
      says: /position 8/,
    },
    {
      name: "a list",
      send: ["POST", "/functions", []],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /must be a JSON object/,
    },
    {
      name: "null",
      send: ["POST", "/functions", "null"],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /must be a JSON object/,
    },
    {
      name: "empty object",
      send: ["POST", "/functions", {}],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"name" is missing; "code" is missing/,
    },
    {
      name: "empty code",
      send: create({ code: "" }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"code" must not be empty/,
    },
    {
      name: "wrong types",
      send: create({ name: 5, enabled: "yes", timeout: "30s", env: { A: 1 } }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"name" must be a string, not a number.*"enabled" must be a boolean.*"timeout" must be a number.*"env"/,
    },
    {
      name: "unknown fields",
      send: create({ colour: 1, permissions: { exec: true } }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /unknown field "permissions.exec".*unknown field "colour"/,
    },
    {
      name: "__proto__ as field",
      send: ["POST", "/functions", `{"name": "x", "code": "x", "__proto__": {"a": 1}}`],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /unknown field "__proto__"/,
    },
    {
      name: "__proto__ in env",
      send: ["POST", "/functions", `{"name": "x", "code": "x", "env": {"__proto__": "1"}}`],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"env.__proto__" is no name/,
    },
    {
      name: "10 MB",
      send: ["POST", "/functions", tenMegabytes],
      status: 413,
      code: "BODY_TOO_LARGE",
      says: /larger than 8388608 bytes/,
    },
    {
      name: "source over 1 MB",
      send: create({ code: `//${"a".repeat(1_100_000)}` }),
      status: 413,
      code: "BODY_TOO_LARGE",
      says: /fresh\.ts" has 1100002 bytes, and at most 1048576/,
    },
    {
      name: "NUL in the code",
      send: create({ code: `${GOOD}\0` }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"code" must not contain NUL/,
    },
    {
      name: "half a character",
      send: ["POST", "/functions", `{"name": "x", "code": "\\ud800"}`],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /unpaired surrogates/,
    },
    ...["../x", "a b", "", "__proto__", "a".repeat(200), "-x", "ünï", "x/y", "index", "executions"].map((
      name,
    ): Case => ({
      name: `name ${JSON.stringify(name.slice(0, 20))}`,
      send: create({ name }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /is no function name: it (must be 1 to 63 letters|is reserved)/,
    })),
    ...["a//b.ts", "a/", "/etc/passwd", "../../x.ts", "a/./b.ts", "a b.ts"].map((path): Case => ({
      name: `file ${path}`,
      send: create({ files: { [path]: "export {};" } }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /is no path for a file: it must be relative, and stay in the function's folder/,
    })),
    {
      name: "a file that is a folder too",
      send: create({ files: { "lib": "export {};", "lib/a.ts": "export {};" } }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"files.lib" is a file and a folder/,
    },
    {
      name: "WebAssembly that is not base64",
      send: create({ files: { "add.wasm": "\u00e4" } }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"files.add.wasm" must be base64/,
    },
    {
      name: "two namespaces",
      send: ["POST", "/functions?namespace=team-a", { name: "fresh", code: GOOD, namespace: "team-b" }],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /team-a.*team-b|team-b.*team-a/,
    },
    {
      name: "restoring what was never deleted",
      send: ["POST", "/functions/there/restore"],
      status: 404,
      code: "FUNCTION_NOT_FOUND",
      says: /Deleted function "there" not found in namespace "default": deletions are kept for 30 days/,
    },
    {
      name: "bad namespace",
      send: create({ namespace: "a/b" }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"a\/b" is no namespace/,
    },
    {
      name: "timeout of a year",
      send: create({ timeout: 31_536_000 }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"timeout" is 31536000: it must be from 0\.001 to 60 seconds/,
    },
    {
      name: "memory of a byte",
      send: create({ memory: 0.5 }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"memory" is 0\.5: it must be a whole number.*from 32 to 1024 MB/,
    },
    {
      name: "two timeouts",
      send: create({ timeout: 1, timeout_seconds: 2 }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /send one of the two/,
    },
    {
      name: "bad origin",
      send: create({ cors_origins: "app.example.com" }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"cors_origins" has "app\.example\.com"/,
    },
    {
      name: "bad schedule",
      send: create({ cron_schedule: "0 25 * * *" }),
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"cron_schedule" has "25" as hour.*\(at character 3\)/,
    },
    {
      name: "name taken",
      send: create({ name: "there" }),
      status: 409,
      code: "ALREADY_EXISTS",
      says: /PUT \/api\/v1\/functions\/there/,
    },
    {
      name: "rename",
      send: ["PUT", "/functions/there", { name: "elsewhere" }],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /cannot change/,
    },
    {
      name: "unknown function",
      send: ["GET", "/functions/nowhere"],
      status: 404,
      code: "FUNCTION_NOT_FOUND",
      says: /"nowhere" not found/,
    },
    {
      name: "update unknown",
      send: ["PUT", "/functions/nowhere", {}],
      status: 404,
      code: "FUNCTION_NOT_FOUND",
      says: /"nowhere" not found/,
    },
    {
      name: "delete unknown",
      send: ["DELETE", "/functions/nowhere"],
      status: 404,
      code: "FUNCTION_NOT_FOUND",
      says: /"nowhere" not found/,
    },
    {
      name: "executions of unknown",
      send: ["GET", "/functions/nowhere/executions"],
      status: 404,
      code: "FUNCTION_NOT_FOUND",
      says: /"nowhere" not found/,
    },
    {
      name: "NUL in a path",
      send: ["GET", "/functions/a%00b"],
      status: 404,
      code: "FUNCTION_NOT_FOUND",
      says: /not found/,
    },
    {
      name: "__proto__ as path",
      send: ["GET", "/functions/__proto__"],
      status: 404,
      code: "FUNCTION_NOT_FOUND",
      says: /not found/,
    },
    {
      name: "wrong method",
      send: ["DELETE", "/functions"],
      status: 405,
      code: "METHOD_NOT_ALLOWED",
      says: /it takes GET, POST/,
    },
    {
      name: "limit 0",
      send: ["GET", "/functions/there/executions?limit=0"],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"limit" must be an integer from 1 to 1000/,
    },
    {
      name: "odd instant",
      send: ["GET", "/functions/there/logs?since=yesterday"],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"since" must be an instant/,
    },
    {
      name: "odd status",
      send: ["GET", "/functions/there/executions?status=fine"],
      status: 400,
      code: "INVALID_ARGUMENT",
      says: /"status" must be one of running, success/,
    },
    {
      name: "unknown execution",
      send: ["GET", "/admin/functions/executions/%00/logs"],
      status: 404,
      code: "EXECUTION_NOT_FOUND",
      says: /not found/,
    },
  ];
  for (const { name, send: [method, path, body], status, code, says } of cases) {
    await step(name, async () => {
      const answer = await api(method, path, body);
      assert.equal(answer.status, status, JSON.stringify(answer.body).slice(0, 300));
      assert.equal(answer.body.code, code);
      assert.match(answer.body.error, says);
      assert.equal(answer.body.request_id, answer.headers.get("x-request-id"));
    });
  }

  await step("invalid UTF-8", async () => {
    const response = await fetch(`${platform.url}/api/v1/functions`, {
      method: "POST",
      headers: { authorization: `Bearer ${platform.serviceKey}` },
      body: new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]),
    });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error, /not valid UTF-8/);
  });

  await step("an unknown path names itself", async () => {
    const response = await fetch(`${platform.url}/nowhere/at/all?x=1`);
    assert.equal(response.status, 404);
    const { error, path } = await response.json();
    assert.deepEqual({ error, path }, { error: "Not Found", path: "/nowhere/at/all" });
  });

  await step("nothing of it was stored, and nothing was logged as a failure of the server", async () => {
    assert.equal((await api("GET", "/functions")).body.length, 1);
    assert.deepEqual(platform.logLines.filter((line) => / error /.test(line)), []);
  });
});

platformTest("the life of a function", async (platform, step) => {
  const { api } = platform;
  const answerOf = async (name: string) => await (await platform.call(name)).text();

  await step("a source that does not build is stored, says where, and answers 500 with the reason", async () => {
    const { status, body } = await api("POST", "/functions", {
      name: "draft",
      code: "// first line\nasync function handler( {\n}",
    });
    assert.equal(status, 201);
    assert.equal(body.is_bundled, false);
    assert.equal(body.live_version, null);
    assert.match(body.bundle_error, /^draft\.ts:\d+:\d+: .+\n {4}.+/);
    assert.equal(body.bundle_problems[0].file, "draft.ts");
    assert.equal(typeof body.bundle_problems[0].line, "number");
    const call = await platform.call("draft");
    assert.equal(call.status, 500);
    const error = await call.json();
    assert.equal(error.code, "BUNDLE_FAILED");
    assert.equal(error.problems[0].file, "draft.ts");
  });

  await step("a missing handler is named at create; strict refuses and stores nothing", async () => {
    const { body } = await api("POST", "/functions", { name: "empty", code: "export const x = 1;" });
    assert.match(body.bundle_error, /Cannot find a handler/);
    const strict = await api("POST", "/functions?strict=true", { name: "refused", code: "const a = ;" });
    assert.equal(strict.status, 422);
    assert.equal(strict.body.code, "BUNDLE_REJECTED");
    assert.deepEqual(strict.body.problems[0], {
      message: "Unexpected token",
      file: "refused.ts",
      line: 1,
      column: 11,
      snippet: "const a = ;",
    });
    assert.equal((await api("GET", "/functions/refused")).status, 404);
  });

  await step("a new version answers from the next call on", async () => {
    await platform.deploy("grows", `function handler() { return 1; }`);
    assert.equal(await answerOf("grows"), "1");
    const { body } = await api("PUT", "/functions/grows", { code: `function handler() { return 2; }` });
    assert.deepEqual([body.version, body.live_version], [2, 2]);
    assert.equal(await answerOf("grows"), "2");
  });

  await step("a failed build does not replace the version that works", async () => {
    const { body } = await api("PUT", "/functions/grows", { code: "function handler( {" });
    assert.deepEqual([body.version, body.live_version], [3, 2]);
    assert.equal(body.code, "function handler( {");
    assert.equal(await answerOf("grows"), "2");
  });

  await step("the same source and settings make no new version", async () => {
    const before = await api("PUT", "/functions/grows", { code: `function handler() { return 4; }`, env: { A: "1" } });
    const after = await api("PUT", "/functions/grows", { code: `function handler() { return 4; }`, env: { A: "1" } });
    assert.equal(before.body.version, 4);
    assert.equal(after.body.version, 4);
    assert.equal((await api("PATCH", "/functions/grows", { env: { A: "2" } })).body.version, 5);
  });

  await step("an update keeps what it does not name", async () => {
    await api("PATCH", "/functions/grows", { timeout: 5, memory: 64, cors_origins: ["https://app.example.com"] });
    const { body } = await api("PATCH", "/functions/grows", { description: "counts" });
    assert.equal(body.timeout, 5);
    assert.equal(body.memory_limit_mb, 64);
    assert.deepEqual(body.cors_origins, ["https://app.example.com"]);
    assert.deepEqual(body.env, ["A"]);
    const code = `function handler() { return [Deno.env.get("A"), Deno.env.get("B")].join(); }`;
    assert.equal((await api("POST", "/functions", { name: "varies", code, env: { A: "1", B: "2" } })).status, 201);
    const seen = async () => await (await platform.call("varies")).text();
    assert.equal(await seen(), `"1,2"`);
    const changed = await api("PUT", "/functions/varies", { env_changes: { A: "one", C: "3" } });
    assert.deepEqual([changed.body.env, await seen()], [["A", "B", "C"], `"one,2"`]);
    const fewer = await api("PATCH", "/functions/varies", { env_changes: { A: null, C: null } });
    assert.deepEqual([fewer.body.env, await seen()], [["B"], `",2"`]);
    for (const wrong of [{ "1A": "x" }, { A: 1 }, [], { A: "\0" }]) {
      assert.equal((await api("PUT", "/functions/varies", { env_changes: wrong })).body.code, "INVALID_ARGUMENT");
    }
    assert.equal(body.description, "counts");
    assert.equal((await api("PATCH", "/functions/grows", { cors_origins: null })).body.cors_origins, null);
  });

  await step("two updates at once are both kept", async () => {
    await Promise.all([
      api("PATCH", "/functions/grows", { timeout: 7 }),
      api("PATCH", "/functions/grows", { memory: 96 }),
      api("PATCH", "/functions/grows", { cors_max_age: 60 }),
      api("PATCH", "/functions/grows", { allow_net: false }),
    ]);
    const { body } = await api("GET", "/functions/grows");
    assert.deepEqual([body.timeout, body.memory, body.cors_max_age, body.allow_net], [7, 96, 60, false]);
  });

  await step("disabled functions answer 403 until enabled again", async () => {
    await api("PATCH", "/functions/grows", { enabled: false });
    const refused = await platform.call("grows");
    assert.equal(refused.status, 403);
    assert.equal((await refused.json()).code, "FUNCTION_DISABLED");
    await api("PATCH", "/functions/grows", { enabled: true });
    assert.equal(await answerOf("grows"), "4");
  });

  await step("null takes a setting away, and is nothing where there is nothing to take", async () => {
    const fields = { timeout: 5, memory: 64, allow_net: false, is_public: false, isolation: "request", code: null };
    await api("PATCH", "/functions/grows", { ...fields, env: { KEPT: "1" } });
    const { status, body } = await api("PATCH", "/functions/grows", {
      ...Object.fromEntries(Object.keys(fields).map((name) => [name, null])),
      ...{ env: null, files: null, enabled: null, permissions: null, namespace: null, is_bundled: null },
    });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(
      [body.timeout, body.memory, body.allow_net, body.is_public, body.isolation, body.env, body.enabled],
      [30, 128, true, true, "shared", ["KEPT"], true],
    );
    assert.equal(body.settings_origins.timeout, "default");
    assert.equal(await answerOf("grows"), "4");
  });

  await step("a deletion is taken back with all versions, unless the name is taken", async () => {
    await platform.deploy("back", `function handler() { return 1; }`);
    await api("PATCH", "/functions/back", { code: `function handler() { return 2; }` });
    await api("DELETE", "/functions/back");
    assert.equal((await platform.call("back")).status, 404);
    await platform.deploy("back", `function handler() { return "other"; }`);
    const taken = await api("POST", "/functions/back/restore");
    assert.deepEqual([taken.status, taken.body.code], [409, "ALREADY_EXISTS"]);
    await api("DELETE", "/functions/back");
    // The latest deletion comes first, then the one before.
    assert.equal((await api("POST", "/functions/back/restore")).body.version, 1);
    assert.equal(await answerOf("back"), `"other"`);
  });

  await step("after 30 days deleted functions and their versions are gone for good", async () => {
    for (const [name, daysAgo] of [["long-gone", 31], ["gone", 29]] as const) {
      await platform.deploy(name, GOOD);
      await api("DELETE", `/functions/${name}`);
      await platform.db.updateTable("fluxbase.functions").set({ deleted_at: new Date(Date.now() - daysAgo * DAY_MS) })
        .where("name", "=", name).execute();
    }
    assert.equal(await purgeFunctions(platform.db, 30), 1);
    assert.equal((await api("POST", "/functions/long-gone/restore")).status, 404);
    assert.equal((await api("POST", "/functions/gone/restore")).status, 200);
  });

  await step("a deleted function is gone, and its name is free", async () => {
    const gone = await api("DELETE", "/functions/grows");
    assert.equal(gone.status, 204);
    assert.equal(gone.headers.get("content-type"), null);
    const call = await platform.call("grows");
    assert.equal(call.status, 404);
    assert.equal((await call.json()).code, "FUNCTION_NOT_FOUND");
    await platform.deploy("grows", `function handler() { return "again"; }`);
    assert.equal(await answerOf("grows"), `"again"`);
  });

  await step("functions of one name live in several namespaces", async () => {
    await platform.deploy("twin", `function handler() { return "a"; }`);
    await platform.deploy("twin", `function handler() { return "b"; }`, { namespace: "team-b" });
    assert.equal(await answerOf("twin"), `"a"`);
    assert.equal(await answerOf("team-b/twin"), `"b"`);
    assert.equal(await answerOf("twin/invoke?namespace=team-b"), `"b"`);
    assert.equal((await api("GET", "/functions?namespace=team-b")).body.length, 1);
    assert.deepEqual((await api("GET", "/admin/functions/namespaces")).body.namespaces, ["default", "team-b"]);
    assert.equal((await api("GET", "/functions/team-b/twin/")).body.namespace, "team-b");
    assert.equal((await api("DELETE", "/functions/twin?namespace=team-b")).status, 204);
    assert.equal(await answerOf("twin"), `"a"`);
  });
});

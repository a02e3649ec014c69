/**
 * Many functions in one call: what is created, updated, left and deleted, what is only tried, and what fails.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually, platformTest, withTestPlatform } from "./support/platform.ts";

const answering = (text: string) => `export default () => ({ status: 200, body: ${JSON.stringify(text)} });`;

platformTest("sync", async (platform, step) => {
  const sync = (body: Record<string, unknown>) => platform.api("POST", "/admin/functions/sync", body);
  const names = async (namespace = "default") =>
    (await platform.api("GET", `/functions?namespace=${namespace}`)).body.map(({ name }: { name: string }) => name);

  await step("the guide's call", async () => {
    const { status, body } = await sync({
      namespace: "default",
      functions: [{ name: "fn1", code: answering("1") }, { name: "fn2", code: answering("2") }],
      delete_missing: false,
      dry_run: false,
    });
    assert.equal(status, 200);
    assert.deepEqual(body.summary, { created: 2, updated: 0, deleted: 0, unchanged: 0, errors: 0 });
    assert.deepEqual(body.details, { created: ["fn1", "fn2"], updated: [], deleted: [], unchanged: [] });
    assert.deepEqual([body.namespace, body.errors, body.dry_run], ["default", [], false]);
    assert.equal(await (await platform.call("fn2")).text(), "2");
  });

  await step("again: unchanged; a change: updated; settings and env count", async () => {
    const functions = [
      { name: "fn1", code: answering("1") },
      { name: "fn2", code: answering("2b") },
      { name: "fn3", code: answering("3"), env: { A: "1" }, timeout: 3 },
    ];
    assert.deepEqual((await sync({ functions })).body.details, {
      created: ["fn3"],
      updated: ["fn2"],
      deleted: [],
      unchanged: ["fn1"],
    });
    assert.equal((await sync({ functions })).body.summary.unchanged, 3);
    const other = [...functions.slice(0, 2), { ...functions[2], env: { A: "2" } }];
    assert.deepEqual((await sync({ functions: other })).body.details.updated, ["fn3"]);
    // What is not sent stays: a list from a repository does not know of secrets.
    const bare = [...functions.slice(0, 2), { name: "fn3", code: answering("3") }];
    assert.equal((await sync({ functions: bare })).body.summary.unchanged, 3);
  });

  await step("a dry run says the same and stores nothing", async () => {
    const request = {
      functions: [
        { name: "fn1", code: answering("other") },
        { name: "new", code: answering("new") },
        { name: "broken", code: "export default () => { const = 1; };" },
      ],
      options: { delete_missing: true, dry_run: true },
    };
    const { body } = await sync(request);
    assert.deepEqual([body.dry_run, body.details], [true, {
      created: ["new"],
      updated: ["fn1"],
      deleted: ["fn2", "fn3"],
      unchanged: [],
    }]);
    assert.deepEqual(body.errors.map((error: Record<string, unknown>) => [error["name"], error["action"]]), [[
      "broken",
      "create",
    ]]);
    assert.match(body.errors[0].error, /^broken\.ts:1:30: Unexpected token/);
    assert.deepEqual(await names(), ["fn1", "fn2", "fn3"]);
    assert.equal(await (await platform.call("fn1")).text(), "1");
  });

  await step("what fails is listed and stops nothing else", async () => {
    const { status, body } = await sync({
      functions: [
        { name: "fn1", code: answering("1") },
        { name: "no name", code: "x" },
        { code: "x" },
        { name: "fn2", code: answering("2c"), timeout: 1e9 },
        { name: "fn3", code: answering("3"), namespace: "elsewhere" },
        { name: "good", code: answering("good") },
        { name: "good", code: answering("twice") },
        { name: "unbuilt", code: "export default () => { const = 1; };" },
        "nonsense",
        null,
      ],
      delete_missing: true,
    });
    assert.equal(status, 200);
    assert.deepEqual(body.summary, { created: 1, updated: 0, deleted: 0, unchanged: 1, errors: 8 });
    assert.deepEqual(body.errors.map(({ name }: { name: string }) => name).sort(), [
      "fn2",
      "fn3",
      "functions[2]",
      "functions[8]",
      "functions[9]",
      "good",
      "no name",
      "unbuilt",
    ]);
    // The broken one is kept with its error, and is an error again the next time.
    assert.match((await platform.api("GET", "/functions/unbuilt")).body.bundle_error, /Unexpected token/);
    const again = await sync({ functions: [{ name: "unbuilt", code: "export default () => { const = 1; };" }] });
    assert.deepEqual([again.body.summary.errors, again.body.summary.unchanged], [1, 0]);
    assert.equal((await platform.api("GET", "/functions/unbuilt")).body.version, 1);
  });

  await step("delete_missing deletes in its namespace only", async () => {
    await platform.deploy("other", answering("o"), { namespace: "team-a" });
    const { body } = await sync({ functions: [{ name: "fn1", code: answering("1") }], delete_missing: true });
    assert.deepEqual(body.details.deleted, ["fn2", "fn3", "good", "unbuilt"]);
    assert.deepEqual([await names(), await names("team-a")], [["fn1"], ["other"]]);
    const emptied = await sync({ namespace: "team-a", functions: [], delete_missing: true });
    assert.deepEqual([emptied.body.details.deleted, await names("team-a")], [["other"], []]);
  });

  await step("functions with imports and annotations", async () => {
    await platform.api("POST", "/functions/shared", {
      module_path: "_shared/x.ts",
      content: `export const x = "shared";`,
    });
    const { body } = await sync({
      functions: [{
        name: "uses",
        code:
          `// @fluxbase:allow-unauthenticated\n// @fluxbase:timeot 3\nimport { x } from "_shared/x.ts"; export default () => x;`,
      }],
    });
    assert.equal(body.summary.created, 1);
    assert.match(body.warnings[0], /^uses: uses\.ts:2: @fluxbase:timeot is not an annotation/);
    assert.equal(await (await fetch(`${platform.url}/api/v1/functions/uses/invoke`)).json(), "shared");
  });

  await step("bad requests, and who may", async () => {
    for (
      const [body, says] of [
        [{}, /"functions"/],
        [{ functions: {} }, /"functions"/],
        [{ functions: [], extra: 1 }, /unknown field "extra"/],
        [{ functions: [], namespace: "a b" }, /is no namespace/],
        [{ functions: [], options: { what: true } }, /"what"/],
      ] as const
    ) {
      const answer = await sync(body);
      assert.equal(answer.status, 400, JSON.stringify(body));
      assert.match(answer.body.error, says);
    }
    const key = await platform.mintKey(["functions:*"]);
    for (const [given, status] of [[key, 403], [platform.anonKey, 403], [null, 401]] as const) {
      const answer = await platform.api("POST", "/admin/functions/sync", { functions: [] }, given);
      assert.equal(answer.status, status);
    }
    const reload = await platform.api("POST", "/admin/functions/reload");
    assert.deepEqual([reload.status, reload.body.code], [400, "INVALID_ARGUMENT"]);
  });
});

platformTest("300 functions in one call; another server on the same database follows", async (platform) => {
  const functions = Array.from({ length: 300 }, (_, index) => ({ name: `fn-${index}`, code: answering(`${index}`) }));
  await withTestPlatform(async (other) => {
    const sync = (list: typeof functions, more = {}) =>
      platform.api("POST", "/admin/functions/sync", { functions: list, ...more });
    assert.deepEqual((await sync(functions)).body.summary, {
      created: 300,
      updated: 0,
      deleted: 0,
      unchanged: 0,
      errors: 0,
    });
    const says = async (name: string) => await (await other.call(name)).text();
    await eventually(async () => await says("fn-0") === "0" && await says("fn-299") === "299");
    assert.equal((await sync(functions)).body.summary.unchanged, 300);

    // What one server does, the other serves: versions, rollback, shared modules, an end.
    await platform.api("PATCH", "/functions/fn-7", { code: answering("changed") });
    await eventually(async () => await says("fn-7") === "changed");
    await other.api("POST", "/functions/fn-7/rollback", { version: 1 });
    await eventually(async () => await (await platform.call("fn-7")).text() === "7");
    await other.api("POST", "/functions/shared", { module_path: "_shared/x.ts", content: `export const x = "one";` });
    await platform.deploy("uses", `import { x } from "_shared/x.ts"; export default () => ({ status: 200, body: x });`);
    await eventually(async () => await says("uses") === "one");
    await other.api("PUT", "/functions/shared/x.ts", { content: `export const x = "two";` });
    await eventually(async () => await (await platform.call("uses")).text() === "two" && await says("uses") === "two");
    assert.equal((await sync([], { delete_missing: true })).body.summary.deleted, 301);
    await eventually(async () => (await other.call("fn-0")).status === 404);
  }, { DATABASE_URL: platform.databaseUrl.reveal() });
});

/**
 * The functions folder and the database, when both change: no saving is lost, undone, or lands in another namespace.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { answering, filesTest, read, say, write } from "./support/functions_dir.ts";
import { eventually, type TestPlatform } from "./support/platform.ts";

const reload = async (platform: TestPlatform) => {
  const { status, body } = await platform.api("POST", "/admin/functions/reload");
  assert.equal(status, 200);
  return body;
};
const exists = (dir: string, path: string) => Deno.lstat(join(dir, path)).then(() => true, () => false);
const places = async (platform: TestPlatform) =>
  (await platform.api("GET", "/functions")).body.map((fn: { namespace: string; name: string }) =>
    `${fn.namespace}/${fn.name}`
  ).sort();
const inTeam = (team: string, text: string) => `// @fluxbase:namespace ${team}\n${answering(text)}`;

filesTest("a key of one namespace gets at no other through the folder", {
  "pay.ts": answering("pay"),
}, async (platform, dir) => {
  await platform.deploy("pay", answering("team-b's"), { namespace: "team-b", env: { TOKEN: "theirs" } });
  const ofDefault = await platform.mintKey(["functions:*"], ["default"]);
  const taking = inTeam("team-b", "taken");
  assert.equal((await platform.api("PATCH", "/functions/pay", { code: taking }, ofDefault)).status, 200);
  await reload(platform);
  assert.equal(await say(platform, "team-b/pay"), "team-b's");
  assert.equal(await say(platform, "pay"), "taken");
  assert.ok(!await exists(dir, "pay.ts"));

  // The other way round: a file of team-a that says so no more.
  await write(dir, { "n.ts": inTeam("team-a", "n") });
  await reload(platform);
  const ofTeam = await platform.mintKey(["functions:*"], ["team-a"]);
  for (
    const code of [
      answering("fallen into default"),
      `${answering("two")}\n// @fluxbase:namespace team-a\n// @fluxbase:namespace default`,
      `export default () => "@fluxbase:namespace team-a";`,
      `export default () => { const = 1; };\n// @fluxbase:namespace default`,
    ]
  ) {
    assert.equal((await platform.api("PATCH", "/functions/team-a/n", { code }, ofTeam)).status, 200);
    await reload(platform);
    assert.deepEqual(await places(platform), ["default/pay", "team-a/n", "team-b/pay"]);
  }
});

filesTest("a syntax error does not move a function to another namespace", {
  "n.ts": `/** @fluxbase:namespace team-a */\n${answering("n")}`,
}, async (platform, dir) => {
  await write(dir, { "n.ts": `export default () => { const = 1; };\n/**\n * @fluxbase:namespace team-a\n */` });
  const { errors } = await reload(platform);
  assert.equal(errors[0].name, "n");
  assert.deepEqual(await places(platform), ["team-a/n"]);
  assert.equal(await say(platform, "team-a/n"), "n");
});

filesTest("what the folder changes is in the audit log", {
  "fn.ts": answering("one"),
  "_shared/name.ts": `export const name = "one";`,
}, async (platform, dir) => {
  const entries = async () =>
    (await platform.api("GET", "/admin/audit-log?limit=1000")).body.filter((one: { actor_kind: string }) =>
      one.actor_kind === "folder"
    ).map((one: { action: string; target: string; actor_id: string }) => `${one.actor_id}: ${one.action} ${one.target}`)
      .sort();
  await eventually(async () => (await entries()).length === 2);
  assert.deepEqual(await entries(), [
    "boot: folder: function created default/fn",
    "boot: folder: shared module created _shared/name.ts",
  ]);
  await reload(platform);
  await Deno.remove(join(dir, "fn.ts"));
  await platform.api("POST", "/admin/functions/reload?dry_run=true");
  await reload(platform);
  await eventually(async () => (await entries()).length === 3);
  assert.ok((await entries()).includes("service_role: folder: function deleted default/fn"));
});

filesTest("a rollback stays, whatever happens to shared modules", {
  "uses.ts": `import { name } from "_shared/name.ts"; export default () => name;`,
  "_shared/name.ts": `export const name = "one";`,
}, async (platform) => {
  await platform.api("PUT", "/functions/shared/_shared/name.ts", { content: `export const name = "two";` });
  await eventually(async () => await say(platform, "uses") === `"two"`);
  assert.equal((await platform.api("POST", "/functions/uses/rollback", { version: 1 })).status, 200);
  const change = { content: `export const name = "three";` };
  const { body } = await platform.api("PUT", "/functions/shared/_shared/name.ts", change);
  assert.deepEqual(body.rebuilding, []);
  assert.deepEqual((await reload(platform)).unchanged, ["uses"]);
  assert.equal(await say(platform, "uses"), `"one"`);
  // Who saves it again gets what there is now.
  const code = `import { name } from "_shared/name.ts"; export default () => name + "!";`;
  await platform.api("PATCH", "/functions/uses", { code });
  assert.equal(await say(platform, "uses"), `"three!"`);
});

filesTest("sync and bundles are in the folder, or out of it, like everything else that is saved", {
  "old.ts": answering("old"),
  "stays.ts": answering("stays"),
  "many/index.ts": `import { x } from "./x.ts"; export default () => x;`,
  "many/x.ts": "export const x = 1;",
}, async (platform, dir) => {
  const functions = [
    { name: "stays", code: answering("synced") },
    { name: "many", code: "export default () => 2;", is_pre_bundled: true },
    { name: "fresh", code: answering("fresh") },
  ];
  const { body } = await platform.api("POST", "/admin/functions/sync", { functions, delete_missing: true });
  assert.deepEqual(body.errors, []);
  assert.equal(await read(dir, "stays.ts"), answering("synced"));
  assert.equal(await read(dir, "fresh.ts"), answering("fresh"));
  assert.deepEqual([await exists(dir, "old.ts"), await exists(dir, "many/index.ts")], [false, false]);
  const again = await reload(platform);
  assert.deepEqual([again.created, again.updated, again.deleted], [[], [], []]);
  assert.deepEqual([await say(platform, "many"), await say(platform, "stays")], ["2", "synced"]);

  const dry = { functions: [], delete_missing: true, dry_run: true };
  await platform.api("POST", "/admin/functions/sync", dry);
  assert.equal(await read(dir, "stays.ts"), answering("synced"));
});

filesTest(
  "what the folder cannot hold stays in the database, and no reload takes or breaks it",
  {},
  async (platform, dir) => {
    const x = "export const x = 1;";
    const entry = (path: string) => ({
      "index.ts": `import { x } from "./${path}"; export default () => x;`,
      [path]: x,
    });
    const odd: Record<string, Record<string, unknown>> = {
      "hello_test": { code: answering("a test by its name") },
      "in-modules": { files: entry("node_modules/x.ts") },
      "mts": { files: { "index.mts": answering("mts") } },
      "testing": { files: entry("my_test.ts") },
      "dotted": { files: entry(".x.ts") },
      "deep": { files: entry("a/b/c/d/e/f/g/h/i/x.ts") },
      "shared-inside": { files: entry("deep/_shared/x.ts") },
      "two-entries": { files: { "index.js": "export default () => 1;", "index.jsx": x } },
    };
    for (const [name, fields] of Object.entries(odd)) {
      const { status, body } = await platform.api("POST", "/functions?strict=true", { name, ...fields });
      assert.equal(status, 201, JSON.stringify(body));
    }
    for (let round = 0; round < 2; round += 1) {
      const { created, updated, deleted, errors } = await reload(platform);
      assert.deepEqual([created, updated, deleted, errors], [[], [], [], []]);
    }
    assert.equal((await platform.api("GET", "/functions")).body.length, Object.keys(odd).length);
    for (const name of Object.keys(odd)) assert.equal((await platform.call(name)).status, 200, name);

    // One that the folder held and cannot hold any more.
    await platform.deploy("turns", answering("one"));
    assert.ok(await exists(dir, "turns.ts"));
    await platform.api("PATCH", "/functions/turns?strict=true", { files: entry("my_test.ts") });
    assert.ok(!await exists(dir, "turns.ts"));
    await reload(platform);
    assert.equal(await say(platform, "turns"), "1");
  },
);

filesTest("files that a function has no more do not come back", {
  "many/index.ts": `import { x } from "./lib/x.mjs"; export default () => x;`,
  "many/lib/x.mjs": "export const x = 1;",
  "many/data.json": "{}",
}, async (platform, dir) => {
  const files = { "index.ts": answering("alone"), "kept.txt": "kept" };
  await platform.api("PATCH", "/functions/many?strict=true", { files });
  assert.deepEqual((await reload(platform)).unchanged, ["many"]);
  const { body } = await platform.api("GET", "/functions/many");
  assert.deepEqual(Object.keys(body.files).sort(), ["index.ts", "kept.txt"]);
  assert.deepEqual([await exists(dir, "many/lib/x.mjs"), await exists(dir, "many/data.json")], [false, false]);

  // Another shape, and then nothing at all.
  await platform.api("PATCH", "/functions/many?strict=true", { files: { "many.ts": answering("flat") } });
  assert.deepEqual([await exists(dir, "many.ts"), await exists(dir, "many/index.ts")], [true, false]);
  await write(dir, { "many/index.ts": answering("in its shadow"), "many.env": "A=1" });
  await platform.api("DELETE", "/functions/many");
  const { created } = await reload(platform);
  assert.deepEqual(created, []);
  assert.ok(!await exists(dir, "many.env"));
});

filesTest("what is saved during a load, and by many at once, is what stays", {
  ...Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`fn${n}.ts`, answering("file")])),
}, async (platform, dir) => {
  for (let round = 0; round < 4; round += 1) {
    const names = Array.from({ length: 30 }, (_, n) => `fn${n}`);
    const loads = [reload(platform), reload(platform), reload(platform)];
    const saves = await Promise.all(
      names.map((name) => platform.api("PATCH", `/functions/${name}`, { code: answering(`${name} ${round}`) })),
    );
    assert.ok(saves.every(({ status }) => status === 200));
    await Promise.all(loads);
    for (const name of names) {
      assert.equal(await read(dir, `${name}.ts`), answering(`${name} ${round}`));
      assert.equal(await say(platform, name), `${name} ${round}`);
    }
  }
  // Twenty at once: all stored, folder and database agree on the last.
  const many = await Promise.all(
    Array.from({ length: 40 }, (_, n) => platform.api("PATCH", "/functions/fn0", { code: answering(`n${n}`) })),
  );
  assert.deepEqual(many.map(({ status }) => status), Array(40).fill(200));
  const { body } = await platform.api("GET", "/functions/fn0");
  assert.equal(await read(dir, "fn0.ts"), body.code);
  // Saved and deleted at once: in both places, or in none.
  for (let round = 0; round < 10; round += 1) {
    await Promise.all([
      platform.api("PATCH", "/functions/fn1", { code: answering(`d${round}`) }),
      platform.api("DELETE", "/functions/fn1"),
      platform.api("POST", "/functions", { name: "fn1", code: answering(`c${round}`) }),
    ]);
    const { status, body: stored } = await platform.api("GET", "/functions/fn1");
    assert.equal(await exists(dir, "fn1.ts"), status === 200);
    if (status === 200) assert.equal(await read(dir, "fn1.ts"), stored.code);
    else await platform.deploy("fn1", answering("again"));
  }
});

filesTest("a function that stays broken gets no version for every change of a module", {
  "broken.ts": `import { gone } from "_shared/gone.ts"; export default () => gone;`,
  "_shared/other.ts": "export const n = 0;",
}, async (platform) => {
  for (let n = 1; n <= 3; n += 1) {
    const { body } = await platform.api("PUT", "/functions/shared/_shared/other.ts", {
      content: `export const n = ${n};`,
    });
    assert.equal(body.rebuilding.length, 1);
  }
  await platform.api("POST", "/functions/shared", {
    module_path: "_shared/gone.ts",
    content: `export const gone = "here";`,
  });
  await eventually(async () => (await platform.call("broken")).status === 200);
  assert.equal((await platform.api("GET", "/functions/broken/versions")).body.length, 2);
});

filesTest("an editor that takes the file away before it writes it anew loses nothing", {
  "kept.ts": answering("one"),
}, async (platform, dir) => {
  await platform.api("PATCH", "/functions/kept", { env: { TOKEN: "secret" } });
  const { body: before } = await platform.api("GET", "/functions/kept");
  await Deno.rename(join(dir, "kept.ts"), join(dir, "kept.ts~"));
  await new Promise((resolve) => setTimeout(resolve, 300));
  await write(dir, { "kept.ts": answering("two") });
  await eventually(async () => await say(platform, "kept") === "two");
  const { body: after } = await platform.api("GET", "/functions/kept");
  assert.deepEqual([after.id, after.env], [before.id, before.env]);
  // What really goes, goes.
  await Deno.remove(join(dir, "kept.ts"));
  await eventually(async () => (await platform.call("kept")).status === 404);
}, { FLUXBASE_FUNCTIONS_WATCH: "true" });

filesTest("a folder that is replaced is followed on, and nothing is lost while it is away", {
  "kept.ts": answering("one"),
}, async (platform, dir) => {
  const id = (await platform.api("GET", "/functions/kept")).body.id;
  await Deno.rename(dir, `${dir}-away`);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await write(dir, { "kept.ts": answering("two"), "more.ts": answering("more") });
  await eventually(async () => await say(platform, "kept") === "two");
  assert.equal((await platform.api("GET", "/functions/kept")).body.id, id);
  await write(dir, { "kept.ts": answering("three") });
  await eventually(async () => await say(platform, "kept") === "three");
  await Deno.remove(`${dir}-away`, { recursive: true });
}, { FLUXBASE_FUNCTIONS_WATCH: "true" });

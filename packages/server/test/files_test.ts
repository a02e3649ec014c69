/**
 * Functions as files: what is loaded on boot, reload, what is written back, and following changes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { answering, filesTest, read, say, write } from "./support/functions_dir.ts";
import { type Answer, eventually, withTestPlatform } from "./support/platform.ts";

/** The guide's two patterns, as written. */
const HELLO = `async function handler(req) {
return {
status: 200,
body: JSON.stringify({ message: "Hello!" }),
};
}`;
const COMPLEX = `import { processData } from "./helpers.ts";
import { WebhookConfig } from "./types.ts";
async function handler(req) {
const data = processData(req.body);
return {
status: 200,
body: JSON.stringify(data),
};
}`;

filesTest("on boot functions are made of files; what is broken is said and stops nothing", {
  "hello.ts": HELLO,
  "complex-webhook/index.ts": COMPLEX,
  "complex-webhook/types.ts": `export interface WebhookConfig { url: string }`,
  "complex-webhook/helpers.ts":
    `import { text } from "./config.ts"; export const processData = (body: string) => ({ body, text });`,
  "complex-webhook/config.ts": `export const text = "configured";`,
  "complex-webhook/notes.pdf": new Uint8Array([1, 2, 3]),
  "_shared/cors.ts": `export const cors = () => ({ "x-cors": "yes" });`,
  "_shared/utils/date.ts": `export const year = () => 2026;`,
  "uses-shared.ts":
    `import { cors } from "_shared/cors.ts"; import { year } from "_shared/utils/date.ts"; export default () => ({ status: 200, headers: cors(), body: year() });`,
  "deno.json": `{ "imports": { "@lib/": "./_shared/", "zod": "npm:zod@3.22.4" }, "tasks": { "x": "y" } }`,
  "mapped.ts":
    `import { year } from "@lib/utils/date.ts"; import { z } from "zod"; export default () => z.number().parse(year());`,
  "plain.js": answering("from js"),
  "both.ts": answering("ts"),
  "both.js": answering("js"),
  "clash.ts": answering("flat"),
  "clash/index.ts": answering("folder"),
  "with-env.ts": `export default () => Deno.env.get("GREETING");`,
  "with-env.env": `# a comment\nGREETING="Hello there"\n`,
  "folder-env/index.ts": `export default () => Deno.env.get("GREETING");`,
  "folder-env/.env": `GREETING=Hi\n`,
  "placed.ts": `// @fluxbase:namespace team-a\n${answering("team")}`,
  "page/index.tsx": `export default () => new Response("tsx");`,
  "wasm/index.ts": `import { add } from "./add.wasm"; export default () => add(20, 22);`,
  "wasm/add.wasm": Uint8Array.fromBase64("AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABags="),
  "broken.ts": `export default () => { const = 1; };`,
  "not utf8.ts": new Uint8Array([0xff, 0xfe]),
  "latin.ts": new Uint8Array([0x65, 0xff]),
  "index.ts": answering("reserved"),
  "no-entry/other.ts": "export const x = 1;",
  "hello_test.ts": "Deno.test('x', () => {});",
  "types.d.ts": "declare const x: number;",
  ".hidden.ts": answering("hidden"),
  "node_modules/dep/index.ts": answering("dep"),
}, async (platform, dir) => {
  let body: Answer["body"] = [];
  // A start waits for the folder for 2 s, and goes on behind it.
  await eventually(async () => {
    ({ body } = await platform.api("GET", "/functions"));
    return body.length >= 13;
  });
  assert.deepEqual(body.map((fn: Record<string, unknown>) => `${fn["namespace"]}/${fn["name"]}`).sort(), [
    "default/both",
    "default/broken",
    "default/clash",
    "default/complex-webhook",
    "default/folder-env",
    "default/hello",
    "default/mapped",
    "default/page",
    "default/plain",
    "default/uses-shared",
    "default/wasm",
    "default/with-env",
    "team-a/placed",
  ]);
  assert.ok(body.every(({ source }: { source: string }) => source === "filesystem"));
  assert.equal(await say(platform, "hello"), `{"message":"Hello!"}`);
  const complex = await platform.call("complex-webhook", { method: "POST", body: "sent" });
  assert.deepEqual(await complex.json(), { body: "sent", text: "configured" });
  assert.deepEqual(
    [
      await say(platform, "plain"),
      await say(platform, "both"),
      await say(platform, "clash"),
      await say(platform, "team-a/placed"),
      await say(platform, "page"),
    ],
    ["from js", "ts", "flat", "team", "tsx"],
  );
  assert.deepEqual([await say(platform, "with-env"), await say(platform, "folder-env")], [`"Hello there"`, `"Hi"`]);
  assert.deepEqual([await say(platform, "mapped"), await say(platform, "uses-shared"), await say(platform, "wasm")], [
    "2026",
    "2026",
    "42",
  ]);
  const { body: broken } = await platform.api("GET", "/functions/broken");
  assert.match(broken.bundle_error, /^broken\.ts:1:30: Unexpected token/);

  const said = platform.logLines.filter((line) => line.includes("Functions folder:")).join("\n");
  for (
    const part of [
      /broken: broken\.ts:1:30: Unexpected token/,
      /latin\.ts: it is not UTF-8/,
      /"not utf8" is no function name/,
      /"index" is no function name: it is reserved/,
      /both\.js was left out: both\.ts has the same name/,
      /clash\/ was left out: clash\.ts has the same name/,
      /no-entry\/ was left out: it has no index\.ts/,
    ]
  ) assert.match(said, part);

  // A second look finds everything as it is.
  const { body: again } = await platform.api("POST", "/admin/functions/reload");
  assert.deepEqual([again.created, again.updated, again.deleted], [[], [], []]);
  assert.equal(again.unchanged.length, 12);
  assert.ok(again.errors.some(({ name }: { name: string }) => name === "broken"));
  assert.ok(!(await read(dir, "hello.ts")).includes("changed"));
});

filesTest("reload is a full sync, with a preview", {
  "stays.ts": answering("stays"),
  "changes.ts": answering("before"),
  "goes.ts": answering("goes"),
  "_shared/name.ts": `export const name = "one";`,
  "uses.ts": `import { name } from "_shared/name.ts"; export default () => name;`,
}, async (platform, dir) => {
  // Saved over HTTP with the folder out of reach of the write: as if another server had made it.
  await platform.deploy("by-api", answering("api"), { namespace: "team-a" });
  await write(dir, {
    "changes.ts": answering("after"),
    "comes.ts": answering("comes"),
    "_shared/name.ts": `export const name = "two";`,
  });
  await Deno.remove(join(dir, "goes.ts"));

  const preview = await platform.api("POST", "/admin/functions/reload?dry_run=true");
  assert.deepEqual([preview.body.created, preview.body.updated, preview.body.deleted, preview.body.dry_run], [
    ["comes"],
    ["changes", "uses"],
    ["goes"],
    true,
  ]);
  assert.deepEqual(preview.body.warnings, ["_shared/name.ts: would be updated"]);
  assert.equal(await say(platform, "changes"), "before");
  assert.equal((await platform.call("goes")).status, 200);

  const { status, body } = await platform.api("POST", "/admin/functions/reload");
  assert.equal(status, 200);
  assert.deepEqual([body.created, body.updated, body.deleted, body.unchanged, body.total], [
    ["comes"],
    ["changes", "uses"],
    ["goes"],
    ["stays"],
    4,
  ]);
  assert.deepEqual([await say(platform, "changes"), await say(platform, "comes"), await say(platform, "uses")], [
    "after",
    "comes",
    `"two"`,
  ]);
  assert.equal((await platform.call("goes")).status, 404);
  assert.equal(await say(platform, "team-a/by-api"), "api");
});

filesTest("what is saved over HTTP is written to the folder, and what is deleted is put aside", {
  "from-file.ts": answering("file"),
  "many/index.ts": `import { x } from "./x.ts"; export default () => x;`,
  "many/x.ts": `export const x = 1;`,
}, async (platform, dir) => {
  await platform.deploy("made", answering("made"));
  assert.equal(await read(dir, "made.ts"), answering("made"));
  await platform.api("PATCH", "/functions/from-file", { code: answering("changed") });
  assert.equal(await read(dir, "from-file.ts"), answering("changed"));
  const files = { "index.ts": `import { y } from "./y.ts"; export default () => y;`, "y.ts": `export const y = 2;` };
  await platform.api("PATCH", "/functions/many?strict=true", { files });
  assert.deepEqual([await read(dir, "many/index.ts"), await read(dir, "many/y.ts")], Object.values(files));
  await assert.rejects(read(dir, "many/x.ts"));
  await platform.api("POST", "/functions/shared", { module_path: "_shared/a/b.ts", content: "export const b = 1;" });
  assert.equal(await read(dir, "_shared/a/b.ts"), "export const b = 1;");
  // A source that does not build is the author's work, too.
  await platform.api("PATCH", "/functions/made", { code: "export default () => { const = 1; };" });
  assert.match(await read(dir, "made.ts"), /const = 1/);
  await platform.api("POST", "/functions/made/rollback", { version: 1 });
  assert.equal(await read(dir, "made.ts"), answering("made"));

  const { body: same } = await platform.api("POST", "/admin/functions/reload");
  assert.deepEqual([same.created, same.updated, same.deleted, same.errors], [[], [], [], []]);

  await platform.api("DELETE", "/functions/made");
  await platform.api("DELETE", "/functions/many");
  await assert.rejects(read(dir, "made.ts"));
  await assert.rejects(read(dir, "many/index.ts"));
  const aside = [...Deno.readDirSync(join(dir, ".deleted"))].map(({ name }) => name).join("\n");
  assert.match(aside, /-made\.ts/);
  assert.match(aside, /-many$/m);
  const { body: after } = await platform.api("POST", "/admin/functions/reload");
  assert.deepEqual([after.created, after.unchanged], [[], ["from-file"]]);
  // A bundle that came as such is not kept as a file, and no reload takes it away.
  await platform.deploy("bundled", answering("bundled"), { is_pre_bundled: true });
  await assert.rejects(read(dir, "bundled.ts"));
  assert.deepEqual((await platform.api("POST", "/admin/functions/reload")).body.deleted, []);
  assert.equal(await say(platform, "bundled"), "bundled");
  // Other namespaces are not kept as files.
  await platform.deploy("made", answering("team"), { namespace: "team-a" });
  await assert.rejects(read(dir, "made.ts"));
});

filesTest("what is saved over HTTP never touches the files of others", {
  "mine.ts": answering("mine"),
  "placed.ts": `// @fluxbase:namespace team-b\n${answering("placed")}`,
  "lib/helper.ts": "export const x = 1;",
}, async (platform, dir) => {
  // A function of another namespace, whatever its comments say.
  const foreign = `// @fluxbase:namespace team-a\n${answering("foreign")}`;
  const key = await platform.mintKey(["functions:*"], ["team-a"]);
  for (const name of ["mine", "placed", "fresh"]) {
    const { status } = await platform.api("POST", "/functions?strict=true", {
      name,
      code: foreign,
      namespace: "team-a",
    }, key);
    assert.equal(status, 201);
    assert.equal((await platform.api("DELETE", `/functions/team-a/${name}`, undefined, key)).status, 204);
  }
  assert.equal(await read(dir, "mine.ts"), answering("mine"));
  assert.match(await read(dir, "placed.ts"), /team-b/);
  await assert.rejects(read(dir, "fresh.ts"));

  // A file that is named like another function.
  const files = { "mine.ts": answering("other") };
  assert.equal((await platform.api("POST", "/functions", { name: "other", files })).status, 400);
  assert.equal(await read(dir, "mine.ts"), answering("mine"));

  // A folder that is named like a function, and is none.
  await platform.deploy("lib", answering("lib"));
  await platform.api("DELETE", "/functions/lib");
  assert.equal(await read(dir, "lib/helper.ts"), "export const x = 1;");

  // A folder that leads elsewhere.
  const outside = await Deno.makeTempDir();
  await Deno.symlink(outside, join(dir, "linked"));
  await platform.api("POST", "/functions?strict=true", {
    name: "linked",
    files: { "index.ts": answering("x"), "a.ts": "" },
  });
  assert.deepEqual([...Deno.readDirSync(outside)], []);
  assert.ok(platform.logLines.some((line) => line.includes("linked is a link")));
  await Deno.remove(outside, { recursive: true });

  // Its own file of another namespace is kept in step.
  await platform.api("PATCH", "/functions/team-b/placed", {
    code: `// @fluxbase:namespace team-b\n${answering("changed")}`,
  });
  assert.match(await read(dir, "placed.ts"), /changed/);
});

filesTest(
  "a reload mends what a server without the folder has changed",
  { "hello.ts": answering("file") },
  async (platform) => {
    await withTestPlatform(async (other) => {
      await other.api("PATCH", "/functions/hello", { code: answering("elsewhere") });
      await eventually(async () => await say(platform, "hello") === "elsewhere");
      assert.deepEqual((await platform.api("POST", "/admin/functions/reload")).body.updated, ["hello"]);
      await eventually(async () => await say(other, "hello") === "file");
    }, { DATABASE_URL: platform.databaseUrl.reveal() });
  },
);

filesTest("links out of the folder are refused, links inside it are followed", {
  "real.ts": answering("real"),
}, async (platform, dir) => {
  const outside = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(outside, "secret.ts"), answering("secret"));
    await Deno.symlink(join(outside, "secret.ts"), join(dir, "leaks.ts"));
    await Deno.symlink(outside, join(dir, "leaking"));
    await Deno.symlink("/nowhere", join(dir, "broken-link.ts"));
    await Deno.symlink("real.ts", join(dir, "linked.ts"));
    await Deno.mkdir(join(dir, "inner"));
    await Deno.writeTextFile(
      join(dir, "inner/index.ts"),
      `import s from "./passwd.txt" with { type: "text" }; export default () => s;`,
    );
    await Deno.symlink("/etc/passwd", join(dir, "inner/passwd.txt"));
    const { body } = await platform.api("POST", "/admin/functions/reload");
    assert.deepEqual(body.created, ["linked"]);
    const errors = new Map(body.errors.map(({ name, error }: { name: string; error: string }) => [name, error]));
    for (const name of ["leaks.ts", "leaking", "broken-link.ts", "inner/passwd.txt"]) {
      assert.match(String(errors.get(name)), /it is a link that leads out of the functions folder, or nowhere/);
    }
    assert.match(String(errors.get("inner")), /there is no file "passwd\.txt"/);
    assert.equal(await say(platform, "linked"), "real");
  } finally {
    await Deno.remove(outside, { recursive: true });
  }
});

filesTest("files win over modules that were saved over HTTP, and it is said", {
  "uses.ts": `import { x } from "_shared/x.ts"; export default () => x;`,
}, async (platform, dir) => {
  await platform.api("POST", "/functions/shared", { module_path: "_shared/x.ts", content: `export const x = "http";` });
  await eventually(async () => await say(platform, "uses") === `"http"`);
  await write(dir, { "_shared/x.ts": `export const x = "file";` });
  const { body } = await platform.api("POST", "/admin/functions/reload");
  assert.match(
    body.warnings.join("\n"),
    /_shared\/x\.ts: the file replaced the module that was saved over HTTP, whose version 1 is kept/,
  );
  assert.equal(await say(platform, "uses"), `"file"`);
  const { body: module } = await platform.api("GET", "/functions/shared/x.ts?version=1");
  assert.equal(module.content, `export const x = "http";`);
});

filesTest("a watching server follows every change", {
  "hello.ts": answering("one"),
  "_shared/word.ts": `export const word = "first";`,
  "uses.ts": `import { word } from "_shared/word.ts"; export default () => word;`,
  "env.ts": `export default () => Deno.env.get("WORD") ?? "none";`,
}, async (platform, dir) => {
  const becomes = (name: string, text: string) => eventually(async () => await say(platform, name) === text);
  await becomes("hello", "one");
  await platform.deploy("only-http", answering("http"), { namespace: "team-a" });

  await write(dir, { "hello.ts": answering("two") });
  await becomes("hello", "two");
  // As editors do it: emptied, then written in pieces; and another file renamed over it.
  const file = await Deno.open(join(dir, "hello.ts"), { write: true, truncate: true });
  const encoder = new TextEncoder();
  for (const piece of ["export default () => ({ sta", `tus: 200, body: "thr`, `ee" });`]) {
    await file.write(encoder.encode(piece));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  file.close();
  await becomes("hello", "three");
  await Deno.writeTextFile(join(dir, "hello.ts~"), answering("four"));
  await Deno.rename(join(dir, "hello.ts~"), join(dir, "hello.ts"));
  await becomes("hello", "four");

  await write(dir, { "_shared/word.ts": `export const word = "second";` });
  await becomes("uses", `"second"`);
  await write(dir, { "env.env": "WORD=set" });
  await becomes("env", `"set"`);
  await write(dir, {
    "deno.json": `{"imports": {"w": "./_shared/word.ts"}}`,
    "uses.ts": `import { word } from "w"; export default () => word + "!";`,
  });
  await becomes("uses", `"second!"`);
  await write(dir, { "new/index.ts": answering("new") });
  await becomes("new", "new");

  // A broken save leaves what works.
  await write(dir, { "hello.ts": "export default () => { const = 1; };" });
  await eventually(async () => (await platform.api("GET", "/functions/hello")).body.bundle_error !== null);
  assert.equal(await say(platform, "hello"), "four");
  await write(dir, { "hello.ts": answering("mended") });
  await becomes("hello", "mended");

  await Deno.remove(join(dir, "hello.ts"));
  await eventually(async () => (await platform.call("hello")).status === 404);
  assert.equal(await say(platform, "team-a/only-http"), "http");
}, { FLUXBASE_FUNCTIONS_WATCH: "true" });

filesTest("without auto-load the folder waits for a reload", { "hello.ts": answering("one") }, async (platform) => {
  assert.equal((await platform.call("hello")).status, 404);
  await platform.api("POST", "/admin/functions/reload");
  assert.equal(await say(platform, "hello"), "one");
}, { FLUXBASE_FUNCTIONS_AUTO_LOAD_ON_BOOT: "false" });

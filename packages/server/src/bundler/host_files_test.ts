/**
 * No source, however it is written, gets a file of the machine into its bundle, nor learns whether one exists.
 *
 * Deno asks for its permission to read; the program that it bundles with reads by itself what Deno does not know how to
 * load: text files and files without an ending.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startTestBundler } from "../../test/support/runtime.ts";
import { type BuildResult } from "./bundler.ts";

const SECRET = "the words of another tenant";
/** Makes every source one that has to be bundled. */
const BESIDE = `import dayjs from "npm:dayjs@1.11.10"; const used = dayjs;\n`;
const asData = (code: string, type = "text/javascript") => `data:${type},${encodeURIComponent(code)}`;
const escaped = (text: string) => text.replaceAll("a", "\\x61").replaceAll("e", "\\u0065");

/** How an author may ask for `path`, which is absolute. */
const SPELLINGS: readonly [name: string, code: (path: string, host: string) => string][] = [
  ["an absolute path", (path) => `import x from "${path}"; export default () => x;`],
  ["file:", (path) => `import x from "file://${path}"; export default () => x;`],
  ["a path that climbs", (path) => `import x from "../../../../../../../../..${path}"; export default () => x;`],
  [
    "through a data: module",
    (path) => `import x from "${asData(`import x from "file://${path}"; export default x;`)}"; export default () => x;`,
  ],
  [
    "through a data: module of TypeScript",
    (path) =>
      `import x from "${
        asData(`import x from "file://${path}"; export default x as string;`, "application/typescript")
      }"; export default () => x;`,
  ],
  [
    "through a data: module in base64",
    (path) =>
      `import x from "data:text/javascript;base64,${
        btoa(`import x from "file://${path}"; export default x;`)
      }"; export default () => x;`,
  ],
  [
    "through a data: module in a data: module",
    (path) =>
      `import x from "${
        asData(`export { default } from "${asData(`export { default } from "file://${path}";`)}";`)
      }"; export default () => x;`,
  ],
  [
    "through a data: module, dynamically",
    (path) => `import x from "${asData(`export default await import(("${path}"));`)}"; export default () => x;`,
  ],
  ["as a re-export", (path) => `export * from "${path}"; export default () => 1;`],
  ["dynamically", (path) => `export default () => import("${path}");`],
  ["dynamically, escaped", (path) => `export default () => import("${escaped(path)}");`],
  ["dynamically, in parentheses", (path) => `export default () => import(("${path}"));`],
  ["dynamically, in a template with escapes", (path) => `export default () => import(\`${escaped(path)}\`);`],
  ["dynamically, put together", (path) => `export default () => import("${path.slice(0, 4)}" + "${path.slice(4)}");`],
  ["dynamically, one of two", (path) => `export default (r) => import(r ? "${path}" : "node:path");`],
  ["dynamically, after a comma", (path) => `export default () => import((0, "${path}"));`],
  ["dynamically, as a type", (path) => `export default () => import("${path}" as string);`],
  ["dynamically, with a template that ends in nothing", (path) => `export default () => import(\`${path}\${""}\`);`],
  ["required", (path) => `export default () => require("${path}");`],
  ["required, escaped", (path) => `export default () => require("${escaped(path)}");`],
  ["required, in parentheses", (path) => `export default () => require(("${path}"));`],
  ["required, one of two", (path) => `export default (r) => require(r ? "${path}" : "node:path");`],
  ["resolved", (path) => `export default () => require.resolve("${path}");`],
  ["as a new URL", (path) => `export default () => new URL("${path}", import.meta.url);`],
  ["as source of JSX", (path) => `/** @jsxImportSource ${path} */\nexport default () => <a/>;`],
  ["as source of JSX by URL", (path) => `/** @jsxImportSource file://${path}? */\nexport default () => <a/>;`],
  [
    "as types of JSX",
    (path) => `/** @jsxImportSource npm:preact@10 */\n/** @jsxImportSourceTypes ${path} */\nexport default () => <a/>;`,
  ],
  ["as a reference", (path) => `/// <reference path="${path}" />\nexport default () => 1;`],
  ["as source of a map", (path) => `export default () => 1;\n//# sourceMappingURL=${path}`],
  [
    "through a module of an allowed host",
    (path, host) =>
      `import x from "${host}/imports?what=${encodeURIComponent(`file://${path}`)}"; export default () => x;`,
  ],
  [
    "through a module of an allowed host that requires",
    (path, host) => `import x from "${host}/requires?what=${encodeURIComponent(path)}"; export default () => x;`,
  ],
  [
    "through a redirect of an allowed host",
    (path, host) =>
      `import x from "${host}/redirect?to=${encodeURIComponent(`file://${path}`)}"; export default () => x;`,
  ],
  ["as a stylesheet", (path) => `import x from "${path}?.css"; export default () => x;`],
  ["with an attribute", (path) => `import x from "${path}" with { type: "text" }; export default () => x;`],
  ["with an unknown attribute", (path) => `import x from "${path}" with { loader: "file" }; export default () => x;`],
];

function startHost() {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname, searchParams } = new URL(request.url);
    const what = JSON.stringify(searchParams.get("what") ?? "");
    const headers = { "content-type": "text/javascript" };
    if (pathname === "/imports") return new Response(`import x from ${what}; export default x;`, { headers });
    if (pathname === "/requires") return new Response(`export default () => require(${what});`, { headers });
    return new Response(null, { status: 302, headers: { location: searchParams.get("to") ?? "" } });
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** Without what repeats the author's own words. */
function saidOf(built: BuildResult): unknown {
  if (built.ok) return true;
  return built.problems.map(({ message, line }) => [line, message.replaceAll(/"data:[^"]*"|\S*neighbou\S*/g, "…")]);
}

Deno.test("files of the machine stay out of bundles", { sanitizeResources: false }, async (test) => {
  await using host = startHost();
  const dir = await Deno.makeTempDir();
  await Deno.mkdir(`${dir}/neighbour`);
  await Promise.all([dir, `${dir}/neighbour`].map((path) => Deno.chmod(path, 0o755)));
  const files = ["secret.txt", "secret", "jsx-runtime", "package.json"]
    .map((name) => `${dir}/neighbour/${name}`);
  for (const file of files) await Deno.writeTextFile(file, file.endsWith(".json") ? `{"x":"${SECRET}"}` : SECRET);
  await Deno.mkdir(`${dir}/work`);
  await Deno.chmod(`${dir}/work`, 0o755);
  const bundler = await startTestBundler({
    workDir: `${dir}/work`,
    importHosts: [`127.0.0.1:${host.port}`],
    networkEnv: Object.fromEntries(
      Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|registry|cert|^PATH$/i.test(name)),
    ),
  });
  const build = (code: string) =>
    bundler.build({
      entry: "index.tsx",
      files: { "index.tsx": `${BESIDE}${code}` },
      shared: {},
      denoJson: {},
      isPreBundled: false,
    });

  for (const [name, code] of SPELLINGS) {
    await test.step(name, async () => {
      const at = `http://127.0.0.1:${host.port}`;
      for (const path of [...files, `${dir}/neighbour`]) {
        const built = JSON.stringify(await build(code(path, at)));
        assert.ok(!built.includes(SECRET) && !built.includes(btoa(SECRET).slice(0, -2)), `${path}: ${built}`);
      }
      // Of the same length, so that nothing else differs.
      const there = await build(code(`${dir}/neighbour/secret.txt`, at));
      const missing = await build(code(`${dir}/neighbouX/secret.txt`, at));
      assert.deepEqual(saidOf(missing), saidOf(there));
    });
  }

  await test.step("what never ends is not read", async () => {
    const built = await build(`export default () => import(("/dev/zero"));`);
    assert.ok(!built.ok || !built.code.includes("\0"));
  });
  await bundler[Symbol.asyncDispose]();
  await Deno.remove(dir, { recursive: true });
});

/**
 * Imports in every spelling: what becomes part of a bundle, what is refused, and how that is said.
 *
 * Packages come from the npm registry; a server of the test stands in for hosts of URL imports.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { evaluateBundle } from "../../sandbox_runtime/bundle.ts";
import { startTestBundler } from "../../test/support/runtime.ts";
import { type BuildResult, type BuildSource } from "./bundler.ts";

const ADD_WASM = "AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABags=";

/** Beside the entry of every case. */
const FILES = {
  "helper.ts": `export const helper = (): string => "helped";`,
  "deep/inner.ts": `import { helper } from "../helper.ts"; export const inner = helper() + " inside";`,
  "data.json": `{"a": 1}`,
  "text.txt": "some text\n",
  "add.wasm": ADD_WASM,
  "types.ts": `export interface T { a: string }`,
  "view.tsx": `export const view = 1;`,
  "common.cjs": `module.exports = { common: "yes" };`,
};
const SHARED = {
  "_shared/cors.ts": `export const cors = (origin?: string) => origin ?? "*";`,
  "_shared/utils/date.ts": `import { cors } from "../cors.ts"; export const date = () => "date " + cors();`,
  "_shared/mapped.ts": `import { cors } from "@lib/cors.ts"; export const mapped = cors("mapped");`,
  "_shared/loop_a.ts": `import { b } from "./loop_b.ts"; export const a = () => "a" + b();`,
  "_shared/loop_b.ts": `import { a } from "./loop_a.ts"; export const b = () => typeof a;`,
  "_shared/blocked.ts": `import fs from "node:fs"; export default fs;`,
  "_shared/broken.ts": `export const = 1;`,
};

const JSR_MODULE = `export const lib = (text: string): string => "lib " + text;`;

function unusedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function startHost() {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname, searchParams } = new URL(request.url);
    const headers = { "content-type": "text/javascript" };
    switch (pathname) {
      case "/greet.js":
        return new Response(`import { name } from "./name.js"; export const greet = () => "hello " + name;`, {
          headers,
        });
      case "/name.js":
        return new Response(`export const name = "remote";`, { headers });
      case "/leads-on.js":
        return new Response(`export { name } from "https://modules.invalid/name.js";`, { headers });
      // A package as JSR serves it.
      case "/@ours/lib/meta.json":
        return Response.json({ scope: "ours", name: "lib", latest: "1.2.0", versions: { "1.2.0": {} } });
      case "/@ours/lib/1.2.0_meta.json":
        return Response.json({
          manifest: { "/mod.ts": { size: JSR_MODULE.length, checksum: `sha256-${sha256(JSR_MODULE)}` } },
          exports: { ".": "./mod.ts" },
        });
      case "/@ours/lib/1.2.0/mod.ts":
        return new Response(JSR_MODULE, { headers: { "content-type": "text/typescript" } });
      case "/redirect.js":
        return Response.redirect(searchParams.get("to") ?? "", 302);
      case "/reads-a-file.js":
        return new Response(`import text from "file:///etc/hostname" with { type: "text" }; export default text;`, {
          headers,
        });
      default:
        return new Response("not here", { status: 404 });
    }
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("imports", { sanitizeResources: false }, async (test) => {
  await using host = startHost();
  await using closed = startHost();
  const gone = unusedPort();
  const at = `http://127.0.0.1:${host.port}`;
  const workDir = await Deno.makeTempDir();
  await Deno.chmod(workDir, 0o755);
  const bundler = await startTestBundler({
    workDir,
    importHosts: ["esm.sh", "jsr.io", `127.0.0.1:${host.port}`, `127.0.0.1:${gone}`],
    importMirrors: [
      { from: "https://esm.sh/", to: "npm:" },
      { from: "https://modules.invalid/", to: `${at}/` },
      { from: "jsr:", to: `${at}/` },
    ],
    networkEnv: Object.fromEntries(
      Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|registry|cert|^PATH$/i.test(name)),
    ),
  });
  const build = (code: string, changes: Partial<BuildSource> = {}) =>
    bundler.build({
      entry: "index.ts",
      files: { ...FILES, "index.ts": code },
      shared: SHARED,
      denoJson: {
        imports: {
          "@lib/": "./_shared/",
          "zod": "npm:zod@3.22.4",
          "helper": "./_shared/cors.ts",
          "sneaky": "node:fs",
          "sneaky/": "node:fs/",
          "lost": "./_shared/lost.ts",
        },
      },
      isPreBundled: false,
      ...changes,
    });

  /** Each exports a handler that returns what it got. */
  const accepted: [string, string, unknown][] = [
    ["no import", `export default () => 1;`, 1],
    ["node:", `import { Buffer } from "node:buffer"; export default () => Buffer.from("x").length;`, 1],
    [
      "node: with a sub-path",
      `import { setTimeout as t } from "node:timers/promises"; export default () => typeof t;`,
      "function",
    ],
    ["a built-in module without node:", `import path from "path"; export default () => path.basename("/a/b");`, "b"],
    ["a sibling", `import { helper } from "./helper.ts"; export default () => helper();`, "helped"],
    ["single quotes", `import { helper } from './helper.ts'; export default () => helper();`, "helped"],
    [
      "without semicolons, over lines",
      `import {\n  helper\n}\nfrom\n"./helper.ts"\nexport default () => helper()`,
      "helped",
    ],
    [
      "an escape in the specifier",
      `import { helper } from "./\\u0068elper.ts"; export default () => helper();`,
      "helped",
    ],
    ["a folder below", `import { inner } from "./deep/inner.ts"; export default () => inner;`, "helped inside"],
    ["a detour", `import { helper } from "./deep/../helper.ts"; export default () => helper();`, "helped"],
    ["all of a module", `import * as all from "./helper.ts"; export default () => Object.keys(all);`, ["helper"]],
    [
      "a default beside names",
      `import d, { type T } from "./data.json" with { type: "json" }; export default (): T => d as never;`,
      { a: 1 },
    ],
    ["JSON", `import data from "./data.json" with { type: "json" }; export default () => data.a;`, 1],
    ["text", `import text from "./text.txt" with { type: "text" }; export default () => text;`, "some text\n"],
    ["bytes", `import bytes from "./text.txt" with { type: "bytes" }; export default () => bytes.length;`, 10],
    ["WebAssembly", `import { add } from "./add.wasm"; export default () => add(2, 3);`, 5],
    ["CommonJS", `import c from "./common.cjs"; export default () => c.common;`, "yes"],
    ["TSX", `import { view } from "./view.tsx"; export default () => view;`, 1],
    ["types of a file", `import type { T } from "./types.ts"; export default (): T => ({ a: "x" });`, { a: "x" }],
    ["types that look like values", `import { T } from "./types.ts"; export default (): T => ({ a: "x" });`, {
      a: "x",
    }],
    [
      "types of a file that is not there",
      `import type { T } from "./gone.ts"; export default (t?: T) => typeof t;`,
      "undefined",
    ],
    ["for its effect", `import "./helper.ts"; export default () => 1;`, 1],
    ["a re-export of the handler", `export { helper as default } from "./helper.ts";`, "helped"],
    ["a re-export of everything", `export * from "./helper.ts"; export default () => 2;`, 2],
    ["a handler that is imported", `import { helper as handler } from "./helper.ts"; export { handler };`, "helped"],
    ["dynamic", `export default async () => (await import("./helper.ts")).helper();`, "helped"],
    [
      "dynamic in a template without holes",
      "export default async () => (await import(`./helper.ts`)).helper();",
      "helped",
    ],
    ["_shared/", `import { cors } from "_shared/cors.ts"; export default () => cors();`, "*"],
    ["_shared/ in any depth", `import { date } from "_shared/utils/date.ts"; export default () => date();`, "date *"],
    ["../_shared/", `import { cors } from "../_shared/cors.ts"; export default () => cors("x");`, "x"],
    ["./_shared/", `import { cors } from "./_shared/cors.ts"; export default () => cors("y");`, "y"],
    ["_shared/ from a file below", `import { x } from "./own.ts"; export default () => x;`, "z"],
    ["shared modules in a circle", `import { a } from "_shared/loop_a.ts"; export default () => a();`, "afunction"],
    ["a prefix of the import map", `import { cors } from "@lib/cors.ts"; export default () => cors("m");`, "m"],
    ["a name of the import map", `import { cors } from "helper"; export default () => cors("n");`, "n"],
    [
      "the import map in a shared module",
      `import { mapped } from "_shared/mapped.ts"; export default () => mapped;`,
      "mapped",
    ],
    ["npm: with a version", `import { z } from "npm:zod@3.22.4"; export default () => z.string().parse("v");`, "v"],
    ["npm: with a slash", `import { z } from "npm:/zod@3.22.4"; export default () => z.string().parse("v");`, "v"],
    ["npm: with a range", `import dayjs from "npm:dayjs@^1.11.0"; export default () => dayjs(0).year() >= 1969;`, true],
    ["npm: without a version", `import dayjs from "npm:dayjs"; export default () => dayjs(0).isValid();`, true],
    [
      "npm: with a sub-path",
      `import utc from "npm:dayjs@1.11.10/plugin/utc.js"; export default () => typeof utc;`,
      "function",
    ],
    ["npm: dynamic", `export default async () => typeof (await import("npm:dayjs@1.11.10")).default;`, "function"],
    ["a package by the import map", `import { z } from "zod"; export default () => z.number().parse(3);`, 3],
    ["a URL", `import { greet } from "${at}/greet.js"; export default () => greet();`, "hello remote"],
    [
      "a URL that leads on",
      `import { name } from "${at}/redirect.js?to=${encodeURIComponent(`${at}/name.js`)}"; export default () => name;`,
      "remote",
    ],
    [
      "esm.sh, from npm's registry",
      `import ms from "https://esm.sh/v135/ms@2.1.3?target=deno"; export default () => ms(1000);`,
      "1s",
    ],
    [
      "esm.sh, dynamic, and a module without its ending",
      `export default async () => typeof (await import("https://esm.sh/lodash@4.17.21/debounce")).default;`,
      "function",
    ],
    [
      "a mirror of a host, also for what modules from there import",
      `import { greet } from "https://modules.invalid/greet.js"; import { name } from "${at}/leads-on.js"; export default () => [greet(), name];`,
      ["hello remote", "remote"],
    ],
    ["a mirror of JSR", `import { lib } from "jsr:@ours/lib@^1"; export default () => lib("x");`, "lib x"],
    [
      "declarations that are imported for nothing",
      `import "jsr:@supabase/functions-js/edge-runtime.d.ts"; export default () => 1;`,
      1,
    ],
    [
      "serve of std",
      `import { serve, type Handler } from "https://deno.land/std@0.168.0/http/server.ts"; export default () => serve.name;`,
      "serve",
    ],
    [
      "accessors",
      `import { A } from "./own.ts"; class B { accessor n = 1; } export default () => [new A().c1, A.s, new B().n];`,
      [4, 2, 1],
    ],
    ["data:", `import x from "data:text/javascript,export default 7"; export default () => x;`, 7],
    ["required", `export default () => require("./common.cjs").common;`, "yes"],
    [
      "a require of one's own",
      `const require = (x) => x + "!"; export default () => require("/etc/passwd");`,
      "/etc/passwd!",
    ],
    [
      "a require that is a parameter",
      `const run = (f) => f((x) => x); export default () => run(function (require) { return require("/etc/x"); });`,
      "/etc/x",
    ],
    [
      "dynamic, one of two",
      `export default async (r) => (await import(r ? "./gone_not.ts" : "./helper.ts")).helper();`,
      "helped",
    ],
    [
      "data: that imports a package",
      `import x from "data:text/javascript,import d from 'npm:dayjs@1.11.10'; export default typeof d"; export default () => x;`,
      "function",
    ],
    ["data: of JSON", `import x from "data:application/json,[1]" with { type: "json" }; export default () => x;`, [1]],
    [
      "import in comments, strings and templates",
      "// import fs from 'fs'\n/* import 'node:vm' */ const s = 'import x from \"fs\"'; const t = `import \"vm\" ${s}`; export default () => t.length > 5;",
      true,
    ],
    ["import.meta", `export default () => typeof import.meta.url;`, "string"],
    ["a property named import", `const o = { import: (x: string) => x }; export default () => o.import("fs");`, "fs"],
    ["a private package name that looks blocked", `import { fs } from "./own.ts"; export default () => fs;`, "mine"],
  ];
  const own = {
    "gone_not.ts": "export const helper = 1;",
    "own.ts": `import { cors } from "_shared/cors.ts"; export const x = cors("z"); export const fs = "mine";
      export class A { accessor #p = 3; static accessor s = 2; accessor ["c" + 1] = this.#p + 1; }`,
  };
  for (const [name, code, expected] of accepted) {
    await test.step(name, async () => {
      const built = await build(code, { files: { ...FILES, ...own, "index.ts": code } });
      assert.ok(built.ok, JSON.stringify(built));
      const { exports } = await evaluateBundle(built.code);
      const handler = exports["default"] ?? exports["$fluxbaseHandler"] ?? exports["handler"];
      assert.ok(typeof handler === "function");
      assert.deepEqual(await handler(), expected);
    });
  }

  const outside = /only lead to its own files|a path must begin with|no shared module|no file/;
  const refused: [string, string, RegExp][] = [
    ...[
      "fs",
      "node:fs",
      "fs/promises",
      "node:fs/promises",
      "npm:fs",
      "npm:fs@1",
      "npm:/fs",
      "npm:vm@1/x",
      "NODE:FS",
      "vm",
      "node:vm",
      "child_process",
      "node:child_process",
      "process",
      "node:process",
    ]
      .map((
        specifier,
      ): [string, string, RegExp] => [
        `blocked ${specifier}`,
        `import x from "${specifier}"; export default () => x;`,
        /is blocked for security/,
      ]),
    ["blocked, single quotes", `import x from 'node:fs'; export default () => x;`, /module fs is blocked/],
    ["blocked, escaped", `import x from "node:\\u0066s"; export default () => x;`, /module fs is blocked/],
    ["blocked, re-exported", `export * from "node:fs"; export default () => 1;`, /module fs is blocked/],
    [
      "blocked, re-exported by name",
      `export { readFile } from "node:fs"; export default () => 1;`,
      /module fs is blocked/,
    ],
    ["blocked, dynamic", `export default async () => await import("node:vm");`, /module vm is blocked/],
    ["blocked, dynamic in a template", "export default async () => await import(`node:vm`);", /module vm is blocked/],
    ["blocked, for its effect", `import "node:fs"; export default () => 1;`, /module fs is blocked/],
    [
      "blocked, required",
      `import { createRequire } from "node:module"; const require = createRequire(import.meta.url); export default () => require("node:fs");`,
      /module fs is blocked/,
    ],
    ["blocked behind the import map", `import x from "sneaky"; export default () => x;`, /module fs is blocked/],
    [
      "blocked behind a prefix of the import map",
      `import x from "sneaky/promises"; export default () => x;`,
      /module fs is blocked/,
    ],
    [
      "blocked in a shared module",
      `import x from "_shared/blocked.ts"; export default () => x;`,
      /module fs is blocked/,
    ],
    [
      "a built-in module that is not there",
      `import x from "node:nothing"; export default () => x;`,
      /no such module of Node/,
    ],
    ["a sibling that is not there", `import x from "./gone.ts"; export default () => x;`, /there is no file "gone.ts"/],
    [
      "a sibling without its ending",
      `import { helper } from "./helper"; export default () => helper;`,
      /did you mean "helper.ts"/,
    ],
    [
      "a sibling with the wrong ending",
      `import { helper } from "./helper.js"; export default () => helper;`,
      /did you mean "helper.ts"/,
    ],
    [
      "a shared module that is not there",
      `import x from "_shared/gone.ts"; export default () => x;`,
      /no shared module "_shared\/gone.ts"/,
    ],
    [
      "a shared module that is broken",
      `import x from "_shared/broken.ts"; export default () => x;`,
      /Unexpected token/,
    ],
    [
      "a target of the import map that is not there",
      `import x from "lost"; export default () => x;`,
      /no shared module "_shared\/lost.ts"/,
    ],
    ["a path above", `import x from "../other/index.ts"; export default () => x;`, outside],
    [
      "a path far above",
      `import x from "../../../../etc/passwd" with { type: "text" }; export default () => x;`,
      outside,
    ],
    ["an absolute path", `import x from "/etc/passwd" with { type: "text" }; export default () => x;`, outside],
    [
      "file:",
      `import x from "file:///etc/passwd" with { type: "text" }; export default () => x;`,
      /file: modules cannot be imported/,
    ],
    ["out of _shared", `import x from "_shared/../../etc/passwd"; export default () => x;`, outside],
    [
      "blob:, bun: and others",
      `import x from "bun:sqlite"; export default () => x;`,
      /bun: modules cannot be imported/,
    ],
    [
      "a name that is nothing",
      `import x from "left-pad"; export default () => x;`,
      /write "npm:left-pad" with a version/,
    ],
    [
      "a name of a workspace",
      `import x from "@v1/emails/welcome"; export default () => x;`,
      /map "@v1\/emails\/" in "imports" of deno.json.* "npm:\/@v1\/emails@<version>\/"/,
    ],
    [
      "native code behind a mirror",
      `import x from "https://esm.sh/sharp@0.33.0"; export default () => x;`,
      /sharp is native code/,
    ],
    [
      "a blocked module behind a mirror",
      `import x from "https://esm.sh/fs@0.0.1"; export default () => x;`,
      /module fs is blocked/,
    ],
    [
      "a package that is not there",
      `import x from "npm:fluxbase-no-such-package-0@1.0.0"; export default () => x;`,
      /there is no npm package/,
    ],
    ["a version that is not there", `import x from "npm:dayjs@999.0.0"; export default () => x;`, /dayjs.*version/],
    [
      "a host that is not allowed",
      `import x from "https://example.com/x.js"; export default () => x;`,
      /modules from example.com are not allowed/,
    ],
    [
      "plain HTTP",
      `import x from "http://esm.sh/x.js"; export default () => x;`,
      /modules come by HTTPS only; write https/,
    ],
    [
      "an address of the machine",
      `import x from "http://127.0.0.1:${closed.port}/name.js"; export default () => x;`,
      /are not allowed here/,
    ],
    [
      "a URL that leads to a host that is not allowed",
      `import x from "${at}/redirect.js?to=${
        encodeURIComponent(`http://127.0.0.1:${closed.port}/name.js`)
      }"; export default () => x;`,
      /not allowed here/,
    ],
    [
      "a host that does not answer",
      `import x from "http://127.0.0.1:${gone}/x.js"; export default () => x;`,
      /does not answer; try again/,
    ],
    ["a URL with nothing there", `import x from "${at}/gone.js"; export default () => x;`, /nothing at/],
    ["a URL with a password", `import x from "https://u:p@esm.sh/x.js"; export default () => x;`, /user or a password/],
    [
      "a remote module that reads a file",
      `import x from "${at}/reads-a-file.js"; export default () => x;`,
      /Cannot (import|bundle)/,
    ],
    [
      "a data: module that reads a file",
      `import x from "data:text/javascript,${
        encodeURIComponent(`import t from "file:///etc/passwd" with { type: "text" }; export default t;`)
      }"; export default () => x;`,
      /Cannot (import|bundle)/,
    ],
    [
      "a data: module from a host that is not allowed",
      `import x from "data:text/javascript,${
        encodeURIComponent(`export * from "http://127.0.0.1:1/x.js";`)
      }"; export default () => x;`,
      /not allowed here|Cannot (import|bundle)/,
    ],
    [
      "a data: module with a path",
      `import x from "data:text/javascript,import './helper.ts'"; export default () => x;`,
      /has no files beside it/,
    ],
    ["a data: module of an odd type", `import x from "data:text/html,x"; export default () => x;`, /must be of type/],
    ["required, not there", `export default () => require("./gone.cjs");`, /there is no file "gone.cjs"/],
    ["required, a bare name", `export default () => require("left-pad");`, /write "npm:left-pad" with a version/],
    [
      "blocked, dynamic in parentheses",
      `export default async () => await import(("node:" + "vm"));`,
      /module vm is blocked/,
    ],
  ];
  for (const [name, code, says] of refused) {
    await test.step(name, async () => {
      const built = await build(code);
      assert.ok(!built.ok, "it was accepted");
      const [problem] = built.problems;
      assert.match(problem?.message ?? "", says);
      assert.ok(!/\/tmp\/|file:\/\/\/tmp/.test(problem?.message ?? ""), JSON.stringify(problem));
      assert.equal(typeof problem?.file, "string");
      const isLocated = !name.includes("version that") && !/^a (remote|data:) module/.test(name);
      if (isLocated) {
        assert.ok((problem?.line ?? 0) > 0, JSON.stringify(problem));
      }
    });
  }

  await test.step("what a bundle was made of is told", async () => {
    const built = await build(`import { date } from "@lib/utils/date.ts"; export default () => date();`);
    assert.ok(built.ok);
    assert.deepEqual([...built.shared].sort(), ["_shared/cors.ts", "_shared/utils/date.ts"]);
    assert.equal(built.usesDenoJson, true);
  });

  await test.step("positions lead to the author's files, and none to this machine", async () => {
    const built = await build(
      `import { helper } from "./helper.ts";\nimport { z } from "npm:zod@3.22.4";\n\nexport default () => { helper(); z; throw new Error("x"); };`,
    );
    assert.ok(built.ok);
    const [, map = ""] = /sourceMappingURL=data:application\/json;base64,(.*)\n/.exec(built.code) ?? [];
    const { sources, sourcesContent } = JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(map)));
    assert.deepEqual([...sources].sort(), ["helper.ts", "index.ts", "npm:zod@3.22.4/lib/index.mjs"]);
    assert.deepEqual(
      sources.map((source: string, index: number) => [source, typeof sourcesContent[index]]).sort(),
      [["helper.ts", "string"], ["index.ts", "string"], ["npm:zod@3.22.4/lib/index.mjs", "object"]],
    );
    assert.ok(!built.code.includes(workDir));
  });

  await test.step("as many at once as there are", async () => {
    const results: BuildResult[] = await Promise.all(
      Array.from(
        { length: 20 },
        (_, index) => build(`import { helper } from "./helper.ts"; export default () => helper() + ${index};`),
      ),
    );
    assert.ok(results.every(({ ok }) => ok));
  });

  await test.step("no folder of a build is left", () => {
    assert.deepEqual([...Deno.readDirSync(`${workDir}/builds`)], []);
  });
  await bundler[Symbol.asyncDispose]();
  await Deno.remove(workDir, { recursive: true });
});

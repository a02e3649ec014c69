/**
 * Source in every shape: each is built, loaded as a sandbox loads it, and called.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createDenoServers } from "../../sandbox_runtime/deno_serve.ts";
import { loadHandler } from "../../sandbox_runtime/handler.ts";
import { Jobs } from "../../sandbox_runtime/ticks.ts";
import { Servers } from "../../sandbox_runtime/servers.ts";
import { startTestBundler } from "../../test/support/runtime.ts";

const HANDLER = `async function handler(req) { return 1; }`;

/** What the handler answers. */
const SHAPES: [name: string, code: string, answer: unknown, entry?: string][] = [
  ["declared", HANDLER, 1],
  ["declared, not async", `function handler(req) { return 2; }`, 2],
  ["exported", `export async function handler(req: Request): Promise<number> { return 3; }`, 3],
  ["a constant", `const handler = async (req) => 4;`, 4],
  ["let, assigned later", `let handler; handler = () => 5;`, 5],
  ["var", `var handler = function () { return 6; };`, 6],
  ["an exported constant", `export const handler = () => 7;`, 7],
  ["taken out of an object", `export const { handler } = { handler: () => 8 };`, 8],
  ["taken out of an object under another name", `const { a: handler } = { a: () => 9 };`, 9],
  ["taken out of a list", `const [, handler] = [0, () => 10];`, 10],
  ["default function with a name", `export default async function handler(req) { return 11; }`, 11],
  ["default function without a name", `export default function () { return 12; }`, 12],
  ["default arrow", `export default async (req) => 13;`, 13],
  ["default by name", `export { f as default }; function f() { return 14; }`, 14],
  ["handler as default", `${HANDLER} export { handler as default };`, 1],
  ["exported under its name later", `export { f as handler }; function f() { return 15; }`, 15],
  ["default object with fetch", `export default { fetch: () => 16 };`, 16],
  ["default object with fetch and this", `export default { answer: 17, fetch() { return this.answer; } };`, 17],
  [
    "default class with a static fetch",
    `export default { fetch: (class { static fetch() { return 18; } }).fetch };`,
    18,
  ],
  ["an instance of a class", `class App { #n = 19; fetch = () => this.#n; } export default new App();`, 19],
  ["Deno.serve", `Deno.serve(() => 20);`, 20],
  ["Deno.serve in a condition", `if (true) { Deno["serve"]({ port: 1 }, () => 21); }`, 21],
  ["Deno.serve and a handler: serve counts", `${HANDLER} Deno.serve(() => 22);`, 22],
  ["handler and default: default counts", `${HANDLER} export default () => 23;`, 23],
  ["handler and main: handler counts", `${HANDLER} function main() { return 24; }`, 1],
  ["two handlers in scopes: the top one counts", `${HANDLER} { const handler = () => 25; handler; }`, 1],
  ["main alone", `function main(req) { return 26; }`, 26],
  ["BOM", `\uFEFF${HANDLER}`, 1],
  ["shebang", `#!/usr/bin/env -S deno run\n${HANDLER}`, 1],
  ["CRLF", HANDLER.replaceAll(" ", "\r\n").replace("async\r\n", "async ").replace("return\r\n", "return "), 1],
  ["code that ends in a comment", `${HANDLER} // import fs from "fs"`, 1],
  ["code that ends in a block comment without a line end", `${HANDLER} /* the end */`, 1],
  ["code that ends in the name of the export", `${HANDLER}\n// $fluxbaseHandler`, 1],
  [
    "import in comments, strings, templates and expressions",
    `/* import "node:vm" */ const s = 'import x from "fs"'; const t = \`import "fs" \${s}\`; const r = /import "fs"/; export default () => [s, t, r].length;`,
    3,
  ],
  ["top-level await", `const wait = await Promise.resolve(27); export default () => wait;`, 27],
  ["await of a for loop", `const all = []; for await (const x of [28]) all.push(x); export default () => all[0];`, 28],
  ["a generator inside", `function* numbers() { yield 29; } export default () => [...numbers()][0];`, 29],
  [
    "an async generator inside",
    `async function* numbers() { yield 30; } export default async () => { for await (const n of numbers()) return n; };`,
    30,
  ],
  [
    "classes, private names, static blocks",
    `class A { static #n = 0; static { A.#n = 31; } static get n() { return A.#n; } } export default () => A.n;`,
    31,
  ],
  [
    "decorators",
    `function twice(value, { kind }) { return function () { return 2 * value.call(this); }; } class A { @twice n() { return 16; } } export default () => new A().n();`,
    32,
  ],
  ["enum and namespace", `enum E { X = 33 } namespace N { export const y = E.X } export default () => N.y;`, 33],
  [
    "types of every kind",
    `type A = { a?: string }; interface B extends A { b: number } declare const c: B; abstract class D<T> { abstract x(): T } export default (): number => (34 as const) satisfies number;`,
    34,
  ],
  ["parameter properties", `class A { constructor(readonly n: number) {} } export default () => new A(35).n;`, 35],
  ["using", `let log = 0; { using _ = { [Symbol.dispose]() { log = 36; } }; } export default () => log;`, 36],
  ["a label and a comma", `export default () => { out: for (;;) { break out; } return (1, 37); };`, 37],
  ["unicode names and text", `const größe = "👋"; export default () => größe + "\u{1F600}";`, "👋😀"],
  ["strict-only words as properties", `const o = { let: 1, static: 2, yield: 38 }; export default () => o.yield;`, 38],
  ["JavaScript", `module; export default () => 39; var module;`, 39, "index.js"],
  ["an .mts entry", `export default (): number => 40;`, 40, "index.mts"],
  [
    "TSX",
    `/** @jsxImportSource npm:preact@10.25.4 */\nexport default () => (<p id="x">{41}</p>).props.children;`,
    41,
    "index.tsx",
  ],
  [
    "JSX",
    `/** @jsxImportSource npm:preact@10.25.4 */\nexport default () => (<>{42}</>).props.children;`,
    42,
    "index.jsx",
  ],
  ["1 MB", `${HANDLER}\n${"// x\n".repeat(200_000)}`, 1],
];

const REFUSED: [name: string, code: string, says: RegExp, entry?: string][] = [
  ["nothing", "", /Cannot find a handler/],
  ["only space", " \n\t", /Cannot find a handler/],
  ["only a comment", "// async function handler() {}", /Cannot find a handler/],
  ["another export", "export const x = 1;", /Cannot find a handler/],
  ["a declaration without a body", "declare function handler(): void;", /Cannot find a handler/],
  ["a type", "type handler = 1;", /Cannot find a handler/],
  ["a type export", "type f = 1; export type { f as default };", /Cannot find a handler/],
  ["a handler in a block", "{ let handler = () => 1; }", /Cannot find a handler/],
  ["Deno.serve in a function that nobody calls", "function start() { Deno.serve(() => 1); }", /Cannot find a handler/],
  ["JSX in .ts", `export default () => <p/>;`, /Expected|Unexpected/],
  ["JSX without a library", `export default () => <p/>;`, /JSX needs a library; write/, "index.tsx"],
  ["two of one name", `const handler = 1; const handler = 2;`, /already been declared/],
  ["a broken escape", `const s = "\\u{110000}"; ${HANDLER}`, /./],
  [
    "decorators in JavaScript",
    `function d() {} class A { @d x = 1; } ${HANDLER} A;`,
    /no JavaScript that runs here/,
    "index.js",
  ],
  ["an end that is missing", `async function handler(req) {`, /Expected|Unexpected/],
];

Deno.test("source in every shape", { sanitizeResources: false }, async (test) => {
  const workDir = await Deno.makeTempDir();
  await Deno.chmod(workDir, 0o755);
  const bundler = await startTestBundler({
    workDir,
    networkEnv: Object.fromEntries(
      Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|registry|cert|^PATH$/i.test(name)),
    ),
  });
  const build = (code: string, entry = "index.ts") =>
    bundler.build({ entry, files: { [entry]: code }, shared: {}, denoJson: {}, isPreBundled: false });

  const nativeServe = Deno.serve;
  for (const [name, code, answer, entry] of SHAPES) {
    await test.step(name, async () => {
      const built = await build(code, entry);
      assert.ok(built.ok, JSON.stringify(built));
      const servers = new Servers();
      Object.defineProperty(Deno, "serve", { value: createDenoServers(servers).serve, configurable: true });
      try {
        const { handle } = await loadHandler(built.code, { servers, jobs: new Jobs(), failedLate: assert.fail });
        assert.deepEqual(await handle({}, {}), answer);
      } finally {
        Object.defineProperty(Deno, "serve", { value: nativeServe, configurable: true });
      }
    });
  }
  for (const [name, code, says, entry] of REFUSED) {
    await test.step(name, async () => {
      const built = await build(code, entry);
      assert.ok(!built.ok, "it was accepted");
      assert.match(built.problems[0]?.message ?? "", says);
    });
  }
  await bundler[Symbol.asyncDispose]();
  await Deno.remove(workDir, { recursive: true });
});

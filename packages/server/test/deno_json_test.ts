/**
 * A function's own `deno.json` and the folder's, in every form that Deno reads.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const LEGACY =
  `function Col() { return (target: any, key: string) => { target.cols = [...(target.cols ?? []), key]; }; }
class A { @Col() id!: number; @Col() name = "x"; }
export default () => (A.prototype as any).cols;`;

platformTest("a function brings its own deno.json", async (platform, step) => {
  async function answerOf(name: string, files: Record<string, string>): Promise<string> {
    const answer = await platform.api("POST", "/functions?strict=true", { name, files });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return await (await platform.call(name)).text();
  }
  const lib = { "lib/up.ts": `export const up = (text: string) => text.toUpperCase();` };
  const usesLib = `import { up } from "@lib/up.ts"; export default () => new Response(up("yes"));`;

  await step("names of its imports, with paths that start at the function", async () => {
    const denoJson = JSON.stringify({ imports: { "@lib/": "./lib/" } });
    assert.equal(await answerOf("named", { "index.ts": usesLib, "deno.json": denoJson, ...lib }), "YES");
  });
  await step("with comments and trailing commas", async () => {
    const text = `{\n  // names\n  "imports": { "@lib/": "./lib/", },\n  "tasks": {}, "lint": {},\n}`;
    assert.equal(await answerOf("commented", { "index.ts": usesLib, "deno.json": text, ...lib }), "YES");
    assert.equal(await answerOf("jsonc", { "index.ts": usesLib, "deno.jsonc": text, ...lib }), "YES");
  });
  await step("an import map, named and unnamed", async () => {
    const map = JSON.stringify({ imports: { "@lib/": "./lib/" }, scopes: {} });
    const denoJson = JSON.stringify({ importMap: "./import_map.json" });
    const files = { "index.ts": usesLib, "import_map.json": map, ...lib };
    assert.equal(await answerOf("mapped", { ...files, "deno.json": denoJson }), "YES");
    assert.equal(await answerOf("unnamed", files), "YES");
  });
  await step("packages by name, and JSX", async () => {
    const denoJson = JSON.stringify({
      compilerOptions: { jsx: "precompile", jsxImportSource: "hono/jsx" },
      imports: { hono: "npm:hono@4.7.8", "hono/": "npm:/hono@4.7.8/" },
    });
    const source = `const Hello = (p: { name: string }) => <b>Hi {p.name}</b>;
      export default () => new Response(String(<Hello name="<x>" />));`;
    assert.equal(await answerOf("jsx", { "index.tsx": source, "deno.json": denoJson }), "<b>Hi &lt;x&gt;</b>");
  });
  await step("decorators as it says", async () => {
    const denoJson = JSON.stringify({ compilerOptions: { experimentalDecorators: true } });
    assert.equal(await answerOf("legacy", { "index.ts": LEGACY, "deno.json": denoJson }), `["id","name"]`);
  });
  await step("one that is wrong says where", async () => {
    const wrong: [string, string, RegExp][] = [
      ["deno.json", `{\n "imports": {,}\n}`, /Cannot use deno\.json: line 2/],
      ["deno.json", `[]`, /must be an object/],
      ["deno.json", `{"imports": {"a": 1}}`, /"imports" must be an object of strings/],
      ["deno.json", `{"importMap": "./gone.json"}`, /"importMap" names "\.\/gone\.json", and there is no such file/],
    ];
    for (const [file, text, says] of wrong) {
      const files = { "index.ts": `export default () => 1;`, [file]: text };
      const answer = await platform.api("POST", "/functions?strict=true", { name: "wrong", files });
      assert.equal(answer.status, 422, JSON.stringify(answer.body));
      assert.match(answer.body.error, says);
    }
  });
  await step("scopes: other names for files of a folder", async () => {
    const denoJson = JSON.stringify({
      imports: { word: "./words/one.ts" },
      scopes: { "./lib/": { word: "./words/two.ts" }, "./lib/deep/": { word: "npm:ms@2.1.3" } },
    });
    const files = {
      "index.ts": `import word from "word"; import { lib } from "./lib/a.ts"; import { deep } from "./lib/deep/b.ts";
        export default () => [word, lib, deep];`,
      "lib/a.ts": `import word from "word"; export const lib = word;`,
      "lib/deep/b.ts": `import ms from "word"; export const deep = ms(1000);`,
      "words/one.ts": `export default "one";`,
      "words/two.ts": `export default "two";`,
    };
    assert.equal(await answerOf("scoped", { ...files, "deno.json": denoJson }), `["one","two","1s"]`);
    const named = { "deno.json": `{"importMap": "map.json"}`, "map.json": denoJson };
    assert.equal(await answerOf("scoped-map", { ...files, ...named }), `["one","two","1s"]`);
    const wrong = { ...files, "deno.json": `{"scopes": {"./lib/": {"word": 1}}}` };
    const { status, body } = await platform.api("POST", "/functions?strict=true", {
      name: "wrong-scope",
      files: wrong,
    });
    assert.equal(status, 422);
    assert.match(body.error, /Cannot use deno\.json: "scopes\["\.\/lib\/"\]" must be an object of strings/);
  });
});

/**
 * Templates and other files beside the code are read from the bundle, without any permission.
 *
 * @module
 */
import assert from "node:assert/strict";
import { platformTest } from "./support/platform.ts";

const WASM = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]).toBase64();

platformTest("a function reads the files beside it", async (platform, step) => {
  const files = { "templates/mail.html": "<p>Hé {{name}}</p>\n", "data.json": `{"n":1}`, "empty.wasm": WASM };
  const ways: Record<string, [code: string, gets: string]> = {
    "readTextFile with a URL": [
      `(await Deno.readTextFile(new URL("./templates/mail.html", import.meta.url))).replace("{{name}}", "Zoë")`,
      "<p>Hé Zoë</p>\n",
    ],
    "readTextFileSync with a path": [`Deno.readTextFileSync("./templates/mail.html").length`, "19"],
    "a path from import.meta.dirname": [`await Deno.readTextFile(import.meta.dirname + "/data.json")`, `{"n":1}`],
    "readFile": [`(await Deno.readFile(new URL("data.json", import.meta.url))).length`, "7"],
    "fetch": [`await (await fetch(new URL("./data.json", import.meta.url))).json()`, `{"n":1}`],
    "its type": [
      `(await fetch(new URL("./templates/mail.html", import.meta.url))).headers.get("content-type")`,
      "text/html; charset=utf-8",
    ],
    "WebAssembly": [
      `(await WebAssembly.compileStreaming(fetch(new URL("./empty.wasm", import.meta.url)))) instanceof WebAssembly.Module`,
      "true",
    ],
  };
  for (const [name, [code, gets]] of Object.entries(ways)) {
    await step(name, async () => {
      const index = `const text = (value) => typeof value === "object" ? JSON.stringify(value) : String(value);
        export default async () => new Response(text(${code}));`;
      const answer = await platform.api("POST", "/functions?strict=true", {
        name: "reader",
        files: { ...files, "index.ts": index },
      });
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      assert.equal(await (await platform.call("reader")).text(), gets);
      assert.equal((await platform.api("DELETE", "/functions/reader")).status, 204);
    });
  }
  await step("at the top level, and beside packages", async () => {
    await platform.api("POST", "/functions?strict=true", {
      name: "early",
      files: {
        ...files,
        "index.ts": `import ms from "npm:ms@2.1.3";
          const template = await Deno.readTextFile(new URL("./templates/mail.html", import.meta.url));
          export default () => new Response(template.replace("{{name}}", ms(60000)));`,
      },
    });
    assert.equal(await (await platform.call("early")).text(), "<p>Hé 1m</p>\n");
  });
  await step("and no other", async () => {
    for (const path of ["/etc/hostname", "./templates/../../etc/hostname", "templates", "constructor"]) {
      await platform.api("DELETE", "/functions/other");
      await platform.api("POST", "/functions?strict=true", {
        name: "other",
        files: {
          ...files,
          "index.ts": `export default async () => { try { return new Response(await Deno.readTextFile(${
            JSON.stringify(path)
          })); } catch (error) { return new Response(error.name); } };`,
        },
      });
      assert.equal(await (await platform.call("other")).text(), "NotCapable", path);
    }
  });
});

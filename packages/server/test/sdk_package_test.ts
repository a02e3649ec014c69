/**
 * The SDK as npm packs it, installed in an empty project and used by Node, by `import` and by `require`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "../../../tools/esbuild.ts";
import { withDeadline } from "../src/core/clock.ts";
import { findBrowser, openPage } from "./support/browser.ts";
import { type GuidePlace, guideSteps } from "./support/guide_sdk.ts";
import { platformTest } from "./support/platform.ts";

const SDK = fileURLToPath(new URL("../../sdk/", import.meta.url));
const GUIDE = fileURLToPath(new URL("./support/guide_sdk.ts", import.meta.url));
const PAGE_MS = 60_000;
const SIZE_MAX_BYTES = 15 * 1024;

const USE = `
const client = new FluxbaseClient({ url: process.env.URL, apiKey: process.env.FLUXBASE_CLIENT_KEY });
(async () => {
  await client.functions.create({ name: process.env.NAME, code: "async function handler(req) { const data = JSON.parse(req.body || '{}'); return { status: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ message: 'Hello ' + data.name + '!' }) } }", enabled: true });
  const result = await client.functions.invoke(process.env.NAME, { name: "Alice" });
  const error = await client.functions.get("missing").catch((error) => error);
  console.log(JSON.stringify([result, error instanceof FluxbaseError, error.code]));
})();`;

const TYPED = `
import { createClient, type FunctionSummary, type Session } from "@fluxbase/sdk";
const client = createClient<{
  functions: { hello: { input: { name: string }; output: { message: string } } };
  tables: { users: { id: number; name: string } };
}>("http://localhost:8080", "key");
const message: string = (await client.functions.invoke("hello", { name: "Alice" })).message;
const list: FunctionSummary[] = await client.functions.list();
const session: Session | null = await client.auth.getSession();
const { data } = await client.from("users").select("*").eq("id", 1);
const name: string | undefined = data?.[0]?.name;
// @ts-expect-error: a number is no name
await client.functions.invoke("hello", 5 as never as { name: number });
export { list, message, name, session };
`;

async function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd, env }).output();
  const text = new TextDecoder().decode(stdout);
  assert.ok(success, `${command} ${args.join(" ")}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

platformTest("the SDK as a package", async (platform, step) => {
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-sdk-" });
  const { url, serviceKey, anonKey } = platform;
  const place = { url, serviceKey, anonKey, clientKey: await platform.mintKey(["functions:*"]) };
  const env = { URL: platform.url, FLUXBASE_CLIENT_KEY: await platform.mintKey(["functions:*"]) };
  try {
    await step("npm packs it, and installs it in an empty project", async () => {
      await run("npm", ["pack", "--silent", "--pack-destination", dir], SDK);
      const [tarball = ""] = [...Deno.readDirSync(dir)].map(({ name }) => name);
      await Deno.writeTextFile(join(dir, "package.json"), `{"private":true,"type":"module"}`);
      await run("npm", ["install", "--offline", "--no-audit", "--no-fund", `./${tarball}`], dir);
      const { dependencies } = JSON.parse(
        await Deno.readTextFile(join(dir, "node_modules/@fluxbase/sdk/package.json")),
      );
      assert.equal(dependencies, undefined);
    });

    await step("it is small", async () => {
      const file = await Deno.open(join(dir, "node_modules/@fluxbase/sdk/dist/index.js"));
      const packed = await new Response(file.readable.pipeThrough(new CompressionStream("gzip"))).bytes();
      assert.ok(packed.length <= SIZE_MAX_BYTES, `${packed.length} bytes`);
    });

    await step("Node uses it, by import and by require", async () => {
      await Deno.writeTextFile(
        join(dir, "use.mjs"),
        `import { FluxbaseClient, FluxbaseError } from "@fluxbase/sdk";${USE}`,
      );
      await Deno.writeTextFile(
        join(dir, "use.cjs"),
        `const { FluxbaseClient, FluxbaseError } = require("@fluxbase/sdk");${USE}`,
      );
      for (const file of ["use.mjs", "use.cjs"]) {
        const said = await run("node", [file], dir, { ...env, NAME: `hello-${file.slice(4)}` });
        assert.deepEqual(JSON.parse(said), [{ message: "Hello Alice!" }, true, "FUNCTION_NOT_FOUND"], file);
      }
    });

    await step("the guide's blocks, in Node", async () => {
      await bundle(GUIDE, { outfile: join(dir, "guide.mjs"), format: "esm", platform: "neutral", sdk: "installed" });
      const code =
        `import { runGuide } from "./guide.mjs"; console.log(await runGuide(JSON.parse(process.env.PLACE)));`;
      await Deno.writeTextFile(join(dir, "run.mjs"), code);
      const said = JSON.parse(await run("node", ["run.mjs"], dir, { PLACE: JSON.stringify(place) }));
      assert.deepEqual([said.error, said.passed.length], [undefined, guideSteps(place).length]);
    });

    const browser = await findBrowser();
    if (browser !== undefined) {
      await step("the guide's blocks, in a browser, on a page of another origin", async () => {
        await bundle(join(dir, "guide.mjs"), {
          outfile: join(dir, "page.js"),
          format: "esm",
          platform: "browser",
          sdk: "installed",
        });
        const said = await inBrowser(browser, await Deno.readTextFile(join(dir, "page.js")), place);
        assert.deepEqual([said.error, said.passed.length], [undefined, guideSteps(place).length]);
      });
    }

    await step("its types hold what they promise", async () => {
      await Deno.writeTextFile(join(dir, "typed.ts"), TYPED);
      await run(Deno.execPath(), ["check", "--node-modules-dir=manual", "typed.ts"], dir);
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

/** The page sends what came of it to where it was loaded from. */
async function inBrowser(
  browser: string,
  code: string,
  place: GuidePlace,
): Promise<{ passed: string[]; error?: string }> {
  const html = `<!doctype html><script type="module">
    import { runGuide } from "/page.js";
    await fetch("/said", { method: "POST", body: await runGuide(${JSON.stringify(place)}) });
  </script>`;
  const { promise: said, resolve } = Promise.withResolvers<string>();
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/said") resolve(await request.text());
    return pathname === "/page.js"
      ? new Response(code, { headers: { "content-type": "text/javascript" } })
      : new Response(html, { headers: { "content-type": "text/html" } });
  });
  await using _ = await openPage(browser, `http://127.0.0.1:${server.addr.port}/`);
  return JSON.parse(await withDeadline(said, PAGE_MS, () => new Error("The page said nothing")));
}

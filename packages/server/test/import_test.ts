/**
 * `fluxbase import`: projects as Supabase's and Cloudflare's tools lay them out become functions that answer; and the
 * guide's chapter "Migrating from Supabase", there and back.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { write } from "./support/functions_dir.ts";
import { platformTest } from "./support/platform.ts";

const CLI = fileURLToPath(new URL("../../cli/mod.ts", import.meta.url));

async function importInto(folder: string, origin: string, path: string, args: readonly string[] = []) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", CLI, "--output", "json", "import", origin, path, "--folder", folder, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, err: err ?? "", said: code === 0 ? JSON.parse(out ?? "") : undefined };
}

/** As `supabase init` and `supabase functions new` write it, and as people go on from there. */
const SUPABASE = {
  "supabase/config.toml": `project_id = "shop"\n[api]\nport = 54321\n` +
    `[functions.hello-world]\nenabled = true\nverify_jwt = true\nimport_map = "./functions/hello-world/deno.json"\nentrypoint = "./functions/hello-world/index.ts"\n` +
    `# static_files = [ "./functions/hello-world/*.html" ]\n` +
    `[functions.hook]\nverify_jwt = false\nstatic_files = ["./functions/hook/*.html"]\n` +
    `[functions.other]\nentrypoint = "./functions/other/main.ts"\nimport_map = "./maps/other.json"\n` +
    `[functions.gone]\nverify_jwt = false\n`,
  "supabase/maps/other.json": JSON.stringify({
    imports: { "@shared/": "../functions/_shared/", "@lib/": "../../lib/" },
  }),
  "supabase/.gitignore": ".branches\n.temp\n",
  "supabase/functions/.env": "GREETING=Hello\n",
  "supabase/functions/hello-world/.npmrc": "",
  "supabase/functions/hello-world/deno.json": JSON.stringify({
    imports: { "@supabase/functions-js": "jsr:@supabase/functions-js@^2" },
  }),
  "supabase/functions/hello-world/index.ts": `// Setup type definitions for built-in Supabase Runtime APIs
console.log("Hello from Functions!")

Deno.serve(async (req) => {
  const { name } = await req.json()
  const data = {
    message: \`\${Deno.env.get("GREETING")} \${name}!\`,
  }

  return new Response(
    JSON.stringify(data),
    { headers: { "Content-Type": "application/json" } },
  )
})
`,
  "supabase/functions/_shared/cors.ts": `export const corsHeaders = { "x-shared": "yes" };`,
  "supabase/functions/hook/page.html": "<p>hook</p>",
  "supabase/functions/hook/logo.png": new Uint8Array([137, 80, 78, 71]),
  "supabase/functions/hook/index.ts":
    `import { corsHeaders } from "../_shared/cors.ts"; import { check } from "../../../lib/check.ts"; import { helper } from "../helpers/one.ts";
Deno.serve(async () => new Response(check() + helper + await Deno.readTextFile(new URL("./page.html", import.meta.url)), { headers: corsHeaders }));`,
  "supabase/functions/helpers/one.ts": `export const helper = " helped ";`,
  "supabase/functions/other/main.ts":
    `import { corsHeaders } from "@shared/cors.ts"; Deno.serve(() => Response.json(corsHeaders)); export const kv = () => Deno.openKv();`,
  "lib/check.ts": `import { deep } from "./deep/deep.ts"; export const check = () => "checked" + deep;`,
  "lib/deep/deep.ts": `export const deep = " deeply";`,
  "supabase/migrations/1_init.sql": "select cron.schedule('x', '* * * * *', 'select 1');",
  "package.json": "{}",
};

/** As `create-cloudflare` writes it, in both spellings of its configuration. */
const WORKER = {
  "wrangler.jsonc": `/** For more details on how to configure Wrangler, refer to its documentation */
{
	"$schema": "node_modules/wrangler/config-schema.json",
	"name": "my-worker",
	"main": "src/index.ts",
	"compatibility_date": "2025-11-01",
	"vars": { "MODE": "production", "LIMITS": { "max": 3 } },
	"triggers": { "crons": ["*/5 * * * *", "0 17 * * 1-3/2"] },
	"routes": [{ "pattern": "shop.invalid/api/*", "zone_name": "shop.invalid" }],
	"kv_namespaces": [{ "binding": "CACHE", "id": "x" }],
	"d1_databases": [{ "binding": "DB", "database_name": "d", "database_id": "x" }],
	"observability": { "enabled": true },
}`,
  ".dev.vars": `TOKEN="dev token"\n`,
  "package.json": JSON.stringify({
    name: "my-worker",
    devDependencies: { wrangler: "^4", vitest: "~3" },
    dependencies: { ms: "^2.1.3" },
  }),
  "src/index.ts": `import ms from "ms"; import { version } from "../version.ts"; import { greet } from "./greet";
export default { async fetch(request: Request, env: Record<string, string>, ctx: unknown): Promise<Response> { return Response.json([greet(), version, ms(1000), env?.MODE ?? Deno.env.get("MODE"), Deno.env.get("TOKEN"), Deno.env.get("LIMITS")]); } };`,
  "src/greet.ts": `export const greet = () => "hi";`,
  "version.ts": `export const version = 3;`,
};

const home = await Deno.makeTempDir({ prefix: "fluxbase-import-" });
const folder = join(home, "functions");
await write(join(home, "shop"), SUPABASE);
await write(join(home, "worker"), WORKER);
await write(join(home, "worker-toml"), {
  "wrangler.toml":
    `name = "from-toml"\nmain = "worker.js"\n[vars]\nA = "1"\n[[r2_buckets]]\nbinding = "FILES"\nbucket_name = "b"\n`,
  "worker.js": `import { b } from "./b.js"; export default { fetch: () => new Response("toml" + b) };`,
  "b.js": `export const b = "!";`,
  "unrelated.js": "nothing",
});
const supabase = await importInto(folder, "supabase", join(home, "shop"));
const worker = await importInto(folder, "workers", join(home, "worker/wrangler.jsonc"));
const toml = await importInto(folder, "workers", join(home, "worker-toml"));

platformTest("functions of other platforms", async (platform, step) => {
  const rowOf = (said: { functions: { function: string }[] }, name: string) =>
    said.functions.find((one) => one.function === name);
  const post = (name: string, body = "{}", headers: HeadersInit = {}) =>
    fetch(`${platform.url}/functions/v1/${name}`, { method: "POST", body, headers });
  const key = { authorization: `Bearer ${platform.anonKey}` };

  // A start waits for the folder for 2 s, and goes on behind it.
  assert.equal((await platform.api("POST", "/admin/functions/reload")).status, 200);

  await step("a Supabase project: what is said of each function", () => {
    assert.equal(supabase.code, 0, supabase.err);
    assert.deepEqual(rowOf(supabase.said, "hello-world"), {
      function: "hello-world",
      shape: "Deno.serve",
      runs: "as it is",
      changes: [],
    });
    assert.deepEqual(rowOf(supabase.said, "hook"), {
      function: "hook",
      shape: "Deno.serve",
      runs: "after changes",
      changes: ["files that are no text were left out: logo.png"],
    });
    assert.deepEqual(rowOf(supabase.said, "other"), {
      function: "other",
      shape: "Deno.serve",
      runs: "after changes",
      changes: ["Deno.openKv is not there: keep it in a table"],
    });
    assert.deepEqual(rowOf(supabase.said, "gone"), {
      function: "gone",
      shape: "none found",
      runs: "no",
      changes: ["there is no index.ts"],
    });
    assert.match(supabase.said.notes.join("\n"), /cron\.schedule, which is not there/);
  });

  await step("its functions answer, with .env, shared modules, files beside them and above them", async () => {
    const hello = await post("hello-world", `{"name":"Functions"}`, key);
    assert.deepEqual(await hello.json(), { message: "Hello Functions!" });
    assert.equal((await post("hello-world")).status, 401);
    const hook = await post("hook");
    assert.equal(await hook.text(), "checked deeply helped <p>hook</p>");
    assert.equal(hook.headers.get("x-shared"), "yes");
    assert.deepEqual(await (await post("other", "{}", key)).json(), { "x-shared": "yes" });
  });

  await step("a Worker: vars, packages, and what is not there", async () => {
    assert.equal(worker.code, 0, worker.err);
    const { shape, runs, changes } = worker.said.functions[0];
    assert.deepEqual([shape, runs], ["export default { fetch }", "after changes"]);
    assert.deepEqual(changes, [
      "KV is not there (CACHE): keep it in a table",
      "D1 is not there (DB): use the database of the platform (DATABASE_URL)",
      "it was called at shop.invalid/api/*: now at /functions/v1/my-worker, or let a proxy lead there",
    ]);
    assert.deepEqual(await (await post("my-worker")).json(), ["hi", 3, "1s", "production", "dev token", `{"max":3}`]);
    const { body } = await platform.api("GET", "/functions/my-worker");
    assert.deepEqual(body.schedules.map(({ cron }: { cron: string }) => cron), ["*/5 * * * *", "0 17 * * 0-2/2"]);
    assert.equal(await (await post("from-toml")).text(), "toml!");
    assert.deepEqual(toml.said.functions[0].changes, [
      "R2 is not there (FILES): use a service of objects by its S3 API",
    ]);
    assert.ok(!toml.said.files.includes("from-toml/unrelated.js"));
  });

  await step("nothing is overwritten, and what is no project is told", async () => {
    const again = await importInto(folder, "supabase", join(home, "shop"));
    assert.deepEqual([again.code, /exists already: import into another folder/.test(again.err)], [2, true]);
    const dry = await importInto(join(home, "nowhere"), "supabase", join(home, "shop"), ["--dry-run"]);
    assert.equal(dry.code, 0);
    await assert.rejects(Deno.stat(join(home, "nowhere")));
    const none = await importInto(folder, "supabase", join(home, "worker"));
    assert.deepEqual([none.code, /has no supabase\/functions/.test(none.err)], [2, true]);
    await write(join(home, "broken"), {
      "wrangler.toml": "name = ",
      "supabase/config.toml": "x",
      "supabase/functions/a.ts": "",
    });
    for (const origin of ["supabase", "workers"]) {
      const broken = await importInto(folder, origin, join(home, "broken"));
      assert.deepEqual([broken.code, /Cannot read .*\.toml/.test(broken.err)], [2, true]);
    }
  });
  await Deno.remove(home, { recursive: true });
}, {
  FLUXBASE_FUNCTIONS_FUNCTIONS_DIR: folder,
  ...Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
});

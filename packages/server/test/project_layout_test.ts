/**
 * Projects as they lie on other platforms: files beside functions, package.json, `.env` and config.toml of the folder.
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { read, write } from "./support/functions_dir.ts";
import { platformTest } from "./support/platform.ts";

const project = await Deno.makeTempDir({ prefix: "fluxbase-project-" });
const dir = join(project, "functions");
await write(dir, {
  "../config.toml": `[functions.open]\nverify_jwt = false\n[functions.off]\nenabled = false\nstatic_files = ["./x"]\n` +
    `[functions.closed]\nverify_jwt = true\nentrypoint = "./functions/closed/main.ts"\n`,
  ".env": `SHARED=of the folder\nOWN=folder's\n`,
  "package.json": JSON.stringify({
    dependencies: { ms: "^2.1.3", kleur: "npm:colorette@^2.0.20", local: "file:../x" },
  }),
  "deno.json": JSON.stringify({ imports: { "@lib/": "./lib/" } }),
  "lib/names.ts": `import { embed } from "../helpers/embed.ts"; export const names = "names" + embed("abc");`,
  "helpers/embed.ts":
    `import type { Database } from "../database.ts"; import { up } from "../_lib/up.ts"; import { tag } from "../_shared/db/database.types.ts";
     export const embed = (text: Database) => up(text) + tag + Deno.readTextFileSync(new URL("./hello.txt", import.meta.url)) + Deno.readTextFileSync(new URL("../_shared/mails/hi.html", import.meta.url));
     // "./hello.txt"`,
  "helpers/hello.txt": "hello",
  "database.ts": "export type Database = string; export const tables = 1;",
  "_lib/up.ts": "export const up = (text: string) => text.toUpperCase();",
  "_shared/db/database.types.ts": `export const tag = "!";`,
  "_shared/mails/hi.html": "<hi>",
  "open/index.ts":
    `import { embed } from "../helpers/embed.ts"; import type { Database } from "../database.ts"; import { names } from "@lib/names.ts";
     import ms from "ms"; import { bold } from "kleur";
     export default () => [embed("a" as Database), names, ms(60000), typeof bold, Deno.env.get("SHARED"), Deno.env.get("OWN")];`,
  "open/.env": "OWN=mine\n",
  "closed/index.ts": `export default () => Deno.env.get("OWN");`,
  "off/index.ts": `export default () => "off";`,
  "far/index.ts": `import x from "../../config.toml" with { type: "text" }; export default () => x;`,
  "leak/index.ts": `import x from "../secret/index.ts" with { type: "text" }; export default () => x;`,
  "secret/index.ts": `// @fluxbase:namespace team\nexport default () => "secret";`,
  "own/index.ts": `import x from "../deno.json" with { type: "json" }; export default () => x;`,
});

platformTest("a project of another platform as a functions folder", async (platform, step) => {
  const reload = async () => (await platform.api("POST", "/admin/functions/reload")).body;
  const first = await reload();
  const errorOf = (name: string) => first.errors.find((one: { name: string }) => one.name === name)?.error;

  await step("files beside a function, names of package.json, and the folder's .env", async () => {
    const response = await fetch(`${platform.url}/functions/v1/open`, { headers: { authorization: "Bearer none" } });
    await response.body?.cancel();
    assert.deepEqual(await (await platform.call("open")).json(), [
      "A!hello<hi>",
      "namesABC!hello<hi>",
      "1m",
      "function",
      "of the folder",
      "mine",
    ]);
    assert.deepEqual(await (await platform.call("closed")).json(), "folder's");
  });

  await step("they belong to the version, under paths that begin with ../", async () => {
    const { body } = await platform.api("GET", "/functions/open");
    assert.deepEqual(
      Object.keys(body.files).filter((path) => path.startsWith("../")).sort(),
      ["../_lib/up.ts", "../database.ts", "../helpers/embed.ts", "../helpers/hello.txt", "../lib/names.ts"],
    );
    // What GET gave may be sent.
    const sent = await platform.api("POST", "/functions?strict=true", {
      name: "copy",
      files: body.files,
      namespace: "x",
    });
    assert.equal(sent.status, 201, JSON.stringify(sent.body));
  });

  await step("config.toml opens and disables functions", async () => {
    const anonymous = (name: string, headers = {}) =>
      fetch(`${platform.url}/api/v1/functions/${name}/invoke`, { headers }).then(async (response) => {
        await response.body?.cancel();
        return response.status;
      });
    assert.deepEqual([await anonymous("open"), await anonymous("closed"), await anonymous("off")], [200, 401, 403]);
    // What verify_jwt = false means: the secret of a cron job is the function's business.
    assert.equal(await anonymous("open", { authorization: "Bearer cron-secret" }), 200);
    await write(dir, { "../config.toml": `[functions.open]\nverify_jwt = true\n` });
    await reload();
    assert.equal(await anonymous("open"), 401);
  });

  await step("what is left out is said", () => {
    const said = first.warnings.join("\n");
    assert.match(said, /package\.json: dependency "local" is left out: file:/);
    assert.match(said, /config\.toml: entrypoint of function "closed" is left out/);
    assert.match(said, /database\.ts is no function: it has no handler, and open imports it/);
    assert.doesNotMatch(said, /helpers\/ was left out/);
  });

  await step("nothing above the functions folder, of another namespace, or of the build is in reach", async () => {
    assert.match(errorOf("far"), /far|index\.ts:1:15: Cannot import "\.\.\/\.\.\/config\.toml": the path leaves/);
    assert.match(errorOf("leak"), /there is no file "\.\.\/secret\/index\.ts" beside the function's folder/);
    assert.match(errorOf("own"), /there is no file "\.\.\/deno\.json"/);
    for (const path of ["../deno.json", "../own/x.ts", "../../x.ts", "../_shared/x.ts", "../.env", "../a/../x.ts"]) {
      const { status, body } = await platform.api("POST", "/functions", {
        name: "sends",
        files: { "index.ts": `import "./x.ts"; export default () => 1;`, [path]: "export {};" },
      });
      assert.deepEqual([path, status, body.code], [path, 400, "INVALID_ARGUMENT"]);
    }
  });

  await step("a change of a file beside reaches the functions that import it", async () => {
    await write(dir, { "_lib/up.ts": `export const up = (text: string) => "<" + text;` });
    await reload();
    const [said] = await (await platform.call("open")).json();
    assert.equal(said, "<a!hello<hi>");
    assert.equal(dirname(await read(dir, "helpers/hello.txt")), ".");
  });
  await Deno.remove(project, { recursive: true });
}, {
  FLUXBASE_FUNCTIONS_FUNCTIONS_DIR: dir,
  ...Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => /proxy|npm_config_registry|cert/i.test(name)),
  ),
});

/**
 * The command line as npm packs it, installed in an empty folder and run by Node against a whole server.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { platformTest } from "./support/platform.ts";

const CLI = fileURLToPath(new URL("../../cli/", import.meta.url));
const NPM_VARIABLES = /^(PATH|HOME|npm_config_.*|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i;

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

platformTest("the command line", async (platform, step) => {
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-cli-" });
  const home = join(dir, "home");
  await Deno.mkdir(home);

  async function run(command: string, args: readonly string[], { cwd = dir, stdin, env = {} }: {
    cwd?: string;
    stdin?: string;
    env?: Record<string, string>;
  } = {}): Promise<Said> {
    const inherited = Object.fromEntries(
      Object.entries(Deno.env.toObject()).filter(([name]) => NPM_VARIABLES.test(name)),
    );
    const child = new Deno.Command(command, {
      args: [...args],
      cwd,
      clearEnv: true,
      env: { ...inherited, ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    if (stdin !== undefined) await writer.write(new TextEncoder().encode(stdin));
    await writer.close().catch(() => {});
    const { code, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
  }
  const server = { HOME: home, FLUXBASE_URL: platform.url, FLUXBASE_SERVICE_ROLE_KEY: platform.serviceKey };
  const fluxbase = (args: readonly string[], options: { stdin?: string; env?: Record<string, string> } = {}) =>
    run("node", ["node_modules/fluxbase/bin/fluxbase.mjs", ...args], { env: server, ...options });
  const good = async (args: readonly string[], options: { stdin?: string; env?: Record<string, string> } = {}) => {
    const said = await fluxbase(args, options);
    assert.equal(said.code, 0, `${args.join(" ")}: ${said.out}${said.err}`);
    return said;
  };

  try {
    await step("npm packs it, and installs it in an empty folder", async () => {
      const packed = await run("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: CLI });
      assert.equal(packed.code, 0, packed.err);
      const tarball = [...Deno.readDirSync(dir)].find(({ name }) => name.endsWith(".tgz"))?.name ?? "";
      await Deno.writeTextFile(join(dir, "package.json"), `{"private":true}`);
      const installed = await run("npm", ["install", "--offline", "--no-audit", "--no-fund", `./${tarball}`]);
      assert.equal(installed.code, 0, installed.err);
      assert.match((await good(["--version"])).out, /^\d+\.\d+\.\d+/);
    });

    await step("writes a function, deploys it, calls it, shows its log, rolls it back", async () => {
      await good(["functions", "new", "hello"]);
      assert.match(
        (await good(["functions", "deploy", "functions/hello.ts"])).err,
        /Deployed default\/hello, version 1/,
      );
      const called = await good(["functions", "invoke", "hello", "--data", `{"name": "Alice"}`]);
      assert.deepEqual(JSON.parse(called.out), { message: "Hello Alice!" });
      await Deno.writeTextFile(
        join(dir, "functions/hello.ts"),
        `export default (req) => { console.log("called"); return 2; };`,
      );
      await good(["functions", "deploy", "functions/hello.ts"]);
      assert.equal((await good(["functions", "invoke", "hello", "-d", "-"], { stdin: "x" })).out, "2");
      assert.match((await good(["functions", "logs", "hello"])).out, /info {2}called/);
      const versions = JSON.parse((await good(["functions", "versions", "hello", "--output", "json"])).out);
      assert.deepEqual(versions.map(({ version }: { version: number }) => version), [2, 1]);
      await good(["functions", "rollback", "hello", "1"]);
      assert.match((await good(["functions", "invoke", "hello"])).out, /Hello World!/);
      assert.match((await good(["functions", "list"])).out, /NAMESPACE +NAME.*\ndefault +hello/);
      assert.match((await good(["functions", "executions", "hello"])).out, /success/);
    });

    await step("a folder of several files, and many functions at once", async () => {
      await Deno.mkdir(join(dir, "functions/multi"), { recursive: true });
      await Deno.writeTextFile(
        join(dir, "functions/multi/index.ts"),
        `import { two } from "./two.ts"; export default () => two;`,
      );
      await Deno.writeTextFile(join(dir, "functions/multi/two.ts"), `export const two = "two";`);
      assert.match((await good(["functions", "sync", "--dry-run"])).err, /1 created|Would/i);
      await good(["functions", "sync"]);
      assert.equal((await good(["functions", "invoke", "multi"])).out, `"two"`);
      await Deno.writeTextFile(join(dir, "functions/broken.ts"), `export default () => {`);
      const broken = await fluxbase(["functions", "deploy", "functions/broken.ts"]);
      assert.deepEqual([broken.code, broken.out], [1, ""]);
      assert.match(broken.err, /^error: .*broken/);
    });

    await step("the guide's lines about secrets", async () => {
      await good(["settings", "secrets", "set", "stripe_api_key", "sk_live_xxx"]);
      await good(["settings", "secrets", "set", "openai_api_key", "sk-proj-xxx"]);
      assert.match((await good(["settings", "secrets", "list"])).out, /openai_api_key.*\nstripe_api_key/);
      await good(["settings", "secrets", "set", "from_a_pipe"], { stdin: "piped value\n" });
      await platform.deploy(
        "reads",
        `export default () => [secrets.get("stripe_api_key"), secrets.get("from_a_pipe")];`,
      );
      assert.deepEqual(JSON.parse((await good(["functions", "invoke", "reads"])).out), ["sk_live_xxx", "piped value"]);
      await good(["settings", "secrets", "delete", "from_a_pipe"]);
      assert.match((await fluxbase(["settings", "secrets", "get", "from_a_pipe"])).err, /not found/);
      const { body } = await platform.api("POST", "/auth/signup", {
        email: "a@example.com",
        password: "a long password",
      });
      await good(["settings", "secrets", "set", "mine", "--user", "--key", body.access_token], { stdin: "my own" });
      const mine = await good([
        "--output",
        "json",
        "settings",
        "secrets",
        "list",
        "--user",
        "--key",
        body.access_token,
      ]);
      assert.deepEqual(JSON.parse(mine.out).map(({ key }: { key: string }) => key), ["mine"]);
    });

    await step("keys, shared modules, the database", async () => {
      const { out: key } = await good(["keys", "create", "ci", "--scope", "functions:invoke"]);
      assert.match(key, /^fbk_/);
      assert.match((await good(["keys", "list"])).out, /ci/);
      await Deno.writeTextFile(join(dir, "name.ts"), `export const name = "x";`);
      assert.match((await good(["shared", "set", "_shared/name.ts", "name.ts"])).err, /version 1/);
      assert.match((await good(["shared", "get", "_shared/name.ts"])).out, /export const name/);
      await good(["db", "query", "create table notes (id int, text text); insert into notes values (1, 'a')"]);
      assert.match((await good(["db", "query"], { stdin: "select * from notes" })).out, /^ID +TEXT\n1 +a/);
      await good([
        "db",
        "query",
        "create type mood as enum ('good', 'bad'); create table days (id int not null, mood mood, tags text[] not null, data jsonb)",
      ]);
      assert.equal(
        (await good(["types"])).out.replace(/^.*\n/, ""),
        `export interface Tables {
  days: {
    id: number;
    mood: "good" | "bad" | null;
    tags: string[];
    data: unknown;
  };
  notes: {
    id: number | null;
    text: string | null;
  };
}
`,
      );
      assert.match(
        (await good(["doctor"])).out,
        /ok {3}the database answers\nok {3}the key is accepted\nok {3}tables are served/,
      );
      const away = await fluxbase(["doctor", "--url", "http://127.0.0.1:9"]);
      assert.deepEqual([away.code, /^BAD {2}No server answers/.test(away.out)], [1, true]);
      assert.match((await fluxbase(["db", "query", "selekt"])).err, /^error: syntax error/);
    });

    await step("profiles, and what goes wrong", async () => {
      const bare = { HOME: home };
      const unknown = await fluxbase(["functions", "list"], { env: bare });
      assert.deepEqual([unknown.code, unknown.out], [2, ""]);
      assert.match(unknown.err, /fluxbase login/);
      await good(["login", "--url", platform.url], { env: bare, stdin: `${platform.serviceKey}\n` });
      assert.match((await good(["functions", "list"], { env: bare })).out, /hello/);
      const { mode } = await Deno.stat(join(home, ".config/fluxbase/config.json"));
      assert.equal((mode ?? 0) & 0o777, 0o600);
      assert.equal((await fluxbase(["login", "--url", platform.url], { env: bare, stdin: "wrong" })).code, 1);
      const typo = await fluxbase(["function", "list"]);
      assert.equal(typo.code, 2);
      assert.match(typo.err, /Did you mean functions\?/);
      assert.equal((await fluxbase(["functions", "get", "missing"])).code, 1);
      await good(["functions", "delete", "hello"]);
      await good(["functions", "restore", "hello"]);
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

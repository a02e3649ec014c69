/**
 * The command line as npm packs it, installed in an empty folder and run by Node against a whole server.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { delay } from "../src/core/clock.ts";
import { platformTest, type TestPlatform } from "./support/platform.ts";

const PACKAGES = fileURLToPath(new URL("../../", import.meta.url));
/** With what people have in names of folders. */
const PROJECT = "ein Projekt, mit ü";
const FLUXBASE_SETUP_TOKEN = "the setup token of a test";
const NPM_VARIABLES = /^(PATH|HOME|npm_config_.*|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i;

/** A server in between, which remembers what was asked for. */
function recordingProxy(target: string): AsyncDisposable & { readonly url: string; readonly seen: Set<string> } {
  const seen = new Set<string>();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname, search } = new URL(request.url);
    seen.add(`${request.method} ${pathname}`);
    const { method, headers, body } = request;
    return fetch(`${target}${pathname}${search}`, { method, headers, body });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    seen,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Routes that are no management of a server, and names of others for the same thing. */
const NO_COMMAND = [
  // For clients of Supabase, and what they find absent.
  / \/(auth|storage|realtime|graphql)\/v1/,
  // As PATCH, and in the answer of GET.
  /^PUT .*-keys\//,
  /\/revocations$/,
  /^\w+ \/(rest|api)\/v1\/(\{table\}|tables\/|rpc\/)/, // Rows: the SDK's, and `db query`.
  /^PATCH \/api\/v1\/functions/, // As PUT.
  /^\w+ \/api\/v1\/(auth\/(signup|refresh|user|config|captcha|account|oauth|saml)|dashboard\/|admin\/(login|refresh|logout|me|setup\/status))/,
  /^GET \/api\/v1\/settings\/secret$/, // As /settings/secrets.
  /^GET \/$/, // Says where everything is.
  /^GET \/api\/v1\/health/, // `doctor` asks for readiness, at the root.
  /^(GET|PUT|PATCH|DELETE) .*\/invoke$/, // As POST, with --method.
  /\/secrets\/\{id\}/, // By name.
  / \/api\/v1\/settings\/(batch|user\/(own|system)\/|\{key\})/, // For programs.
  /^GET \/api\/v1\/admin\/language$/, // Editors do.
  /^GET \/metrics$/, // Prometheus reads it.
];

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
  await using proxy = recordingProxy(platform.url);
  const server = { HOME: home, FLUXBASE_URL: proxy.url, FLUXBASE_SERVICE_ROLE_KEY: platform.serviceKey };
  const fluxbase = (args: readonly string[], options: { stdin?: string; env?: Record<string, string> } = {}) =>
    run("node", ["node_modules/fluxbase/bin/fluxbase.mjs", ...args], { env: server, ...options });
  const good = async (args: readonly string[], options: { stdin?: string; env?: Record<string, string> } = {}) => {
    const said = await fluxbase(args, options);
    assert.equal(said.code, 0, `${args.join(" ")}: ${said.out}${said.err}`);
    return said;
  };

  try {
    await step("npm packs it, and installs it in an empty folder", async () => {
      for (const name of ["cli", "sdk", "server"]) {
        const cwd = join(PACKAGES, name);
        const packed = await run("npm", ["pack", "--silent", "--pack-destination", dir], { cwd });
        assert.equal(packed.code, 0, packed.err);
      }
      const tarballs = [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => name.endsWith(".tgz"));
      await Deno.writeTextFile(join(dir, "package.json"), `{"private":true}`);
      const options = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
      const installed = await run("npm", ["install", ...options, ...tarballs.map((name) => `./${name}`)]);
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
      const inTeams = ["--namespace", "team-b", "team-a"];
      await good(["settings", "secrets", "set", "card", ...inTeams], { stdin: "of the teams" });
      await good(["settings", "secrets", "set", "card", ...inTeams], { stdin: "again" });
      assert.match((await good(["settings", "secrets", "list"])).out, /card.*team-a.*team-b/);
      assert.match((await good(["settings", "secrets", "get", "card", ...inTeams])).out, /team-a/);
      assert.match((await fluxbase(["settings", "secrets", "get", "card"])).err, /not found/);
      await good(["settings", "secrets", "delete", "card", ...inTeams]);
      await good(["functions", "set", "reads", "--service", "admin"]);
      assert.equal((await platform.api("GET", "/functions/reads")).body.permissions.service, "admin");
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
      const away = await fluxbase(["doctor", "--url", "http://127.0.0.1:9", "--key", "x"]);
      assert.deepEqual([away.code, /bad {2}no server answers/.test(away.out)], [1, true]);
      assert.match((await fluxbase(["db", "query", "selekt"])).err, /^error: syntax error/);
    });

    await step("profiles, and what goes wrong", async () => {
      const bare = { HOME: home };
      const unknown = await fluxbase(["functions", "list"], { env: bare });
      assert.deepEqual([unknown.code, unknown.out], [2, ""]);
      assert.match(unknown.err, /fluxbase login/);
      await good(["login", "--url", platform.url], { env: bare, stdin: `${platform.serviceKey}\n` });
      assert.match((await good(["functions", "list"], { env: bare })).out, /hello/);
      assert.match((await good(["limits"], { env: bare })).out, /wallMs/);
      const { mode } = await Deno.stat(join(home, ".config/fluxbase/config.json"));
      assert.equal((mode ?? 0) & 0o777, 0o600);
      assert.equal((await fluxbase(["login", "--url", platform.url], { env: bare, stdin: "wrong" })).code, 1);
      const elsewhere = { ...bare, FLUXBASE_URL: "https://elsewhere.example.com" };
      const refused = await fluxbase(["functions", "list"], { env: elsewhere });
      assert.deepEqual([refused.code, /is not sent to https:\/\/elsewhere/.test(refused.err)], [2, true]);
      const typo = await fluxbase(["function", "list"]);
      assert.equal(typo.code, 2);
      assert.match(typo.err, /Did you mean functions\?/);
      assert.equal((await fluxbase(["functions", "get", "missing"])).code, 1);
      await good(["functions", "delete", "hello"]);
      await good(["functions", "restore", "hello"]);
    });

    await step("migrations run once each, in order, whole or not at all", async () => {
      assert.match((await good(["db", "migrations", "new", "make pets"])).err, /migrations\/\d{14}_make_pets\.sql/);
      const folder = join(dir, "migrations");
      for (const { name } of Deno.readDirSync(folder)) await Deno.remove(join(folder, name));
      await Deno.writeTextFile(join(folder, "1_pets.sql"), "create table pets (name text); -- they are many");
      await Deno.writeTextFile(
        join(folder, "2_more.sql"),
        "insert into pets values ('Rex'); insert into pets values ('Ida')",
      );
      await Deno.writeTextFile(join(folder, "3_wrong.sql"), "insert into pets values ('Lost'); select nothing");
      assert.match((await good(["db", "migrate", "--dry-run"])).err, /Would run 1_pets\.sql\nWould run 2_more\.sql/);
      const failed = await fluxbase(["db", "migrate"]);
      assert.equal(failed.code, 1);
      assert.match(
        failed.err,
        /^Ran 1_pets\.sql\nRan 2_more\.sql\nerror: 3_wrong\.sql: column "nothing" does not exist/,
      );
      assert.match((await good(["db", "query", "select count(*) from pets"])).out, /\n2\n/);
      await Deno.writeTextFile(join(folder, "3_wrong.sql"), "insert into pets values ('Found')");
      const [one, two] = await Promise.all([fluxbase(["db", "migrate"]), fluxbase(["db", "migrate"])]);
      assert.ok(one.code === 0 || two.code === 0, one.err + two.err);
      assert.match((await good(["db", "query", "select count(*) from pets"])).out, /\n3\n/);
      assert.match((await good(["db", "migrate"])).err, /All migrations have run/);
      const { out } = await good(["db", "migrations", "list", "--output", "json"]);
      assert.equal(JSON.parse(out).filter(({ applied_at }: { applied_at: unknown }) => applied_at).length, 3);
      await Deno.writeTextFile(join(folder, "1_pets.sql"), "create table others ()");
      assert.match((await fluxbase(["db", "migrate"])).err, /1_pets\.sql was changed after it ran/);
    });

    await step("an admin and a user sign in; their session is kept, refreshed and ended", async () => {
      const env = { HOME: join(dir, "other-home"), FLUXBASE_URL: proxy.url };
      const admin = ["--email", "admin@example.com"];
      await good(["setup", ...admin], { env: { ...env, FLUXBASE_SETUP_TOKEN }, stdin: "a long password" });
      assert.match((await good(["functions", "list"], { env })).out, /hello/);
      assert.match(
        (await fluxbase(["setup", ...admin, "--token", FLUXBASE_SETUP_TOKEN], { env, stdin: "x" })).err,
        /^error: /,
      );
      await good(["login", "--email", "a@example.com", "--profile", "user"], { env, stdin: "a long password" });
      assert.match((await good(["settings", "secrets", "list", "--user"], { env })).out, /mine/);
      assert.match((await fluxbase(["audit"], { env })).err, /FORBIDDEN/);
      assert.match((await good(["functions", "list", "--profile", "default"], { env })).out, /hello/);
      await good(["logout", "--profile", "user"], { env });
      assert.equal((await fluxbase(["settings", "secrets", "list", "--user", "--profile", "user"], { env })).code, 1);
      const wrong = await fluxbase(["login", ...admin], { env, stdin: "wrong password" });
      assert.deepEqual([wrong.code, /cannot sign in/.test(wrong.err)], [1, true]);
    });

    await step("a reader that has enough ends it without a word", async () => {
      const command = `node node_modules/fluxbase/bin/fluxbase.mjs limits | head -1`;
      const { code, out, err } = await run("bash", ["-o", "pipefail", "-c", command], { env: server });
      assert.deepEqual([code, out.split("\n").length, err], [0, 2, ""]);
    });

    await step("completes what is typed, for each shell", async () => {
      const { out } = await good(["complete", "--", "functions", "ro"]);
      assert.match(out, /^rollback\t/m);
      for (const shell of ["bash", "zsh", "fish"]) assert.match((await good(["complete", shell])).out, /fluxbase/);
      const { code, err } = await run("bash", ["-c", "source /dev/stdin", "bash"], {
        stdin: (await good(["complete", "bash"])).out,
      });
      assert.deepEqual([code, err], [0, ""]);
    });

    await step("every route that manages a server has its command", async () => {
      await good(["functions", "set", "hello", "--timeout", "7", "--enabled", "false", "--description", "says hello"]);
      assert.match((await good(["functions", "get", "hello"])).out, /enabled +false[^]*timeout +7\n/);
      await good(["functions", "set", "hello", "--enabled", "true"]);
      const known = async () => JSON.parse((await good(["functions", "get", "hello", "--output", "json"])).out);
      const before = (await known()).version;
      await good(["functions", "set", "hello", "--env", "A=1", "B=2=3", "--if-version", `${before}`]);
      const { env, version: known1 } = await known();
      assert.deepEqual(env, ["A", "B"]);
      await good(["functions", "set", "hello", "--unset-env", "A", "--if-version", `${known1}`]);
      assert.deepEqual((await known()).env, ["B"]);
      const late = await fluxbase(["functions", "deploy", "functions/hello.ts", "--if-version", `${known1}`]);
      assert.match(late.err, /version/);
      assert.equal(late.code, 1);
      assert.match((await good(["functions", "get", "hello", "--at", "1", "--code"])).out, /Hello \$\{name\}/);
      assert.match((await good(["functions", "namespaces"])).out, /default/);
      assert.match((await good(["functions", "executions"])).out, /FUNCTION_NAME[^]*hello/);
      const calls = JSON.parse((await good(["functions", "executions", "hello", "--output", "json"])).out);
      assert.match((await good(["functions", "stats", "hello"])).out, /^AT +CALLS[^]*^all +\d+/m);
      const byVersion = JSON.parse(
        (await good(["functions", "stats", "hello", "--by", "version", "--output", "json"])).out,
      );
      assert.ok(byVersion.series.length > 1, "versions");
      assert.match((await good(["functions", "stats", "--last", "2h", "--step", "5m"])).out, /^all +\d+/m);
      assert.match((await good(["top", "--sort", "time"])).out, /^FUNCTION +CALLS[^]*^default\/hello +\d+/m);
      await good(["functions", "executions", "--logs", calls[0].id]);
      assert.match(
        (await good(["executions", "show", calls[0].id])).out,
        /answer +200, success[^]*TIMELINE[^]*handler/,
      );
      const shown = JSON.parse(
        (await good(["executions", "show", calls[0].id, "--of", "hello", "--output", "json"])).out,
      );
      assert.equal(shown.id, calls[0].id);
      const alert = ["--metric", "error_ratio", "--threshold", "0.5", "--function", "hello"];
      await good(["alerts", "add", "too many fail", ...alert, "--tell-function", "default/hello"]);
      assert.match((await good(["alerts", "list"])).out, /too many fail +ok +error_ratio/);
      await good(["alerts", "test", "too many fail"]);
      await good(["alerts", "remove", "too many fail"]);
      assert.match((await good(["nodes"])).out, /^NAME +VERSION/);
      const set = (await good(["config", "--set"])).out;
      assert.match(set, /FLUXBASE_AUTH_JWT_SECRET +\(secret\)/);
      assert.doesNotMatch(set, /FLUXBASE_LIMITS_WALL_MAX_MS/);
      assert.match((await good(["backups", "list"])).err, /makes no backups: set FLUXBASE_BACKUP_DIR/);
      assert.match((await fluxbase(["backups", "create"])).err, /no folder for them; set FLUXBASE_BACKUP_DIR/);
      assert.match((await good(["schedules", "add", "hello", "0 0 * * *", "--name", "nightly"])).err, /nightly/);
      assert.match((await good(["schedules", "list", "hello"])).out, /nightly/);
      await good(["schedules", "pause", "hello", "nightly"]);
      assert.match((await good(["schedules", "get", "hello", "nightly"])).out, /nightly/);
      await good(["schedules", "run", "hello", "nightly"]);
      await good(["schedules", "remove", "hello", "nightly"]);
      await good(["functions", "set", "hello", "--capture", "all"]);
      await good(["functions", "invoke", "hello"]);
      const [captured] = JSON.parse((await good(["functions", "executions", "hello", "--output", "json"])).out);
      assert.match((await good(["executions", "replay", captured.id])).out, /^The same answer[^]*body +the same/);
      const deployed = JSON.parse((await good(["functions", "get", "hello", "--output", "json"])).out);
      assert.match((await good(["functions", "canary", "hello", "1", "10"])).err, /version 1 gets 10 % of the calls/);
      assert.match((await good(["functions", "get", "hello"])).out, /canary +.*10/);
      assert.match(
        (await good(["functions", "canary", "hello", "--end"])).err,
        new RegExp(`at version ${deployed.live_version}, for all calls`),
      );
      assert.equal((await fluxbase(["functions", "canary", "hello", "1"])).code, 2);
      assert.match((await good(["captures", "list", "hello"])).out, new RegExp(captured.id));
      assert.match((await good(["captures", "show", captured.id])).out, /^POST \/\n[^]*user-agent: /);
      await good(["captures", "delete", captured.id]);
      const found = JSON.parse(
        (await good(["functions", "executions", "hello", "--request-id", calls[0].id, "--output", "json"])).out,
      );
      assert.deepEqual(found.map(({ id }: { id: string }) => id), [calls[0].id]);
      assert.doesNotMatch((await good(["functions", "executions", "--status", "killed"])).out, /success/);
      assert.match((await good(["log-level", "error"])).out, /level +error/);
      assert.match((await good(["log-level", "--reset"])).out, /level +debug/);
      assert.match((await good(["log-level"])).out, /configured +debug/);
      await good(["logs", "--text", "nobody says this", "--level", "error"]);
      await fluxbase(["functions", "reload", "--dry-run"]);
      assert.match((await good(["limits"])).out, /wallMs +30000/);
      const task = (await good(["functions", "invoke", "hello", "--delay", "1h", "--retries", "1"])).out.trim();
      assert.match((await good(["tasks", "list", "hello", "--state", "waiting"])).out, new RegExp(task));
      assert.match((await good(["tasks", "get", task])).out, /retries +1/);
      await good(["tasks", "cancel", task]);
      await good(["tasks", "retry", task]);
      assert.match((await good(["tasks", "retry", "--dead-of", "hello"])).err, /Retrying 0 dead tasks/);
      await good(["tasks", "cancel", task]).catch(() => {});
      await good(["tasks", "delete", task]);
      await good(["db", "query", "create table public.orders (id int, status text)"]);
      const hook = await good([
        "hooks",
        "db",
        "add",
        "hello",
        "orders",
        "--event",
        "INSERT",
        "--where",
        "status=eq.paid",
      ]);
      assert.match(
        (await good(["hooks", "db", "list"])).out,
        /public\.orders +\["INSERT"\] +default\/hello +status=eq\.paid/,
      );
      assert.match((await good(["hooks", "db", "get", hook.out.trim()])).out, /where +status=eq\.paid/);
      assert.match((await good(["hooks", "db", "retry", hook.out.trim()])).err, /Retrying 0 events/);
      await good(["hooks", "db", "remove", hook.out.trim()]);
      assert.match((await good(["hooks", "disable", "before_sign_in"])).err, /Disabled before_sign_in/);
      assert.match((await good(["hooks", "list"])).out, /before_sign_in .*false/);
      assert.match((await good(["hooks", "retry", "user_created"])).err, /Retrying 0 events/);
      assert.match(
        (await good(["hooks", "enable", "before_sign_in"])).err,
        /Enabled before_sign_in: it calls no function yet/,
      );
      assert.match((await good(["audit", "--target", "default/hello"])).out, /PUT \/functions\/\{name\}/);
      for (const kind of [[], ["--service"]]) {
        const make = ["keys", "create", "temporary", "--output", "json", ...kind];
        const { id, key } = JSON.parse((await good(make)).out);
        assert.match((await good(["keys", "get", id, ...kind])).out, /name +temporary/);
        const change = [
          "keys",
          "update",
          id,
          "--name",
          "renamed",
          "--rate-limit",
          "77",
          "--rate-limit-per-hour",
          "777",
          ...kind,
        ];
        assert.match((await good(change)).out, /name +renamed[^]*per_minute +77\n[^]*per_hour +777\n/);
        assert.notEqual((await good(["keys", "rotate", id, "--grace", "1h", ...kind])).out.trim(), key);
        await good(["keys", "disable", id, ...kind]);
        assert.match((await good(["keys", "enable", id, ...kind])).err, /Enabled/);
        assert.match((await good(["keys", "deprecate", id, "--grace", "48h", ...kind])).err, /works until/);
        await good(["keys", "list", ...kind]);
        await good(["keys", "revoke", id, ...kind]);
        await good(["keys", "delete", id, ...kind]);
      }
      await good(["settings", "set", "shop.open", "true", "--public", "--description", "whether it sells"]);
      await good(["settings", "set", "shop.name", "The Shop"]);
      assert.match((await good(["settings", "list"])).out, /shop\.name +The Shop +false[^]*shop\.open +true +true/);
      assert.equal((await good(["settings", "get", "shop.name"])).out, "The Shop\n");
      await good(["settings", "delete", "shop.name"]);
      const user = ["--user", "--key", (await signIn(platform)).access_token];
      await good(["settings", "set", "theme", '{"mode": "dark"}', ...user]);
      assert.match((await good(["settings", "get", "theme", ...user])).out, /"dark"/);
      assert.equal((await good(["settings", "get", "shop.open", ...user])).out, "true\n");
      assert.match((await good(["settings", "list", ...user])).out, /theme/);
      await good(["settings", "delete", "theme", ...user]);
      for (const whose of [[], user]) {
        await good(["settings", "secrets", "set", "passing", ...whose], { stdin: "first" });
        await good(["settings", "secrets", "set", "passing", "--description", "again", ...whose], { stdin: "second" });
        assert.match((await good(["settings", "secrets", "get", "passing", ...whose])).out, /description +again/);
        await good(["settings", "secrets", "list", ...whose]);
        await good(["settings", "secrets", "delete", "passing", ...whose]);
      }
      await good(["secrets", "set", "turning"], { stdin: "first" });
      const end = ["--expires", "3d", "--description", "turns"];
      assert.match((await good(["secrets", "set", "turning", ...end], { stdin: "second" })).err, /version 2/);
      assert.match((await good(["secrets", "rollback", "turning", "1"])).err, /as version 3/);
      assert.match((await good(["secrets", "history", "turning"])).out, /^3 [^]*\n2 [^]*\n1 /m);
      assert.match((await good(["secrets", "get", "turning"])).out, /version +3\n[^]*description +turns/);
      assert.match((await good(["secrets", "list", "--scope", "global"])).out, /turning +global/);
      assert.match((await good(["secrets", "stats"])).out, /1 expire within 7 days/);
      await good(["secrets", "set", "turning", "--scope", "namespace", "-n", "team-a"], { stdin: "of the team" });
      await good(["secrets", "delete", "turning", "-n", "team-a"]);
      await good(["secrets", "delete", "turning"]);
      const leaving = { email: "leaver@example.com", password: "a long password" };
      const { id: leaver } = (await platform.api("POST", "/auth/signup", leaving)).body.user;
      assert.match((await good(["users", "list", "--search", "LEAVER"])).out, /leaver@example\.com +authenticated/);
      assert.match((await good(["users", "get", leaver])).out, /email +leaver@example\.com/);
      assert.match((await good(["users", "disable", leaver])).err, /Disabled user/);
      assert.match((await good(["users", "get", leaver])).out, /disabled_at +20/);
      assert.match((await good(["users", "enable", leaver])).err, /Enabled user/);
      assert.match((await good(["users", "delete", leaver])).err, /Deleted user/);
      await good(["users", "create", "eve@example.invalid", "--password", "a long password"]);
      const { users: [eve] } = JSON.parse((await good(["users", "list", "--search", "eve@", "--output", "json"])).out);
      assert.match((await good(["users", "get", eve.id])).out, /role +authenticated/);
      assert.match((await good(["users", "update", eve.id, "--role", "admin"])).out, /role +admin/);
      await good(["users", "update", eve.id, "--role", "authenticated"]);
      const acting = (await good(["users", "token", eve.id, "--seconds", "60"])).out.trim();
      assert.equal((await platform.api("GET", "/auth/user", undefined, acting)).body.id, eve.id);
      await good(["users", "sign-out", eve.id]);
      await good(["users", "delete", eve.id]);
      await good(["shared", "list"]);
      await good(["shared", "set", "_shared/name.ts", "name.ts"]);
      assert.match((await good(["shared", "get", "_shared/name.ts", "--at", "1"])).out, /export const name/);
      assert.match((await good(["shared", "versions", "_shared/name.ts"])).out, /^VERSION[^]*\n1 /);
      await good(["shared", "users", "_shared/name.ts"]);
      await good(["shared", "delete", "_shared/name.ts"]);

      const { body } = await platform.api("GET", "/openapi.json");
      const routes = Object.entries<object>(body.paths)
        .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
        // A namespace is an option.
        .filter((route) => !route.includes("/functions/{namespace}/"));
      const wanted = routes.filter((route) => !NO_COMMAND.some((pattern) => pattern.test(route)));
      assert.ok(wanted.length > 40, `${wanted.length} routes`);
      const seen = [...proxy.seen];
      const missing = wanted.filter((route) => {
        const pattern = new RegExp(
          `^${route.replaceAll("*", "").replaceAll(/\{path\}/g, ".+").replaceAll(/\{\w+\}/g, "[^/]+")}$`,
        );
        return !seen.some((request) => pattern.test(request));
      });
      assert.deepEqual(missing, []);
    });

    await step("a whole server, and all work on it, without any address or key", async () => {
      const cwd = join(dir, PROJECT);
      await Deno.mkdir(cwd);
      const env = { HOME: cwd };
      const command = join(dir, "node_modules/fluxbase/bin/fluxbase.mjs");
      const here = async (...args: string[]) => {
        const said = await run("node", [command, ...args], { cwd, env });
        assert.equal(said.code, 0, `${args.join(" ")}: ${said.out}${said.err}`);
        return said;
      };
      {
        await using _ = await startProgram(command, "start --port 0", { cwd, env });
        await here("functions", "new", "hello");
        await here("functions", "deploy", "functions/hello.ts");
        assert.equal((await here("functions", "invoke", "hello")).out, `{"message":"Hello World!"}`);
        const code = `export default () => { console.log("second"); return 2; };`;
        await Deno.writeTextFile(join(cwd, "functions/hello.ts"), code);
        await here("functions", "deploy", "functions/hello.ts");
        await using tail = await startProgram(command, "functions logs hello --follow", { cwd, env });
        assert.equal((await here("functions", "invoke", "hello")).out, "2");
        await tail.says(/ second\n/);
        await here("functions", "rollback", "hello", "1");
        assert.match((await here("functions", "invoke", "hello")).out, /Hello World/);
        assert.doesNotMatch((await here("doctor", "--output", "json")).out, /"level": "bad"/);
        assert.match((await here("functions", "get", "hello")).out, /live_version +1\n/);
        await Deno.writeTextFile(
          join(cwd, "functions/paints.ts"),
          "export default () => { console.log('a\\u001b[2Jb'); };",
        );
        await here("functions", "deploy", "functions/paints.ts");
        await here("functions", "invoke", "paints");
        assert.match((await here("functions", "logs", "paints")).out, / a\ufffd\[2Jb\n/);
        assert.equal(await Deno.readTextFile(join(cwd, ".fluxbase/.gitignore")), "*\n");
        // The folder is closed to others, as home folders are: what builds is another user when the server is root.
        const withSdk = `import { createClient } from "@fluxbase/sdk"; export default () => typeof createClient;`;
        await Deno.writeTextFile(join(cwd, "functions/with-sdk.ts"), withSdk);
        await here("functions", "deploy", "functions/with-sdk.ts");
        assert.equal((await here("functions", "invoke", "with-sdk")).out, `"function"`);
      }
      assert.match((await run("node", [command, "functions", "list"], { cwd, env })).err, /No key/);

      await using dev = await startProgram(command, "dev --port 0", { cwd, env });
      await Deno.writeTextFile(
        join(cwd, "functions/saved.ts"),
        `export default () => { console.log("it ran"); return "saved"; };`,
      );
      await dev.says(/saved/);
      assert.equal((await here("functions", "invoke", "saved")).out, `"saved"`);
      await dev.says(/default\/saved: it ran\n/);
    });

    await step("`functions new --template` writes an example, and names them when there is none", async () => {
      const cwd = join(dir, PROJECT);
      const fluxbase = (...args: string[]) =>
        run("node", [join(dir, "node_modules/fluxbase/bin/fluxbase.mjs"), "functions", "new", ...args], { cwd });
      const made = await fluxbase("hooks", "--template", "github-hook");
      assert.equal(made.code, 0, made.err);
      assert.equal(
        await Deno.readTextFile(join(cwd, "functions/hooks.ts")),
        await Deno.readTextFile(join(PACKAGES, "../examples/github-hook/index.ts")),
      );
      const none = await fluxbase("other", "--template", "nothing");
      assert.deepEqual([none.code, /no template "nothing": use one of http, .*chat, .*stripe-webhook/.test(none.err)], [
        2,
        true,
      ]);
      await Deno.remove(join(cwd, "functions/hooks.ts"));
    });

    await step("what `functions new` writes is what Deno and editors want", async () => {
      const cwd = join(dir, PROJECT);
      const guideStyle =
        "async function handler(req) { const { a } = JSON.parse(req.body || '{}'); secrets.get('b'); return { status: 200, body: a }; }";
      await Deno.writeTextFile(join(cwd, "functions/my-function.ts"), guideStyle);
      await Deno.remove(join(cwd, "functions/hello.ts"));
      await Deno.remove(join(cwd, "functions/hello_test.ts"));
      const cli = [join(dir, "node_modules/fluxbase/bin/fluxbase.mjs"), "functions", "new"];
      await run("node", [...cli, "hello"], { cwd });
      await run("node", [...cli, "events", "--template", "webhook"], { cwd });
      await run("node", [...cli, "rows", "--template", "db-event"], { cwd });
      await run("node", [...cli, "daily", "--template", "schedule"], { cwd });
      for (
        const args of [
          [
            "check",
            "functions/my-function.ts",
            "functions/hello.ts",
            "functions/hello_test.ts",
            "functions/events.ts",
            "functions/rows.ts",
            "functions/daily.ts",
          ],
          ["test", "functions"],
          ["run", "--allow-net", "--allow-env", "--check", "functions/my-function.ts"],
        ]
      ) {
        const { code, out, err } = await run(Deno.execPath(), args, { cwd });
        assert.equal(code, 0, `deno ${args.join(" ")}: ${out}${err}`);
      }
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
    // Where a server that is root keeps what its other users could not reach there.
    const digest = createHash("sha256").update(join(dir, PROJECT, ".fluxbase")).digest("hex").slice(0, 12);
    await Deno.remove(`/var/lib/fluxbase/${digest}`, { recursive: true }).catch(() => {});
  }
}, { FLUXBASE_SECURITY_SETUP_TOKEN: FLUXBASE_SETUP_TOKEN });

async function signIn(platform: TestPlatform): Promise<{ access_token: string }> {
  const credentials = { email: "a@example.com", password: "a long password" };
  return (await platform.api("POST", "/auth/signin", credentials)).body;
}

interface Program extends AsyncDisposable {
  /** Resolves when its output has it. */
  says(pattern: RegExp): Promise<void>;
}

const SAYS_WITHIN_MS = 60_000;

/** Resolves when it has said something; a server, when it is ready. Ended as Ctrl-C would. */
async function startProgram(
  command: string,
  args: string,
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<Program> {
  const inherited = Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => NPM_VARIABLES.test(name)),
  );
  const isServer = /^(start|dev)\b/.test(args);
  const child = new Deno.Command("node", {
    args: [command, ...args.split(" ")],
    cwd,
    clearEnv: true,
    env: { ...inherited, ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  });
  const says = async (pattern: RegExp) => {
    const deadline = Date.now() + SAYS_WITHIN_MS;
    while (!pattern.test(text)) {
      assert.ok(Date.now() < deadline, `${args} did not say ${pattern}: ${text}`);
      await delay(50);
    }
  };
  if (isServer) await says(/is ready at/);
  return {
    says,
    async [Symbol.asyncDispose]() {
      child.kill("SIGINT");
      const { code } = await child.status;
      await Promise.all(reading);
      if (isServer) assert.equal(code, 0, text);
    },
  };
}

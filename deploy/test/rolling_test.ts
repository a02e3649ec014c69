/**
 * A rolling update under load: two servers behind HAProxy as `deploy/haproxy` has it, replaced one after the other.
 *
 * `npm run test:rolling`; needs haproxy. `FLUXBASE_ROLLING_OLD` names a checkout of the release before: old, new and
 * old again are run then, else each server is this one. `FLUXBASE_ROLLING_REQUESTS` is 50,000.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTokens } from "../../packages/server/src/auth/tokens.ts";
import { delay } from "../../packages/server/src/core/clock.ts";
import { silentLog } from "../../packages/server/src/core/log.ts";
import { Secret } from "../../packages/server/src/core/secret.ts";
import { startEmbeddedPostgres } from "../../packages/server/src/storage/embedded/embedded_postgres.ts";
import { freePort, isInstalled } from "../../packages/server/test/support/programs.ts";
import { print } from "../../tools/test_run.ts";
import { deployTarget, startLoad } from "./load.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const OLD = Deno.env.get("FLUXBASE_ROLLING_OLD") ?? ROOT;
const REQUESTS_COUNT = Number(Deno.env.get("FLUXBASE_ROLLING_REQUESTS") ?? "50000");
/** Between two updates, so that there are requests in every state. */
const BETWEEN_COUNT = Math.floor(REQUESTS_COUNT / 8);
const READY_MS = 180_000;
const SECRET = "a secret of the rolling update, long enough";
const SERVERS = ["first", "second"] as const;
type ServerName = typeof SERVERS[number];

Deno.test("a rolling update to the next release and back fails no request", async (test) => {
  if (!await isInstalled("haproxy")) throw new Error("Cannot run the rolling update: haproxy is not installed");
  await using parts = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-rolling-" });
  await Deno.chmod(dir, 0o755);
  parts.defer(() => Deno.remove(dir, { recursive: true }));
  const postgres = parts.use(await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silentLog }));
  const serviceKey = await createTokens(new Secret(SECRET)).mintRole("service_role", {
    issuedAtSec: Math.floor(Date.now() / 1_000),
    expiresAtSec: Math.floor(Date.now() / 1_000) + 86_400,
  });
  const ports: Record<ServerName, number> = { first: freePort(), second: freePort() };
  const balancer = parts.use(await startBalancer(dir, ports));
  const running = new Map<ServerName, Server>();
  parts.defer(async () => void await Promise.all([...running.values()].map((server) => server.end())));

  async function start(name: ServerName, checkout: string): Promise<void> {
    running.set(
      name,
      startServer({ checkout, dataDir: join(dir, name), port: ports[name], databaseUrl: postgres.url }),
    );
    await balancer.hasUp(name, () => running.get(name)?.said() ?? "");
  }

  for (const name of SERVERS) await start(name, OLD);
  const target = { url: balancer.url, serviceKey };
  await deployTarget(target);
  const load = startLoad(target);
  for (const [to, checkout] of [["new", ROOT], ["old", OLD], ["new", ROOT]] as const) {
    for (const name of SERVERS) {
      await test.step(`the ${name} server becomes ${to} after ${load.count()} requests`, async () => {
        const until = load.count() + BETWEEN_COUNT;
        const server = running.get(name);
        assert.ok(server !== undefined);
        server.kill("SIGTERM");
        assert.equal(await server.status, 0, server.said());
        await start(name, checkout);
        while (load.count() < until) await delay(100);
        assert.equal(load.failedCount(), 0);
      });
    }
  }
  const { failures, ...counts } = await load.end(Math.max(REQUESTS_COUNT, load.count()));
  print(`${JSON.stringify(counts)}\n`);
  assert.deepEqual(failures, []);
});

interface Server {
  readonly status: Promise<number>;
  said(): string;
  kill(signal: Deno.Signal): void;
  end(): Promise<void>;
}

function startServer(
  { checkout, dataDir, port, databaseUrl }: {
    readonly checkout: string;
    readonly dataDir: string;
    readonly port: number;
    readonly databaseUrl: Secret;
  },
): Server {
  Deno.mkdirSync(dataDir, { recursive: true });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", join(checkout, "packages/server/src/main.ts")],
    cwd: dataDir,
    env: {
      FLUXBASE_DATA_DIR: dataDir,
      FLUXBASE_SERVER_ADDRESS: `127.0.0.1:${port}`,
      DATABASE_URL: databaseUrl.reveal(),
      FLUXBASE_AUTH_JWT_SECRET: SECRET,
      FLUXBASE_ENCRYPTION_KEY: "0".repeat(64),
      FLUXBASE_LIMITS_DRAIN_DELAY_MS: "5000",
    },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) text = (text + chunk).slice(-20_000);
  });
  const status = Promise.all([child.status, ...reading]).then(([{ code }]) => code);
  return {
    status,
    said: () => text,
    kill: (signal) => child.kill(signal),
    async end() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await status;
    },
  };
}

async function startBalancer(dir: string, ports: Readonly<Record<ServerName, number>>) {
  const [port, statsPort] = [freePort(), freePort()];
  const file = join(dir, "haproxy.cfg");
  const example = await Deno.readTextFile(join(ROOT, "deploy/haproxy/haproxy.cfg"));
  const config = example.replace("bind :80", `bind 127.0.0.1:${port}`)
    .replace("first 127.0.0.1:8080", `first 127.0.0.1:${ports.first}`)
    .replace("second 127.0.0.1:8081", `second 127.0.0.1:${ports.second}`);
  await Deno.writeTextFile(file, `${config}\nfrontend statistics\n  bind 127.0.0.1:${statsPort}\n  stats enable\n`);
  const child = new Deno.Command("haproxy", { args: ["-db", "-q", "-f", file] }).spawn();

  async function statusOf(name: ServerName): Promise<string | undefined> {
    const answer = await fetch(`http://127.0.0.1:${statsPort}/haproxy?stats;csv`).catch(() => undefined);
    const rows = (await answer?.text() ?? "").split("\n").map((line) => line.split(","));
    return rows.find((row) => row[1] === name)?.[17];
  }

  return {
    url: `http://127.0.0.1:${port}`,
    async hasUp(name: ServerName, said: () => string): Promise<void> {
      const deadline = performance.now() + READY_MS;
      while (await statusOf(name) !== "UP") {
        if (performance.now() > deadline) throw new Error(`The ${name} server is not up: ${said()}`);
        await delay(200);
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

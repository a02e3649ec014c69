/**
 * Three servers on one Postgres, each a program of its own that can be killed and started again.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTokens } from "../../src/auth/tokens.ts";
import { delay } from "../../src/core/clock.ts";
import { silentLog } from "../../src/core/log.ts";
import { Secret } from "../../src/core/secret.ts";
import { startEmbeddedPostgres } from "../../src/storage/embedded/embedded_postgres.ts";
import { sandboxesOf } from "../support/processes.ts";
import { freePort } from "../support/programs.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const SECRET = "a secret of the chaos, long enough to be accepted";
const READY_MS = 120_000;
const DAY_SEC = 86_400;

export interface Node {
  readonly name: string;
  readonly url: string;
  /** Whether a balancer would send it requests. */
  isUp: boolean;
  /** When something was done to it last, or it came back from that. */
  disturbedAtMs: number;
  kill(): Promise<void>;
  start(): Promise<void>;
  pause(ms: number): Promise<void>;
  sandboxes(): number[];
  said(): string;
}

export interface Cluster {
  readonly nodes: readonly Node[];
  readonly serviceKey: string;
  readonly databaseUrl: Secret;
  readonly usersUrl: Secret;
  killPostgres(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startCluster(count: number, env: Readonly<Record<string, string>> = {}): Promise<Cluster> {
  await using parts = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-chaos-" });
  await Deno.chmod(dir, 0o755);
  parts.defer(() => Deno.remove(dir, { recursive: true }));
  const postgres = parts.use(await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silentLog }));
  const users = new URL(postgres.url.reveal());
  users.pathname += "_app";
  const nowSec = Math.floor(Date.now() / 1_000);
  const serviceKey = await createTokens(new Secret(SECRET)).mintRole("service_role", {
    issuedAtSec: nowSec,
    expiresAtSec: nowSec + DAY_SEC,
  });
  const nodes: Node[] = [];
  for (let index = 0; index < count; index += 1) {
    const node = createNode(`node-${index}`, join(dir, `node-${index}`), { databaseUrl: postgres.url, env });
    parts.defer(() => node.kill());
    nodes.push(node);
  }
  // The first one makes what all use.
  await nodes[0]?.start();
  await Promise.all(nodes.slice(1).map((node) => node.start()));
  const started = parts.move();
  return {
    nodes,
    serviceKey,
    databaseUrl: postgres.url,
    usersUrl: new Secret(users.href),
    async killPostgres() {
      // The parent of all its processes; whoever watches over it starts another one.
      const pid = Number((await Deno.readTextFile(join(postgres.dir, "postmaster.pid"))).split("\n")[0]);
      Deno.kill(pid, "SIGKILL");
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function createNode(
  name: string,
  dataDir: string,
  { databaseUrl, env }: { readonly databaseUrl: Secret; readonly env: Readonly<Record<string, string>> },
): Node {
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  let child: Deno.ChildProcess | undefined;
  let reading: Promise<unknown> = Promise.resolve();
  let text = "";

  async function read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stream) text = (text + new TextDecoder().decode(chunk)).slice(-20_000);
  }

  const node: Node = {
    ...{ name, url, isUp: false, disturbedAtMs: 0 },
    said: () => text,
    sandboxes: () => child === undefined ? [] : sandboxesOf(child.pid),
    async start() {
      await Deno.mkdir(dataDir, { recursive: true });
      child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", MAIN],
        env: {
          FLUXBASE_DATA_DIR: dataDir,
          FLUXBASE_SERVER_ADDRESS: `127.0.0.1:${port}`,
          DATABASE_URL: databaseUrl.reveal(),
          FLUXBASE_AUTH_JWT_SECRET: SECRET,
          FLUXBASE_ENCRYPTION_KEY: "0".repeat(64),
          FLUXBASE_LOG_FORMAT: "json",
          ...env,
        },
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      reading = Promise.all([read(child.stdout), read(child.stderr)]);
      await untilReady(node);
      node.disturbedAtMs = performance.now();
      node.isUp = true;
    },
    async kill() {
      node.isUp = false;
      node.disturbedAtMs = performance.now();
      try {
        child?.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child?.status;
      await reading;
      child = undefined;
    },
    async pause(ms) {
      node.isUp = false;
      node.disturbedAtMs = performance.now();
      child?.kill("SIGSTOP");
      await delay(ms);
      child?.kill("SIGCONT");
      await untilReady(node);
      node.disturbedAtMs = performance.now();
      node.isUp = true;
    },
  };
  return node;
}

async function untilReady({ name, url, said }: Node): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    const facts = await answer?.json().catch(() => undefined);
    if (answer?.ok && facts?.database === "ok") return;
    if (performance.now() > deadline) throw new Error(`${name} is not ready: ${said()}`);
    await delay(100);
  }
}

/**
 * Servers on one Postgres and one Redis behind HAProxy, each a program of its own that can be killed and started again.
 *
 * What the machine has not is left out, and said: namespaces, HAProxy, Redis, clocks of their own, small disks.
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
import { administer } from "../support/database.ts";
import { sandboxesOf } from "../support/processes.ts";
import { freePort } from "../support/programs.ts";
import { redisProgram, startRedis } from "../support/redis.ts";
import { canMount, mountSmallDisk } from "../support/small_disk.ts";
import { startBalancer } from "./balancer.ts";
import { type Link, openLink } from "./link.ts";
import type { Network } from "./network.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const SECRET = "a secret of the chaos, long enough to be accepted";
const READY_MS = 120_000;
const DAY_SEC = 86_400;
const DISK_MB = 256;
/** Longer than HAProxy needs to notice. */
const DRAIN_DELAY_MS = 4_000;

export interface Node {
  readonly name: string;
  readonly url: string;
  /** Whether a balancer would send it requests. */
  isUp: boolean;
  /** While it is, what fails there has a reason. */
  isHurt: boolean;
  /** Its database is away, or slow: what changed elsewhere may be unknown there. */
  isApart: boolean;
  /** When something was done to it last, or it came back from that. */
  disturbedAtMs: number;
  /** When it could reach its database again. */
  backAtMs: number;
  kill(): Promise<void>;
  start(): Promise<void>;
  pause(ms: number): Promise<void>;
  /** Lets it end by itself, and starts that version of the server. */
  update(version: Version): Promise<void>;
  /** Its way to what it shares with others. */
  slow(delayMs: number, lossPercent: number): Promise<void>;
  cut(isCut: boolean): Promise<void>;
  moveClock(seconds: number): Promise<void>;
  fillDisk(): Promise<AsyncDisposable>;
  sandboxes(): number[];
  said(): string;
}

export type Version = "new" | "old";

export type Part = "namespaces" | "HAProxy" | "Redis" | "clocks" | "disks";

export interface Cluster {
  readonly nodes: readonly Node[];
  readonly serviceKey: string;
  readonly databaseUrl: Secret;
  readonly usersUrl: Secret;
  /** Of the balancer; undefined: whoever asks chooses a server. */
  readonly url: string | undefined;
  /** What the machine has not, and why. */
  readonly missing: ReadonlyMap<Part, string>;
  killPostgres(): Promise<void>;
  restartRedis(awayMs: number): Promise<void>;
  /** Of all servers: what is told meanwhile is lost. */
  endListeners(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ClusterOptions {
  readonly count: number;
  readonly network: Network;
  readonly env: Readonly<Record<string, string>>;
  /** A checkout of an earlier version. */
  readonly old?: string;
  /** Where logs of servers are kept. */
  readonly logsDir?: string;
}

export async function startCluster({ count, network, env, old, logsDir }: ClusterOptions): Promise<Cluster> {
  await using parts = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-chaos-" });
  await Deno.chmod(dir, 0o755);
  parts.defer(() => Deno.remove(dir, { recursive: true }));
  const missing = new Map<Part, string>();
  if (network.missing !== undefined) missing.set("namespaces", network.missing);
  const postgres = parts.use(await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silentLog }));
  const redis = await redisProgram() === undefined ? undefined : parts.use(await startRedis());
  if (redis === undefined) missing.set("Redis", "the program redis-server is missing");
  const users = new URL(postgres.url.reveal());
  users.pathname += "_app";
  const nowSec = Math.floor(Date.now() / 1_000);
  const serviceKey = await createTokens(new Secret(SECRET)).mintRole("service_role", {
    issuedAtSec: nowSec,
    expiresAtSec: nowSec + DAY_SEC,
  });
  const clockLibrary = await findClockLibrary();
  if (clockLibrary === undefined) missing.set("clocks", "the library libfaketime is missing");
  const hasDisks = await canMount();
  if (!hasDisks) missing.set("disks", "a disk of its own needs root and the right to mount");
  const nodes: Node[] = [];
  for (let index = 0; index < count; index += 1) {
    const dataDir = join(dir, `node-${index}`);
    await Deno.mkdir(dataDir);
    if (hasDisks) parts.use(await mountSmallDisk(dataDir, DISK_MB));
    const links = [postgres.url.reveal(), ...redis === undefined ? [] : [redis.url]].map((text) => {
      const url = new URL(text);
      const target = Number(url.port);
      const link = parts.use(openLink(network.address, target));
      url.hostname = network.address;
      url.port = String(link.port);
      return { ...{ link, target }, url: url.href };
    });
    const [databaseUrl = "", redisUrl = ""] = links.map(({ url }) => url);
    const node = createNode(`node-${index}`, {
      ...{ index, dataDir, network, clockLibrary, old, logsDir },
      links: links.map(({ link }) => link),
      env: {
        DATABASE_URL: databaseUrl,
        ...redis === undefined ? {} : { FLUXBASE_REDIS_URL: redisUrl },
        ...env,
      },
    });
    parts.defer(() => node.kill());
    nodes.push(node);
  }
  // The first one makes what all use.
  await nodes[0]?.start();
  await Promise.all(nodes.slice(1).map((node) => node.start()));
  const balancer = await startBalancer(dir, nodes.map(({ name, url }) => ({ name, address: new URL(url).host })));
  if (balancer === undefined) missing.set("HAProxy", "the program haproxy is missing");
  else parts.use(balancer);
  const started = parts.move();
  return {
    ...{ nodes, serviceKey, missing, url: balancer?.url },
    databaseUrl: postgres.url,
    usersUrl: new Secret(users.href),
    async killPostgres() {
      // The parent of all its processes; whoever watches over it starts another one.
      const pid = Number((await Deno.readTextFile(join(postgres.dir, "postmaster.pid"))).split("\n")[0]);
      Deno.kill(pid, "SIGKILL");
    },
    async restartRedis(awayMs) {
      await redis?.end("SIGKILL");
      await delay(awayMs);
      await redis?.start();
    },
    async endListeners() {
      await administer(
        postgres.url.reveal(),
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'fluxbase-listener'",
      );
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function findClockLibrary(): Promise<string | undefined> {
  for (const arch of ["x86_64", "aarch64"]) {
    const path = `/usr/lib/${arch}-linux-gnu/faketime/libfaketimeMT.so.1`;
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  return undefined;
}

interface NodeParts {
  readonly index: number;
  readonly dataDir: string;
  readonly network: Network;
  readonly links: readonly Link[];
  readonly clockLibrary: string | undefined;
  readonly old: string | undefined;
  readonly logsDir: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

function createNode(
  name: string,
  { index, dataDir, network, links, clockLibrary, old, logsDir, env }: NodeParts,
): Node {
  const port = freePort();
  const address = `${network.addressOf(index)}:${port}`;
  const clockFile = `${dataDir}.clock`;
  let version: Version = "new";
  let child: Deno.ChildProcess | undefined;
  let reading: Promise<unknown> = Promise.resolve();
  let text = "";

  async function read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stream) {
      text = (text + new TextDecoder().decode(chunk)).slice(-20_000);
      if (logsDir !== undefined) await Deno.writeFile(join(logsDir, `${name}.log`), chunk, { append: true });
    }
  }

  async function spawn(): Promise<void> {
    await moveClock(0);
    const main = version === "old" && old !== undefined ? join(old, "packages/server/src/main.ts") : MAIN;
    const [program = "", ...args] = [
      ...network.prefixOf(index),
      ...[Deno.execPath(), "run", "-A", "--no-check", main],
    ];
    child = new Deno.Command(program, {
      args,
      env: {
        FLUXBASE_DATA_DIR: dataDir,
        FLUXBASE_SERVER_ADDRESS: address,
        FLUXBASE_AUTH_JWT_SECRET: SECRET,
        FLUXBASE_ENCRYPTION_KEY: "0".repeat(64),
        FLUXBASE_LOG_FORMAT: "json",
        FLUXBASE_LIMITS_DRAIN_DELAY_MS: String(DRAIN_DELAY_MS),
        ...clockLibrary === undefined ? {} : {
          LD_PRELOAD: clockLibrary,
          FAKETIME_TIMESTAMP_FILE: clockFile,
          FAKETIME_CACHE_DURATION: "1",
          FAKETIME_DONT_FAKE_MONOTONIC: "1",
          NO_FAKE_STAT: "1",
        },
        ...env,
      },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    reading = Promise.all([read(child.stdout), read(child.stderr)]);
    await untilReady(node);
  }

  function signal(name: Deno.Signal): void {
    try {
      child?.kill(name);
    } catch {
      // It has ended.
    }
  }

  async function ended(): Promise<void> {
    await child?.status;
    await reading;
    child = undefined;
  }

  /** In a file of its own that takes the place of the last one: it is read at any time. */
  async function moveClock(seconds: number): Promise<void> {
    await Deno.writeTextFile(`${clockFile}.new`, `${seconds < 0 ? "" : "+"}${seconds}\n`);
    await Deno.rename(`${clockFile}.new`, clockFile);
  }

  function hurt(): void {
    node.isUp = false;
    node.isHurt = true;
    node.disturbedAtMs = performance.now();
  }

  function healed(): void {
    node.disturbedAtMs = performance.now();
    node.isHurt = false;
    node.isUp = true;
  }

  const node: Node = {
    ...{ name, url: `http://${address}`, isUp: false, isHurt: false, isApart: false },
    ...{ disturbedAtMs: -Infinity, backAtMs: -Infinity },
    said: () => text,
    sandboxes: () => child === undefined ? [] : sandboxesOf(child.pid),
    async start() {
      await spawn();
      healed();
    },
    async kill() {
      hurt();
      signal("SIGKILL");
      await ended();
    },
    async pause(ms) {
      hurt();
      signal("SIGSTOP");
      await delay(ms);
      signal("SIGCONT");
      await untilReady(node);
      healed();
    },
    async update(to) {
      version = to;
      // A balancer finds out by itself; without one, nobody asks it from here on.
      node.isUp = false;
      signal("SIGTERM");
      await ended();
      await spawn();
      node.isUp = true;
    },
    async slow(delayMs, lossPercent) {
      for (const link of links) link.delayMs = delayMs;
      await network.lose(index, lossPercent);
      node.isApart = delayMs > 0;
      if (!node.isApart) node.backAtMs = performance.now();
    },
    async cut(isCut) {
      if (isCut) node.isApart = true;
      if (network.missing === undefined) await network.cut(index, isCut ? links.map(({ port }) => port) : []);
      else for (const link of links) link.isCut = isCut;
      if (isCut) return;
      node.backAtMs = performance.now();
      node.isApart = false;
    },
    moveClock,
    async fillDisk() {
      const file = join(dataDir, "filler");
      const full = await Deno.open(file, { write: true, create: true });
      const piece = new Uint8Array(1 << 20);
      try {
        for (;;) await full.write(piece);
      } catch (error) {
        if (!String(error).includes("No space left")) throw error;
      } finally {
        full.close();
      }
      return { [Symbol.asyncDispose]: () => Deno.remove(file) };
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

/**
 * From the answer to a change on one server until another server of the same database goes by it.
 *
 * @module
 */
import { join } from "node:path";
import { delay } from "../packages/server/src/core/clock.ts";
import { silentLog } from "../packages/server/src/core/log.ts";
import { startEmbeddedPostgres } from "../packages/server/src/storage/embedded/embedded_postgres.ts";
import { deploy, type RunningPlatform, startBeside } from "./server.ts";
import { percentile, type Row, type Suite } from "./suite.ts";
import { tailTimes } from "./tailing.ts";

const ROUNDS_COUNT = 100;
const QUICK_ROUNDS_COUNT = 20;
const TARGET_MS = 500;
const GIVE_UP_MS = 30_000;
const STEP_MS = 2;
const SECRET_PATH = "/admin/settings/custom/secret";
/** Holds a connection for as long as it runs, and ends it when it is told to stop. */
const waitingFor = (witness: string) =>
  `export default async (req) => { await fetch("http://${witness}/", { signal: req.signal }); };`;

interface Pair {
  readonly a: RunningPlatform;
  readonly b: RunningPlatform;
}

/** Changes something on A; resolves with what is true as soon as B knows. */
type Kind = (pair: Pair, round: number) => Promise<() => Promise<boolean>>;

const KINDS: Readonly<Record<string, Kind>> = {
  async deployment({ a, b }, round) {
    await ask(a, "/functions/version", { method: "PUT", body: { code: versionOf(round) } });
    return async () => (await call(b, "version")).text === String(round);
  },
  async "revoked key"({ a, b }) {
    const { id, key } = await made(a, "/client-keys", { name: "bench", scopes: ["functions:invoke"] });
    await until(async () => (await call(b, "version", key)).status === 200);
    await ask(a, `/client-keys/${id}/revoke`, { method: "POST" });
    return async () => (await call(b, "version", key)).status === 401;
  },
  async "ended session"({ a, b }) {
    const body = { email: `${crypto.randomUUID()}@bench.invalid`, password: crypto.randomUUID() };
    const { access_token: key = "" } = await made(a, "/auth/signup", body);
    await until(async () => (await call(b, "version", key)).status === 200);
    await ask(a, "/auth/signout", { method: "POST", key });
    return async () => (await call(b, "version", key)).status === 401;
  },
  async secret({ a, b }, round) {
    await ask(a, `${SECRET_PATH}/bench`, { method: "PUT", body: { value: String(round) } });
    return async () => (await call(b, "secret")).text === String(round);
  },
  async setting({ a, b }, round) {
    const level = round % 2 === 0 ? "warn" : "error";
    await ask(a, "/admin/log-level", { method: "PUT", body: { level } });
    return async () => JSON.parse((await ask(b, "/admin/log-level")).text).level === level;
  },
  async "rate limit"({ a, b }, round) {
    const limit = 100_000 + round;
    await ask(a, "/functions/limited", { method: "PATCH", body: { rate_limit: `${limit}/min` } });
    return async () => (await call(b, "limited")).headers.get("x-ratelimit-limit") === String(limit);
  },
};

export const propagation: Suite = {
  name: "propagation",
  async run(dir, { isQuick }) {
    await using postgres = await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silentLog });
    await using witness = startWitness();
    const start = (name: string) =>
      startBeside(postgres.url.reveal(), join(dir, name), {
        FLUXBASE_AUTH_ATTEMPTS_PER_ADDRESS: "1000000",
        FLUXBASE_RATE_LIMIT_FAILURES_PER_MINUTE: "1000000",
        FLUXBASE_FUNCTIONS_EGRESS_ALLOW: witness.address,
      });
    await using a = await start("a");
    await using b = await start("b");
    await deploy(a, "version", versionOf(-1));
    await deploy(a, "secret", `export default () => new Response(secrets.getSystem("bench"));`);
    await deploy(a, "limited", "export default () => 1;", { rate_limit: "100000/min" });
    await deploy(a, "waiting", waitingFor(witness.address), { timeout: 60 });
    await made(a, SECRET_PATH, { key: "bench", value: "-1" });
    for (const name of ["version", "secret", "limited"]) {
      await until(async () => (await call(b, name)).status === 200);
    }
    const roundsCount = isQuick ? QUICK_ROUNDS_COUNT : ROUNDS_COUNT;
    const rows: Row[] = [];
    for (const [what, change] of Object.entries(KINDS)) {
      const times: number[] = [];
      for (let round = 0; round < roundsCount; round += 1) {
        const isKnown = await change({ a, b }, round);
        times.push(await until(isKnown));
      }
      rows.push(rowOf(what, times));
    }
    rows.push(rowOf("cancelled task, which either of them runs", await cancelTimes({ a, b }, witness, roundsCount)));
    rows.push(rowOf("line of a live tail", await tailTimes({ a, b }, roundsCount)));
    return rows;
  },
};

interface Witness extends AsyncDisposable {
  readonly address: string;
  /** Of the function that waits: when it began, and when it ended. */
  began: PromiseWithResolvers<void>;
  ended: PromiseWithResolvers<void>;
}

function startWitness(): Witness {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { began, ended } = witness;
    began.resolve();
    request.signal.addEventListener("abort", () => ended.resolve());
    return ended.promise.then(() => new Response(""));
  });
  const witness: Witness = {
    address: `127.0.0.1:${server.addr.port}`,
    began: Promise.withResolvers(),
    ended: Promise.withResolvers(),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
  return witness;
}

/** It runs on either server, and the first one cancels it. */
async function cancelTimes({ a }: Pair, witness: Witness, roundsCount: number): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < roundsCount; round += 1) {
    witness.began = Promise.withResolvers();
    witness.ended = Promise.withResolvers();
    const { text } = await ask(a, "/functions/waiting/invoke", {
      ...{ method: "POST", headers: { prefer: "respond-async" } },
    });
    await witness.began.promise;
    await ask(a, `/tasks/${JSON.parse(text).task_id}/cancel`, { method: "POST" });
    const cancelledMs = performance.now();
    await witness.ended.promise;
    times.push(performance.now() - cancelledMs);
  }
  return times;
}

const versionOf = (round: number) => `export default () => new Response("${round}");`;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

async function ask(
  { url, serviceRoleKey }: RunningPlatform,
  path: string,
  { method = "GET", body, key = serviceRoleKey, headers = {} }: {
    method?: string;
    body?: unknown;
    key?: string;
    headers?: Record<string, string>;
  } = {},
): Promise<Answer> {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...headers },
    ...body === undefined ? {} : { body: JSON.stringify(body) },
  });
  const text = await answer.text();
  if (answer.status >= 400 && answer.status !== 401) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return { status: answer.status, text, headers: answer.headers };
}

async function made(platform: RunningPlatform, path: string, body: unknown): Promise<Record<string, string>> {
  return JSON.parse((await ask(platform, path, { method: "POST", body })).text);
}

function call(platform: RunningPlatform, name: string, key?: string): Promise<Answer> {
  return ask(platform, `/functions/${name}/invoke`, { method: "POST", ...key === undefined ? {} : { key } });
}

/** How long it took. */
async function until(holds: () => Promise<boolean>): Promise<number> {
  const startedMs = performance.now();
  while (!await holds()) {
    if (performance.now() - startedMs > GIVE_UP_MS) throw new Error(`Not true within ${GIVE_UP_MS} ms: ${holds}`);
    await delay(STEP_MS);
  }
  return performance.now() - startedMs;
}

function rowOf(what: string, times: readonly number[]): Row {
  const [p50, p99] = [percentile(times, 50), percentile(times, 99)];
  return {
    what: `from one server to another: ${what}, ${times.length} times: p99`,
    target: `≤ ${TARGET_MS} ms`,
    measured: `${p99.toFixed(0)} ms (p50 ${p50.toFixed(0)} ms)`,
    isMet: p99 <= TARGET_MS,
  };
}

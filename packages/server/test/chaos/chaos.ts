/**
 * Several servers under load while faults come one after the other, in an order that a seed gives; then everything that
 * was acknowledged is looked for.
 *
 * @module
 */
import pg from "pg";
import { delay } from "../../src/core/clock.ts";
import { type Chance, createChance } from "./chance.ts";
import { createChecker, PATIENCE, type Patience } from "./checker.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { type FaultName, FAULTS } from "./faults.ts";
import { FUNCTIONS, type LoadParts, putLoadOn, SECRET_PATH, send } from "./load.ts";
import { makeNetwork } from "./network.ts";
import { startWitness, type Witness } from "./witness.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly ms: number;
  /** Each comes at least once, in this order; then those of `only` in random order until the time is over. */
  readonly faults?: readonly FaultName[];
  /** Without: all that the machine can do. */
  readonly only?: readonly FaultName[];
  readonly patience?: Patience;
  /** Of what lasts a while: 1 is a server that is stopped for 30 s. */
  readonly scale?: number;
  /** Who call, and who enqueue tasks, at once. */
  readonly callers?: number;
  readonly taskers?: number;
  /** A checkout of an earlier version, for rolling updates. */
  readonly old?: string;
  /** Where logs of the servers are kept. */
  readonly logsDir?: string;
  readonly say?: (text: string) => void;
}

export interface ChaosReport {
  /** Empty: everything held. */
  readonly wrong: readonly string[];
  /** How often each came. */
  readonly faults: Readonly<Record<string, number>>;
  readonly failedMost: Readonly<Record<string, number>>;
  readonly calls: number;
  readonly failed: number;
  /** Answered with 503 because no sandbox was free. */
  readonly overloaded: number;
  readonly writes: number;
  readonly tasks: number;
  readonly attempts: number;
  readonly ticks: number;
  readonly deployments: number;
  readonly secrets: number;
  readonly keys: number;
  readonly sessions: number;
}

const NODES = 3;
const BETWEEN_MS = 3_000;
const BETWEEN_MIN_MS = 1_000;
/** A task of a server that was killed is another's when its lease of 30 s has ended. */
const TASKS_DONE_MS = 300_000;
const TASKS_LOOK_MS = 1_000;
const TICK_MS = 5_000;
const SHOWN = 40;
/** Calls that found no sandbox on a machine that has other things to do. */
const OVERLOADED_SHARE = 0.01;
const OVERLOADED_FEW = 20;
/** Calls that need no database and fail in one fault: those under way, and those before the balancer notices. */
const FAILED_CALLS_MOST = 100;

export async function runChaos(
  {
    seed,
    ms,
    faults = [],
    only = Object.keys(FAULTS) as FaultName[],
    patience = PATIENCE,
    scale = 1,
    callers = 6,
    taskers = 1,
    old,
    logsDir,
    say = () => {},
  }: ChaosOptions,
): Promise<ChaosReport> {
  const wrong: string[] = [];
  await using network = await makeNetwork(NODES);
  await using witness = startWitness(network.address, wrong);
  await using cluster = await startCluster({
    count: NODES,
    network,
    ...old === undefined ? {} : { old },
    ...logsDir === undefined ? {} : { logsDir },
    env: {
      FLUXBASE_FUNCTIONS_EGRESS_ALLOW: witness.address,
      FLUXBASE_AUTH_ATTEMPTS_PER_ADDRESS: "1000000",
      FLUXBASE_RATE_LIMIT_FAILURES_PER_MINUTE: "1000000",
    },
  });
  for (const [part, why] of cluster.missing) say(`without ${part}: ${why}`);
  const isPossible = (name: FaultName) => {
    const { needs } = FAULTS[name];
    return needs === undefined || !cluster.missing.has(needs);
  };
  const checker = createChecker({ nodes: cluster.nodes, wrong, patience });
  const betweenMs = Math.max(BETWEEN_MIN_MS, BETWEEN_MS * scale);
  const stopping = new AbortController();
  const parts: LoadParts = {
    cluster,
    checker,
    callers,
    taskers,
    chance: createChance(seed + 1),
    signal: stopping.signal,
  };
  await prepare(parts, witness);
  const firstTickMs = nextTickMs(Date.now() + TICK_MS);
  const loading = putLoadOn(parts);
  const chance = createChance(seed);
  const counts: Record<string, number> = {};
  const endsAtMs = performance.now() + ms;
  let saidCount = 0;
  let planned = faults.filter(isPossible);
  try {
    while (performance.now() < endsAtMs || (faults.length > 0 && planned.length > 0)) {
      await delay(betweenMs);
      // Each comes once in a round, so that all come about as often.
      if (planned.length === 0) planned = shuffled(only.filter(isPossible), chance);
      const name = planned.shift() ?? "kill a server";
      say(name);
      counts[name] = (counts[name] ?? 0) + 1;
      checker.begin(name);
      await FAULTS[name].run({ cluster, chance, checker, scale }).catch((error) => wrong.push(`${name}: ${error}`));
      for (; saidCount < wrong.length; saidCount += 1) say(`WRONG: ${wrong[saidCount]}`);
    }
    await delay(betweenMs);
  } finally {
    stopping.abort();
    await loading;
  }
  for (const [name, count] of Object.entries(checker.failedMost)) {
    if (count > FAILED_CALLS_MOST) wrong.push(`${count} calls failed in one fault: ${name}`);
  }
  if (checker.counts.overloaded > Math.max(OVERLOADED_FEW, checker.counts.calls * OVERLOADED_SHARE)) {
    wrong.push(`${checker.counts.overloaded} of ${checker.counts.calls} calls found no sandbox`);
  }
  await lookForWrites(cluster, checker.writes, wrong);
  const lastTickMs = nextTickMs(Date.now() - TICK_MS);
  await lookForTasks(parts);
  await lookForTicks(parts, firstTickMs, lastTickMs);
  const { calls, refused, overloaded, keys, sessions } = checker.counts;
  return {
    ...{ calls, overloaded, keys, sessions, failed: refused, failedMost: checker.failedMost },
    wrong: wrong.slice(0, SHOWN),
    faults: counts,
    writes: checker.writes.size,
    tasks: checker.tasks.size,
    attempts: witness.attemptsCount,
    ticks: (lastTickMs - firstTickMs) / TICK_MS + 1,
    deployments: checker.changes.version.count,
    secrets: checker.changes.secret.count,
  };
}

function shuffled<Item>(items: readonly Item[], chance: Chance): Item[] {
  return items.map((item) => ({ item, place: chance.next() })).sort((a, b) => a.place - b.place).map(({ item }) =>
    item
  );
}

async function prepare(parts: LoadParts, { address }: Witness): Promise<void> {
  const { cluster, checker } = parts;
  const client = new pg.Client({ connectionString: cluster.usersUrl.reveal() });
  await client.connect();
  await client.query("create table public.writes (id uuid primary key)");
  await client.end();
  const [first] = cluster.nodes;
  if (first === undefined) throw new Error("There are no servers");
  const made = { method: "POST", to: first, needsDatabase: true };
  const functions = {
    ...{ times: FUNCTIONS.times, limited: FUNCTIONS.limited, secret: FUNCTIONS.secret, ticking: FUNCTIONS.ticking },
    version: FUNCTIONS.version(checker.changes.version.next()),
    witnessed: FUNCTIONS.witnessed(address),
  };
  for (const [name, code] of Object.entries(functions)) {
    const limit = name === "limited" ? { rate_limit: "1000000/min" } : {};
    const body = JSON.stringify({ name, code, ...limit });
    await send(parts, "A deployment", { ...made, path: "/api/v1/functions?strict=true", body });
  }
  const secret = { key: "chaos", value: String(checker.changes.secret.next()) };
  await send(parts, "A secret", { ...made, path: SECRET_PATH, body: JSON.stringify(secret) });
  await send(parts, "A schedule", {
    ...{ ...made, path: "/api/v1/functions/ticking/schedules" },
    body: JSON.stringify({ name: "chaos", cron: `*/${TICK_MS / 1_000} * * * * *`, overlap: "allow", catch_up: "all" }),
  });
  if (checker.wrong.length > 0) throw new Error(`Cannot prepare the servers: ${checker.wrong}`);
  for (const { acknowledged } of Object.values(checker.changes)) acknowledged(0);
  // Each knows them, has a sandbox of its own, and sees the table.
  for (const node of cluster.nodes) {
    for (const name of ["times", "limited", "version", "secret"]) {
      const init = { method: "POST", body: "1", headers: keyOf(parts) };
      await untilOk(() => fetch(`${node.url}/api/v1/functions/${name}/invoke`, init));
    }
    await untilOk(() => fetch(`${node.url}/rest/v1/writes`, { headers: keyOf(parts) }));
    node.disturbedAtMs = -Infinity;
  }
  checker.counts.refused = 0;
}

function keyOf({ cluster: { serviceKey } }: LoadParts): Record<string, string> {
  return { authorization: `Bearer ${serviceKey}` };
}

async function untilOk(ask: () => Promise<Response>): Promise<void> {
  for (let left = 300;; left -= 1) {
    const answer = await ask();
    const text = await answer.text();
    if (answer.ok) return;
    if (left === 0) throw new Error(`The servers did not get ready: ${answer.status} ${text}`);
    await delay(100);
  }
}

async function lookForWrites({ usersUrl }: Cluster, writes: ReadonlySet<string>, wrong: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: usersUrl.reveal() });
  await client.connect();
  const { rows } = await client.query("select id::text from public.writes");
  await client.end();
  const there = new Set(rows.map(({ id }) => id));
  for (const id of writes) if (!there.has(id)) wrong.push(`The acknowledged write ${id} is lost`);
}

async function lookForTasks({ cluster, checker: { tasks, wrong } }: LoadParts): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.databaseUrl.reveal() });
  await client.connect();
  const [node] = cluster.nodes;
  const deadline = performance.now() + TASKS_DONE_MS;
  let waiting = [...tasks.keys()];
  while (waiting.length > 0 && performance.now() < deadline) {
    await delay(TASKS_LOOK_MS);
    const { rows } = await client.query(
      "select id::text from fluxbase.tasks where id = any ($1::uuid[]) and state = 'done'",
      [
        waiting,
      ],
    );
    const done = new Set(rows.map(({ id }) => id));
    waiting = waiting.filter((id) => !done.has(id));
  }
  await client.end();
  for (const id of waiting) wrong.push(`The acknowledged task ${id} was not done within ${TASKS_DONE_MS / 1_000} s`);
  const done = [...tasks].filter(([id]) => !waiting.includes(id));
  for (const [id, expected] of done.slice(-SHOWN)) {
    const answer = await fetch(`${node?.url}/api/v1/tasks/${id}`, {
      headers: { authorization: `Bearer ${cluster.serviceKey}` },
    });
    const task = await answer.json();
    if (!JSON.stringify(task.answer ?? null).includes(expected)) {
      wrong.push(`The task ${id} has the answer ${JSON.stringify(task.answer)}, not ${expected}`);
    }
  }
}

function nextTickMs(epochMs: number): number {
  return Math.ceil(epochMs / TICK_MS) * TICK_MS;
}

/** Every tick has made one task, whatever was done to the servers. */
async function lookForTicks(
  { cluster, checker: { wrong } }: LoadParts,
  firstMs: number,
  lastMs: number,
): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.databaseUrl.reveal() });
  await client.connect();
  const { rows } = await client.query(`
    select convert_from(body, 'UTF8')::json ->> 'scheduled_at' as at from fluxbase.tasks where trigger_type = 'cron'`);
  await client.end();
  const counts = Map.groupBy(rows, ({ at }) => Date.parse(at));
  for (let at = firstMs; at <= lastMs; at += TICK_MS) {
    const count = counts.get(at)?.length ?? 0;
    if (count !== 1) wrong.push(`The tick of ${new Date(at).toISOString()} made ${count} tasks`);
  }
}

/**
 * What users do meanwhile: calls, writes, tasks, deployments. Each goes to a server that a balancer would choose.
 *
 * @module
 */
import { delay } from "../../src/core/clock.ts";
import type { Chance } from "./chance.ts";
import type { Attempt, Checker } from "./checker.ts";
import type { Cluster, Node } from "./cluster.ts";

export interface LoadParts {
  readonly cluster: Cluster;
  readonly checker: Checker;
  readonly chance: Chance;
  readonly signal: AbortSignal;
}

export const FUNCTIONS = {
  times: `export default async (req) => new Response(String(Number(await req.text()) * 7 + 3));`,
  /** The same, and a witness sees it run. */
  witnessed: (witness: string) =>
    `export default async (req, { trigger }) => {
      await (await fetch("http://${witness}/" + trigger.task_id)).text();
      return new Response(String(Number(await req.text()) * 7 + 3));
    };`,
  ticking: `export default () => new Response("ticked");`,
  version: (number: number) => `export default () => new Response("${number}");`,
} as const;

const REQUEST_MS = 60_000;
const PAUSES_MS = { calls: 20, writes: 60, tasks: 150, deployments: 3_000 } as const;

/** Resolves when the signal has come and everything under way is answered. */
export async function putLoadOn(parts: LoadParts): Promise<void> {
  await Promise.all([
    ...[0, 1, 2].map(() => repeat(parts, PAUSES_MS.calls, call)),
    repeat(parts, PAUSES_MS.writes, write),
    repeat(parts, PAUSES_MS.tasks, enqueue),
    repeat(parts, PAUSES_MS.deployments, deploy),
  ]);
}

type Step = (parts: LoadParts, node: Node) => Promise<void>;

async function repeat(parts: LoadParts, pauseMs: number, step: Step): Promise<void> {
  while (!parts.signal.aborted) {
    const up = parts.cluster.nodes.filter(({ isUp }) => isUp);
    if (up.length > 0) await step(parts, parts.chance.among(up));
    await delay(pauseMs);
  }
}

interface Sent {
  readonly status: number;
  readonly text: string;
}

/** Undefined: it failed, and the checker knows. */
export async function send(
  { cluster: { serviceKey }, checker }: Pick<LoadParts, "cluster" | "checker">,
  what: string,
  { node, path, needsDatabase, ...init }: RequestInit & Pick<Attempt, "node" | "needsDatabase"> & { path: string },
): Promise<Sent | undefined> {
  const beganAtMs = performance.now();
  const fail = (reason: string) => checker.failed(what, { node, beganAtMs, needsDatabase, reason });
  try {
    const answer = await fetch(node.url + path, {
      ...init,
      signal: AbortSignal.timeout(REQUEST_MS),
      headers: { authorization: `Bearer ${serviceKey}`, "content-type": "application/json", ...init.headers },
    });
    const text = await answer.text();
    if (answer.ok) return { status: answer.status, text };
    fail(`${answer.status} ${text.slice(0, 200)}`);
  } catch (error) {
    fail(String(error));
  }
  return undefined;
}

async function call(parts: LoadParts, node: Node): Promise<void> {
  const { checker, chance } = parts;
  const number = Math.floor(chance.next() * 1_000_000);
  const isVersion = chance.next() < 0.2;
  // What was live for long enough before the call is the oldest that may answer.
  const calledAtMs = performance.now();
  const oldest = checker.deployed.findLast(({ atMs }) => atMs < calledAtMs - checker.liveMs)?.number ?? 0;
  const mayBeStale = checker.isDatabaseAway || performance.now() < node.disturbedAtMs + checker.liveMs;
  const name = isVersion ? "version" : "times";
  const answer = await send(parts, `A call of ${name}`, {
    ...{ node, path: `/api/v1/functions/${name}/invoke`, method: "POST", body: String(number) },
    // Warm or not: what runs is known without it.
    needsDatabase: false,
  });
  checker.counts.calls += 1;
  if (answer === undefined) return;
  if (!isVersion && answer.text !== String(number * 7 + 3)) {
    checker.wrong.push(`${node.name} answered ${answer.text} to ${number}`);
  }
  if (isVersion && !mayBeStale && !checker.isDatabaseAway && Number(answer.text) < oldest) {
    checker.wrong.push(
      `${node.name} serves version ${answer.text} although ${oldest} was live for ${checker.liveMs / 1_000} s`,
    );
  }
}

async function write(parts: LoadParts, node: Node): Promise<void> {
  const id = crypto.randomUUID();
  const body = JSON.stringify({ id });
  const answer = await send(parts, "A write", {
    node,
    path: "/rest/v1/writes",
    method: "POST",
    body,
    needsDatabase: true,
  });
  if (answer !== undefined) parts.checker.writes.add(id);
}

async function enqueue(parts: LoadParts, node: Node): Promise<void> {
  const number = Math.floor(parts.chance.next() * 1_000_000);
  const answer = await send(parts, "A task", {
    ...{ node, path: "/api/v1/functions/witnessed/invoke", method: "POST", body: String(number), needsDatabase: true },
    headers: { prefer: "respond-async" },
  });
  if (answer !== undefined) parts.checker.tasks.set(JSON.parse(answer.text).task_id, String(number * 7 + 3));
}

async function deploy(parts: LoadParts, node: Node): Promise<void> {
  const number = (parts.checker.deployed.at(-1)?.number ?? 0) + 1;
  const body = JSON.stringify({ code: FUNCTIONS.version(number) });
  const path = "/api/v1/functions/version";
  const answer = await send(parts, "A deployment", { node, path, method: "PUT", body, needsDatabase: true });
  if (answer !== undefined) parts.checker.deployed.push({ number, atMs: performance.now() });
}

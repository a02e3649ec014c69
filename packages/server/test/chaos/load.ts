/**
 * What users do meanwhile: calls, writes, tasks, deployments, changes of a secret, keys and sessions. The balancer chooses
 * the server; without one, whoever asks chooses one that a balancer would.
 *
 * @module
 */
import { delay } from "../../src/core/clock.ts";
import type { Chance } from "./chance.ts";
import { NODE_HEADER } from "./balancer.ts";
import type { Attempt, ChangeName, Checker } from "./checker.ts";
import type { Cluster, Node } from "./cluster.ts";

export interface LoadParts {
  readonly cluster: Cluster;
  readonly checker: Checker;
  readonly chance: Chance;
  readonly signal: AbortSignal;
  /** Who call, and who enqueue tasks, at once. */
  readonly callers: number;
  readonly taskers: number;
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
  /** Its calls are counted in Redis. */
  limited: `export default async (req) => new Response(String(Number(await req.text()) * 7 + 3));`,
  secret: `export default () => new Response(secrets.getSystem("chaos") ?? "-1");`,
  version: (number: number) => `export default () => new Response("${number}");`,
} as const;

const REQUEST_MS = 60_000;
/**
 * The row is there: HAProxy closes the client's connection when a server dies without an answer, and the fetch of Deno
 * sends a request again whose connection was used before.
 */
const CONFLICT = 409;
const AGAIN_MS = 50;
const PAUSES_MS = {
  calls: 40,
  writes: 60,
  tasks: 100,
  deployments: 3_000,
  secrets: 2_000,
  keys: 3_000,
  sessions: 6_000,
};
export const SECRET_PATH = "/api/v1/admin/settings/custom/secret";

/** Resolves when the signal has come and everything under way is answered. */
export async function putLoadOn(parts: LoadParts): Promise<void> {
  const many = (count: number, pauseMs: number, step: Step) =>
    Array.from({ length: count }, () => repeat(parts, pauseMs, step));
  await Promise.all([
    ...many(parts.callers, PAUSES_MS.calls, call),
    ...many(parts.taskers, PAUSES_MS.tasks, enqueue),
    ...many(1, PAUSES_MS.writes, write),
    ...many(1, PAUSES_MS.deployments, deploy),
    ...many(1, PAUSES_MS.secrets, changeSecret),
    ...many(1, PAUSES_MS.keys, useKey),
    ...many(1, PAUSES_MS.sessions, useSession),
  ]);
}

type Step = (parts: LoadParts) => Promise<void>;

async function repeat(parts: LoadParts, pauseMs: number, step: Step): Promise<void> {
  while (!parts.signal.aborted) {
    await step(parts);
    await delay(pauseMs);
  }
}

interface Request extends RequestInit, Pick<Attempt, "needsDatabase"> {
  readonly path: string;
  /** Without: who is chosen. */
  readonly to?: Node;
  readonly key?: string;
}

interface Sent {
  readonly status: number;
  readonly text: string;
  readonly node: Node | undefined;
  readonly beganAtMs: number;
}

/** Any answer; undefined: none came, and the checker knows. */
async function ask(parts: LoadParts, what: string, { path, to, key, needsDatabase, ...init }: Request) {
  const { cluster, checker, chance } = parts;
  const up = cluster.nodes.filter(({ isUp }) => isUp);
  const chosen = to ?? (cluster.url === undefined && up.length > 0 ? chance.among(up) : undefined);
  const beganAtMs = performance.now();
  try {
    const answer = await fetch((chosen?.url ?? cluster.url ?? "") + path, {
      ...init,
      signal: AbortSignal.timeout(REQUEST_MS),
      headers: {
        authorization: `Bearer ${key ?? cluster.serviceKey}`,
        "content-type": "application/json",
        ...init.headers,
      },
    });
    const text = await answer.text();
    const node = chosen ?? cluster.nodes.find(({ name }) => name === answer.headers.get(NODE_HEADER));
    return { status: answer.status, text, node, beganAtMs };
  } catch (error) {
    checker.failed(what, { node: chosen, beganAtMs, needsDatabase, reason: String(error) });
    return undefined;
  }
}

/** Undefined: it failed, and the checker knows. */
export async function send(
  parts: LoadParts,
  what: string,
  request: Request,
  fine: readonly number[] = [],
): Promise<Sent | undefined> {
  const sent = await ask(parts, what, request);
  if (sent === undefined || sent.status < 300 || fine.includes(sent.status)) return sent;
  const { node, beganAtMs, status, text } = sent;
  const { needsDatabase } = request;
  parts.checker.failed(what, { node, beganAtMs, needsDatabase, reason: `${status} ${text.slice(0, 200)}` });
  return undefined;
}

async function call(parts: LoadParts): Promise<void> {
  const { checker, chance } = parts;
  const number = Math.floor(chance.next() * 1_000_000);
  const share = chance.next();
  const name = share < 0.2 ? "version" : share < 0.35 ? "secret" : share < 0.5 ? "limited" : "times";
  checker.counts.calls += 1;
  const answer = await send(parts, `A call of ${name}`, {
    ...{ path: `/api/v1/functions/${name}/invoke`, method: "POST", body: String(number) },
    // Warm or not: what runs is known without it.
    needsDatabase: false,
  });
  if (answer === undefined) return;
  const { text, node, beganAtMs } = answer;
  if (name === "times" || name === "limited") {
    if (text !== String(number * 7 + 3)) checker.wrong.push(`${node?.name} answered ${text} to ${number}`);
    return;
  }
  const wrong = checker.changes[name].wrongIn(Number(text), beganAtMs);
  if (wrong === undefined || checker.mayBeStale(node, beganAtMs)) return;
  checker.wrong.push(`${node?.name} serves the ${name} ${wrong}`);
}

async function write(parts: LoadParts): Promise<void> {
  const id = crypto.randomUUID();
  const body = JSON.stringify({ id });
  const request = { path: "/rest/v1/writes", method: "POST", body, needsDatabase: true };
  const answer = await send(parts, "A write", request, [CONFLICT]);
  if (answer !== undefined) parts.checker.writes.add(id);
}

async function enqueue(parts: LoadParts): Promise<void> {
  const number = Math.floor(parts.chance.next() * 1_000_000);
  const answer = await send(parts, "A task", {
    ...{ path: "/api/v1/functions/witnessed/invoke", method: "POST", body: String(number), needsDatabase: true },
    headers: { prefer: "respond-async" },
  });
  if (answer !== undefined) parts.checker.tasks.set(JSON.parse(answer.text).task_id, String(number * 7 + 3));
}

function deploy(parts: LoadParts): Promise<void> {
  return change(parts, "version", (number) => ({
    path: "/api/v1/functions/version",
    body: JSON.stringify({ code: FUNCTIONS.version(number) }),
  }));
}

function changeSecret(parts: LoadParts): Promise<void> {
  return change(parts, "secret", (number) => ({
    path: `${SECRET_PATH}/chaos`,
    body: JSON.stringify({ value: String(number) }),
  }));
}

async function change(
  parts: LoadParts,
  name: ChangeName,
  requestOf: (number: number) => Pick<Request, "path" | "body">,
): Promise<void> {
  const changes = parts.checker.changes[name];
  const number = changes.next();
  const request = { ...requestOf(number), method: "PUT", needsDatabase: true };
  const answer = await send(parts, `A change of the ${name}`, request);
  if (answer === undefined) changes.unknown(number);
  else changes.acknowledged(number);
}

/** A key that was made is accepted everywhere, and refused everywhere when it was revoked. */
async function useKey(parts: LoadParts): Promise<void> {
  const made = await send(parts, "A new key", {
    ...{ path: "/api/v1/client-keys", method: "POST", needsDatabase: true },
    body: JSON.stringify({ name: "chaos", scopes: ["functions:invoke"] }),
  });
  if (made === undefined) return;
  const { id, key } = JSON.parse(made.text);
  await expectEverywhere(parts, "The new key", { key, status: 200 });
  const revoked = await send(parts, "The end of a key", {
    ...{ path: `/api/v1/client-keys/${id}/revoke`, method: "POST", needsDatabase: true },
  });
  if (revoked === undefined) return;
  await expectEverywhere(parts, "The revoked key", { key, status: 401 });
  parts.checker.counts.keys += 1;
}

/** So is the token of a session. */
async function useSession(parts: LoadParts): Promise<void> {
  const began = await send(parts, "A new user", {
    ...{ path: "/api/v1/auth/signup", method: "POST", needsDatabase: true },
    body: JSON.stringify({ email: `${crypto.randomUUID()}@chaos.invalid`, password: crypto.randomUUID() }),
  });
  if (began === undefined) return;
  const { access_token: key } = JSON.parse(began.text);
  await expectEverywhere(parts, "The new session", { key, status: 200 });
  const ended = await send(parts, "The end of a session", {
    ...{ path: "/api/v1/auth/signout", method: "POST", needsDatabase: true, key },
  });
  if (ended === undefined) return;
  await expectEverywhere(parts, "The ended session", { key, status: 401 });
  parts.checker.counts.sessions += 1;
}

/** Within the time in which every server has to know; sooner is not waited for. */
async function expectEverywhere(
  parts: LoadParts,
  what: string,
  { key, status }: { readonly key: string; readonly status: number },
): Promise<void> {
  const { checker, cluster, signal } = parts;
  const deadline = performance.now() + checker.liveMs;
  for (const to of cluster.nodes.filter(({ isUp }) => isUp)) {
    for (;;) {
      const sent = await ask(parts, what, {
        ...{ to, key, path: "/api/v1/functions/times/invoke", method: "POST", body: "1", needsDatabase: false },
      });
      if (sent === undefined || sent.status === status || checker.mayBeStale(to, sent.beganAtMs)) break;
      const seen = `${sent.status} ${sent.text.slice(0, 200)}`;
      if (sent.status >= 500) {
        checker.failed(what, { node: to, beganAtMs: sent.beganAtMs, needsDatabase: false, reason: seen });
        break;
      }
      if (sent.beganAtMs > deadline) {
        checker.wrong.push(`${what} is answered with ${seen} by ${to.name}, not with ${status}`);
        break;
      }
      if (signal.aborted) return;
      await delay(AGAIN_MS);
    }
  }
}

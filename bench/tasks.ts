/**
 * Asynchronous calls: how long it takes to store one, to begin with one that is due, and to work off many.
 *
 * @module
 */
import { join } from "node:path";
import { delay } from "../packages/server/src/core/clock.ts";
import { deploy, type RunningPlatform, startPlatform } from "./server.ts";
import { median, percentile, type Row, type Suite, timeOf } from "./suite.ts";

const ENQUEUED_COUNT = 300;
const RATE_PER_SEC = 100;
const RATE_SEC = 10;
const DRAINED_COUNT = 5_000;
const FLOOD_COUNT = 10_000;
const OTHERS_COUNT = 50;
/** How many requests of the bench are under way at once. */
const AT_ONCE_COUNT = 50;

/** Answers how many milliseconds it began after it was due. */
const LATE = `export default (_req, { trigger }) => new Response(String(Date.now() - Date.parse(trigger.run_at)));`;

export const tasks: Suite = {
  name: "tasks",
  async run(dir) {
    await using platform = await startPlatform(join(dir, "data"));
    await deploy(platform, "late", LATE, { task_concurrency: 100 });
    await deploy(platform, "failing", `export default () => new Response("", { status: 500 });`);
    await answersOf(platform, [await enqueue(platform, "late")]);
    return [await storing(platform), await beginning(platform), await draining(platform), await fairness(platform)];
  },
};

async function storing(platform: RunningPlatform): Promise<Row> {
  const times: number[] = [];
  for (let count = 0; count < ENQUEUED_COUNT; count += 1) {
    times.push(await timeOf(() => enqueue(platform, "late", "1h")));
  }
  const p50 = median(times);
  return row(
    "an asynchronous call, from the request to 202: p50",
    p50,
    3,
    `p95 ${percentile(times, 95).toFixed(1)} ms`,
  );
}

async function beginning(platform: RunningPlatform): Promise<Row> {
  const ids: string[] = [];
  const startMs = Date.now() + 2_000;
  for (let count = 0; count < RATE_PER_SEC * RATE_SEC; count += AT_ONCE_COUNT) {
    const some = Array.from({ length: AT_ONCE_COUNT }, (_, index) => {
      const dueMs = startMs + (count + index) * 1_000 / RATE_PER_SEC;
      return enqueue(platform, "late", new Date(dueMs).toISOString());
    });
    ids.push(...await Promise.all(some));
  }
  const lateMs = (await answersOf(platform, ids)).map(Number);
  const p99 = percentile(lateMs, 99);
  return row(`from due to begun, at ${RATE_PER_SEC} tasks/s: p99`, p99, 250, `p50 ${median(lateMs).toFixed(0)} ms`);
}

async function draining(platform: RunningPlatform): Promise<Row> {
  const due = new Date(Date.now() + 30_000);
  await enqueueMany(platform, "late", DRAINED_COUNT, due.toISOString());
  await delay(Math.max(0, due.getTime() - Date.now()));
  const ms = await timeOf(async () => {
    while (await isWaiting(platform, "late", due)) await delay(20);
  });
  const perSec = DRAINED_COUNT / (ms / 1_000);
  return {
    what: `${DRAINED_COUNT} tasks that are due at once, by one server`,
    target: "≥ 1500 /s",
    measured: `${perSec.toFixed(0)} /s`,
    isMet: perSec >= 1_500,
  };
}

/** Those that were put aside for an hour do not count. */
async function isWaiting(platform: RunningPlatform, name: string, due: Date): Promise<boolean> {
  const lists = await Promise.all(
    ["waiting", "running"].map((state) => get(platform, `/tasks?function=${name}&state=${state}&limit=1000`)),
  );
  return lists.flat().some(({ run_at }: { run_at: string }) => Date.parse(run_at) <= due.getTime());
}

async function fairness(platform: RunningPlatform): Promise<Row> {
  await enqueueMany(platform, "failing", FLOOD_COUNT, "0s");
  const ids: string[] = [];
  for (let count = 0; count < OTHERS_COUNT; count += 1) {
    ids.push(await enqueue(platform, "late"));
    await delay(50);
  }
  const p95 = percentile((await answersOf(platform, ids)).map(Number), 95);
  return row(`a task beside ${FLOOD_COUNT} of a function that fails, from due to begun: p95`, p95, 1_000);
}

async function enqueue({ url, serviceRoleKey }: RunningPlatform, name: string, when?: string): Promise<string> {
  const response = await fetch(`${url}/api/v1/functions/${name}/invoke`, {
    method: "POST",
    headers: {
      apikey: serviceRoleKey,
      prefer: "respond-async",
      ...(when === undefined ? {} : { "x-fluxbase-delay": when }),
    },
  });
  const body = await response.json();
  if (response.status !== 202) throw new Error(`Cannot enqueue: ${JSON.stringify(body)}`);
  return body.task_id;
}

async function enqueueMany(platform: RunningPlatform, name: string, count: number, when: string): Promise<void> {
  for (let done = 0; done < count; done += AT_ONCE_COUNT) {
    await Promise.all(Array.from({ length: AT_ONCE_COUNT }, () => enqueue(platform, name, when)));
  }
}

/** Once they are done. */
async function answersOf(platform: RunningPlatform, ids: readonly string[]): Promise<string[]> {
  const answers: string[] = [];
  for (const id of ids) {
    let task = await get(platform, `/tasks/${id}`);
    for (; task.state !== "done"; task = await get(platform, `/tasks/${id}`)) await delay(50);
    answers.push(task.answer.content);
  }
  return answers;
}

// deno-lint-ignore no-explicit-any -- a bench reads what it needs of an answer
async function get({ url, serviceRoleKey }: RunningPlatform, path: string): Promise<any> {
  return await (await fetch(`${url}/api/v1${path}`, { headers: { apikey: serviceRoleKey } })).json();
}

function row(what: string, ms: number, mostMs: number, more = ""): Row {
  const measured = `${ms.toFixed(1)} ms${more === "" ? "" : `, ${more}`}`;
  return { what, target: `≤ ${mostMs} ms`, measured, isMet: ms <= mostMs };
}

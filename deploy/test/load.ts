/**
 * Callers that count what fails while servers come and go: calls, calls that take a while, tasks.
 *
 * @module
 */
import { delay } from "../../packages/server/src/core/clock.ts";

/** In a server's time, not in a caller's. */
const SLOW_MS = 300;
const REQUEST_MS = 60_000;
const TASKS_END_WITHIN_MS = 120_000;
const SHOWN_COUNT = 20;
const CODE = `export default async (req) => {
  const { number, ms } = await req.json();
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  return Response.json({ answer: number * 7 + 3 });
};`;
const PATH = "/api/v1/functions/rolling/invoke";

export interface Target {
  readonly url: string;
  readonly serviceKey: string;
}

export interface LoadCounts {
  readonly requests: number;
  readonly slow: number;
  readonly tasks: number;
  readonly failed: number;
  /** The first ones, in words. */
  readonly failures: readonly string[];
}

export interface Load {
  /** How many requests were answered so far, rightly or not. */
  count(): number;
  failedCount(): number;
  /** Ends once `count` requests are answered, and every task that was taken has run. */
  end(count: number): Promise<LoadCounts>;
}

export async function deployTarget({ url, serviceKey }: Target): Promise<void> {
  const answer = await fetch(`${url}/api/v1/functions`, {
    method: "POST",
    headers: { authorization: `Bearer ${serviceKey}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "rolling", code: CODE }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`Cannot deploy the function: ${answer.status} ${text}`);
}

export interface LoadOptions {
  readonly callersCount?: number;
  /** They need the database at once. */
  readonly hasTasks?: boolean;
}

export function startLoad(target: Target, { callersCount = 8, hasTasks = true }: LoadOptions = {}): Load {
  const tasks = new Map<string, number>();
  const failures: string[] = [];
  let [requests, slow, failed, enough] = [0, 0, 0, Infinity];
  const startedMs = performance.now();

  function fail(what: string): void {
    failed += 1;
    const second = ((performance.now() - startedMs) / 1_000).toFixed(1);
    if (failures.length < SHOWN_COUNT) failures.push(`${second} s: ${what}`);
  }

  async function one(): Promise<void> {
    const number = Math.floor(Math.random() * 1_000_000);
    const [isTask, isSlow] = [hasTasks && Math.random() < 0.01, Math.random() < 0.02];
    try {
      const answer = await fetch(target.url + PATH, {
        method: "POST",
        headers: {
          authorization: `Bearer ${target.serviceKey}`,
          "content-type": "application/json",
          ...isTask ? { prefer: "respond-async" } : {},
        },
        body: JSON.stringify({ number, ms: isSlow ? SLOW_MS : 0 }),
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      const text = await answer.text();
      if (!answer.ok) fail(`${answer.status} ${text.slice(0, 200)}`);
      else if (isTask) tasks.set(JSON.parse(text).task_id, number);
      else if (JSON.parse(text).answer !== number * 7 + 3) fail(`a wrong answer: ${text.slice(0, 200)}`);
    } catch (error) {
      fail(String(error));
    }
    requests += 1;
    if (isSlow) slow += 1;
  }

  async function call(): Promise<void> {
    while (requests < enough) await one();
  }

  const callers = Array.from({ length: callersCount }, call);
  return {
    count: () => requests,
    failedCount: () => failed,
    async end(count) {
      enough = count;
      await Promise.all(callers);
      for (const [id, number] of tasks) await checkTask(target, { id, number }, fail);
      return { requests, slow, tasks: tasks.size, failed, failures };
    },
  };
}

async function checkTask(
  { url, serviceKey }: Target,
  { id, number }: { readonly id: string; readonly number: number },
  fail: (what: string) => void,
): Promise<void> {
  const deadline = performance.now() + TASKS_END_WITHIN_MS;
  for (;;) {
    const answer = await fetch(`${url}/api/v1/tasks/${id}`, { headers: { authorization: `Bearer ${serviceKey}` } });
    const task = await answer.json();
    if (task.state === "done") {
      if (!JSON.stringify(task.answer).includes(String(number * 7 + 3))) {
        fail(`task ${id} is done wrong: ${task.answer}`);
      }
      return;
    }
    if (performance.now() > deadline) return fail(`task ${id} has not run: ${JSON.stringify(task).slice(0, 300)}`);
    await delay(250);
  }
}

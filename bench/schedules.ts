/**
 * Schedules: how long after its instant a function is called.
 *
 * @module
 */
import { join } from "node:path";
import { delay } from "../packages/server/src/core/clock.ts";
import { deploy, type RunningPlatform, startPlatform } from "./server.ts";
import { median, percentile, type Row, type Suite } from "./suite.ts";

/** All of them at the same instant of every second: harder than as many that are spread over it. */
const SCHEDULES_COUNT = 100;
const MEASURED_SEC = 10;

/** Answers how many milliseconds after the instant it began. */
const LATE =
  `export default (_req, { trigger }) => new Response(String(Date.now() - Date.parse(trigger.scheduled_at)));`;

export const schedules: Suite = {
  name: "schedules",
  async run(dir) {
    await using platform = await startPlatform(join(dir, "data"));
    await deploy(platform, "late", LATE, { task_concurrency: 100 });
    for (let number = 0; number < SCHEDULES_COUNT; number += 1) {
      const fields = { name: `each second ${number}`, cron: "* * * * * *", overlap: "allow" };
      await ask(platform, "POST", "/functions/late/schedules", fields);
    }
    await delay(2_000);
    const since = new Date().toISOString();
    await delay(MEASURED_SEC * 1_000);
    const found = await ask(platform, "GET", "/tasks?function=late&state=done&limit=1000");
    const measured = found.filter(({ created_at }: { created_at: string }) => created_at > since);
    const lateMs: number[] = [];
    for (const { id } of measured) lateMs.push(Number((await ask(platform, "GET", `/tasks/${id}`)).answer.content));
    const p99 = percentile(lateMs, 99);
    const row: Row = {
      what: `from the instant of a schedule to the call, ${SCHEDULES_COUNT} at once each second: p99`,
      target: "≤ 250 ms",
      measured: `${p99.toFixed(0)} ms, p50 ${median(lateMs).toFixed(0)} ms of ${lateMs.length}`,
      isMet: p99 <= 250,
    };
    return [row];
  },
};

async function ask(
  { url, serviceRoleKey }: RunningPlatform,
  method: string,
  path: string,
  body?: object,
  // deno-lint-ignore no-explicit-any -- a bench reads what it needs of an answer
): Promise<any> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { apikey: serviceRoleKey, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
  return await response.json();
}

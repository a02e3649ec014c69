/**
 * First calls of functions that have no sandbox yet, over HTTP, and what sandboxes and calls cost in memory.
 *
 * @module
 */
import { join } from "node:path";
import { deploy, invoke, type RunningPlatform, sandboxPidsOf, startPlatform } from "./server.ts";
import { median, memoryMiB, percentile, type Row, type Suite, timeOf } from "./suite.ts";
import { load } from "./wrk.ts";

const COUNT = 200;
const QUICK_COUNT = 40;
const AT_ONCE_COUNT = 100;
/** Calls come one after the other, far enough apart for a blank sandbox to take the place of the one before. */
const PAUSE_MS = 200;
const HELLO = `async function handler(req) { return { status: 200, body: "hello" }; }`;

/** Fills a source up to a size with functions that are never called. */
function padded(bytes: number): string {
  let code = HELLO;
  for (let index = 0; code.length < bytes; index += 1) {
    code += `\nfunction unused${index}(a, b) { return a * ${index} + b + "some text that stands here ${index}"; }`;
  }
  return code;
}

async function call(platform: RunningPlatform, name: string): Promise<void> {
  const response = await invoke(platform, `${name}/invoke`);
  const text = await response.text();
  if (text !== "hello") throw new Error(`${name} answered ${response.status} ${text}`);
}

async function deployMany(platform: RunningPlatform, count: number, code: string): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => `cold-${index}`);
  for (const name of names) await deploy(platform, name, code);
  return names;
}

async function oneByOne(dir: string, code: string, count: number): Promise<number[]> {
  await using platform = await startPlatform(join(dir, crypto.randomUUID()));
  const names = await deployMany(platform, count, code);
  await deploy(platform, "warm-up", HELLO);
  await call(platform, "warm-up");
  const times: number[] = [];
  for (const name of names) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    times.push(await timeOf(() => call(platform, name)));
  }
  return times;
}

export const cold: Suite = {
  name: "cold",
  async run(dir, { isQuick }) {
    const count = isQuick ? QUICK_COUNT : COUNT;
    const small = await oneByOne(dir, padded(2_000), count);
    const large = await oneByOne(dir, padded(300_000), count);
    return [
      {
        what: `cold call, 2 KB, ${count} functions each called once: p50`,
        target: "≤ 4 ms",
        measured: `${median(small).toFixed(1)} ms`,
        isMet: median(small) <= 4,
      },
      {
        what: "the same: p99",
        target: "≤ 15 ms",
        measured: `${percentile(small, 99).toFixed(1)} ms`,
        isMet: percentile(small, 99) <= 15,
      },
      {
        what: `cold call, 300 KB, ${count} functions each called once: p50`,
        target: "≤ 20 ms",
        measured: `${median(large).toFixed(1)} ms (p99 ${percentile(large, 99).toFixed(1)} ms)`,
        isMet: median(large) <= 20,
      },
      ...await allAtOnce(dir),
    ];
  },
};

async function allAtOnce(dir: string): Promise<Row[]> {
  await using platform = await startPlatform(join(dir, crypto.randomUUID()), {
    FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0",
    FLUXBASE_LIMITS_FUNCTION_SHARE_PERCENT: "100",
  });
  const names = await deployMany(platform, AT_ONCE_COUNT, HELLO);
  const outcomes = await Promise.allSettled(names.map((name) => timeOf(() => call(platform, name))));
  const times = outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
  const failedCount = outcomes.length - times.length;
  const sizes = await Promise.all((await sandboxPidsOf(platform)).map((pid) => memoryMiB(pid, "Pss")));
  return [
    {
      what: `empty pool, ${AT_ONCE_COUNT} functions called at the same instant`,
      target: "0 failed",
      measured: `${failedCount} failed, p50 ${median(times).toFixed(0)} ms, p99 ${percentile(times, 99).toFixed(0)} ms`,
      isMet: failedCount === 0,
    },
    {
      what: `memory of an idle sandbox (median of ${sizes.length})`,
      target: "≤ 16 MiB PSS",
      measured: `${median(sizes).toFixed(1)} MiB`,
      isMet: median(sizes) <= 16,
    },
  ];
}

export const memory: Suite = {
  name: "memory",
  async run(dir) {
    await using platform = await startPlatform(join(dir, "data"));
    await deploy(
      platform,
      "hello",
      `async function handler(req) { return { body: JSON.parse(req.body), status: 200 }; }`,
    );
    const target = {
      url: `${platform.url}/api/v1/functions/hello/invoke`,
      authorization: `Bearer ${platform.anonKey}`,
    };
    let callCount = 0;
    const callUntil = async (count: number) => {
      while (callCount < count) {
        const { perSec } = await load(target, { connectionCount: 16, seconds: 1, dir });
        callCount += perSec;
      }
      return await memoryMiB(platform.pid, "Rss");
    };
    const early = await callUntil(1_000);
    const late = await callUntil(100_000);
    return [{
      what: "memory of the server after 100,000 calls, against that after the first thousands",
      target: "within 20 %",
      measured: `${late.toFixed(0)} MiB of ${early.toFixed(0)} MiB`,
      isMet: Math.abs(late / early - 1) <= 0.2,
    }];
  },
};

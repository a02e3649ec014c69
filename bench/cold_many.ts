/**
 * Many functions that are rarely called: how many first calls a server makes in a second, beside a process for each call,
 * and what a sandbox costs that waits for its first call.
 *
 * @module
 */
import { join } from "node:path";
import {
  deploy,
  invoke,
  type RunningPlatform,
  sandboxPidsOf,
  startPlatform,
  startScript,
  zygotePidsOf,
} from "./server.ts";
import { delay } from "../packages/server/src/core/clock.ts";
import { median, memoryMiB, type Row, type Suite } from "./suite.ts";

const FUNCTIONS_COUNT = 160;
const AT_ONCE_COUNTS = [1, 2, 8, 32];
const BLANKS_COUNT = 20;
const ALIVE_COUNT = 500;
const DEPLOYS_AT_ONCE_COUNT = 8;
const HELLO = `async function handler(req) {
  const data = JSON.parse(req.body || "{}");
  return { status: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ message: \`Hello \${data.name || "World"}!\` }) };
}`;

export async function deployMany(platform: RunningPlatform, names: readonly string[], code: string): Promise<void> {
  await atOnce(names, DEPLOYS_AT_ONCE_COUNT, (name) => deploy(platform, name, code));
}

/** Returns how many were done in a second. */
async function atOnce<T>(items: readonly T[], count: number, work: (item: T) => Promise<void>): Promise<number> {
  const rest = items[Symbol.iterator]();
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: count }, async () => {
    for (const item of rest) await work(item);
  }));
  return items.length / (performance.now() - startedMs) * 1_000;
}

async function expectHello(response: Response): Promise<void> {
  const text = await response.text();
  if (text !== `{"message":"Hello World!"}`) throw new Error(`${response.status} ${text}`);
}

/** Processor time of a process, all its threads included, in milliseconds. */
async function cpuMs(pid: number): Promise<number> {
  let ns = 0;
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    ns += Number((await Deno.readTextFile(`/proc/${pid}/task/${name}/schedstat`)).split(" ")[0]);
  }
  return ns / 1e6;
}

async function sustained(dir: string): Promise<Row[]> {
  await using spawning = await startScript("./spawning.ts");
  const spawningUrl = spawning.output().trim();
  await using platform = await startPlatform(join(dir, "sustained"));
  const rounds: { atOnceCount: number; ours: number; theirs: number }[] = [];
  for (const atOnceCount of AT_ONCE_COUNTS) {
    const names = Array.from({ length: FUNCTIONS_COUNT }, (_, index) => `cold-${atOnceCount}-${index}`);
    await deployMany(platform, names, HELLO);
    await delay(1_000);
    const theirs = await atOnce(names, atOnceCount, async () => {
      await expectHello(await fetch(spawningUrl, { method: "POST", body: "{}" }));
    });
    const ours = await atOnce(names, atOnceCount, async (name) => {
      await expectHello(await invoke(platform, `${name}/invoke`, { method: "POST", body: "{}" }));
    });
    rounds.push({ atOnceCount, ours, theirs });
  }
  const best = (of: "ours" | "theirs") => Math.max(...rounds.map((round) => round[of]));
  const at = (count: number) => rounds.find(({ atOnceCount }) => atOnceCount === count)?.ours ?? NaN;
  const ratio = best("ours") / best("theirs");
  const steady = at(32) / at(2);
  return [
    {
      what: `first calls of ${FUNCTIONS_COUNT} functions, best of ${AT_ONCE_COUNTS.join(", ")} at a time`,
      target: "≥ 0.8 of a `deno run` for each call",
      measured: `${ratio.toFixed(2)} (${
        rounds.map(({ atOnceCount, ours, theirs }) => `${atOnceCount}: ${ours.toFixed(0)} of ${theirs.toFixed(0)}/s`)
          .join(", ")
      })`,
      isMet: ratio >= 0.8,
    },
    {
      what: "the same: 32 at a time against 2 at a time",
      target: "≥ 1.0",
      measured: steady.toFixed(2),
      isMet: steady >= 1,
    },
  ];
}

async function blanks(dir: string): Promise<Row[]> {
  await using platform = await startPlatform(join(dir, "blanks"), {
    FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: String(BLANKS_COUNT),
  });
  let pids: number[] = [];
  while (pids.length < BLANKS_COUNT) {
    await delay(100);
    pids = await sandboxPidsOf(platform);
  }
  await delay(500);
  const [zygote = 0] = await zygotePidsOf(platform);
  const children = await Promise.all(pids.map(cpuMs));
  const start = zygote === 0 ? 0 : await cpuMs(zygote);
  return [{
    what: "processor time of a blank sandbox",
    target: "≤ 22 ms",
    measured: `${median(children).toFixed(1)} ms (and ${start.toFixed(0)} ms once for the process they are copies of)`,
    isMet: median(children) <= 22,
  }];
}

async function alive(dir: string): Promise<Row[]> {
  await using platform = await startPlatform(join(dir, "alive"), {
    FLUXBASE_LIMITS_SANDBOX_COUNT: String(ALIVE_COUNT + 20),
    FLUXBASE_LIMITS_SANDBOX_IDLE_MS: "600000",
    FLUXBASE_LIMITS_FUNCTION_SHARE_PERCENT: "100",
  });
  const names = Array.from({ length: ALIVE_COUNT }, (_, index) => `alive-${index}`);
  await deployMany(platform, names, HELLO);
  let failedCount = 0;
  await atOnce(names, 8, async (name) => {
    const response = await invoke(platform, `${name}/invoke`, { method: "POST", body: "{}" });
    await response.body?.cancel();
    if (!response.ok) failedCount += 1;
  });
  await delay(2_000);
  const pids = await sandboxPidsOf(platform);
  const sizes = await Promise.all(pids.map((pid) => memoryMiB(pid, "Pss")));
  return [{
    what: `${ALIVE_COUNT} functions called once each: sandboxes alive after, and memory of one`,
    target: `${ALIVE_COUNT} alive, ≤ 10 MiB PSS`,
    measured: `${pids.length} alive, ${failedCount} failed, ${median(sizes).toFixed(1)} MiB`,
    isMet: pids.length >= ALIVE_COUNT && failedCount === 0 && median(sizes) <= 10,
  }];
}

export const coldMany: Suite = {
  name: "cold-many",
  run: async (dir) => [...await sustained(dir), ...await blanks(dir), ...await alive(dir)],
};

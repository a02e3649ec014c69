/**
 * `npm run bench:cold`: first calls of functions that have no sandbox yet, what a sandbox costs in memory, and a process
 * for each call as the comparison.
 *
 * @module
 */
import { join } from "node:path";
import { deploy, median, percentile, print, type RunningPlatform, startPlatform } from "./server.ts";

const COUNT = Number(Deno.args[0] ?? 100);
const HELLO = `async function handler(req) { return { status: 200, body: "hello" }; }`;
/** Fills a source up to a size with functions that are never called. */
const padded = (bytes: number) => {
  let code = HELLO;
  for (let index = 0; code.length < bytes; index += 1) {
    code += `\nfunction unused${index}(a, b) { return a * ${index} + b + "some text that stands here ${index}"; }`;
  }
  return code;
};

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function call({ url, anonKey }: RunningPlatform, name: string): Promise<void> {
  const response = await fetch(`${url}/api/v1/functions/${name}/invoke`, { headers: { apikey: anonKey } });
  const text = await response.text();
  if (text !== "hello") throw new Error(`${name} answered ${response.status} ${text}`);
}

function report(what: string, times: readonly number[], failedCount = 0): void {
  print(
    [
      what.padEnd(58),
      String(times.length).padStart(5),
      median(times).toFixed(1).padStart(8),
      percentile(times, 99).toFixed(1).padStart(8),
      String(failedCount).padStart(7),
    ].join(" "),
  );
}

/** Proportional set size of a process, in MiB. */
async function pssMiB(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss: +(\d+)/m.exec(text)?.[1] ?? NaN) / 1024;
}

async function sandboxesOf(pid: number): Promise<number[]> {
  const children = (await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`)).trim().split(" ").map(Number);
  const commands = await Promise.all(children.map((child) => Deno.readTextFile(`/proc/${child}/cmdline`)));
  return children.filter((_, index) => commands[index]?.includes("bootstrap.ts"));
}

async function coldCalls(dir: string, what: string, code: string, pauseMs: number): Promise<void> {
  await using platform = await startPlatform(join(dir, crypto.randomUUID()));
  const names = Array.from({ length: COUNT }, (_, index) => `cold-${index}`);
  for (const name of names) await deploy(platform, name, code);
  await deploy(platform, "warm-up", HELLO);
  await call(platform, "warm-up");
  const times: number[] = [];
  for (const name of names) {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    times.push(await timeOf(() => call(platform, name)));
  }
  report(what, times);
}

async function allAtOnce(dir: string): Promise<void> {
  await using platform = await startPlatform(join(dir, crypto.randomUUID()), {
    FLUXBASE_LIMITS_BLANK_SANDBOX_COUNT: "0",
    FLUXBASE_LIMITS_WAIT_FOR_SANDBOX_MS: "60000",
  });
  const names = Array.from({ length: COUNT }, (_, index) => `cold-${index}`);
  for (const name of names) await deploy(platform, name, HELLO);
  const outcomes = await Promise.allSettled(names.map((name) => timeOf(() => call(platform, name))));
  const times = outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
  report("empty pool, all functions called at the same instant", times, outcomes.length - times.length);
  const sizes = await Promise.all((await sandboxesOf(platform.pid)).map(pssMiB));
  print(`\nmemory of an idle sandbox: ${median(sizes).toFixed(1)} MiB PSS (median of ${sizes.length})`);
}

/** What a platform that starts a process for each call pays. */
async function processForEachCall(dir: string): Promise<void> {
  const script = join(dir, "hello.ts");
  await Deno.writeTextFile(
    script,
    `const handler = async () => ({ body: "hello" }); console.log((await handler()).body);`,
  );
  const run = () =>
    new Deno.Command(Deno.execPath(), { args: ["run", "--no-config", script], stderr: "null" }).output();
  await run();
  const times: number[] = [];
  for (let index = 0; index < COUNT; index += 1) times.push(await timeOf(run));
  report("`deno run` for each call, without any platform", times);
}

const dir = await Deno.makeTempDir({ prefix: "fluxbase-bench-" });
await Deno.chmod(dir, 0o755);
try {
  print(
    `${"".padEnd(58)} ${"calls".padStart(5)} ${"p50 ms".padStart(8)} ${"p99 ms".padStart(8)} ${"failed".padStart(7)}`,
  );
  await processForEachCall(dir);
  await coldCalls(dir, "cold call over HTTP, 2 KB of source", padded(2_000), 100);
  await coldCalls(dir, "cold call over HTTP, 300 KB of source", padded(300_000), 100);
  await allAtOnce(dir);
} finally {
  await Deno.remove(dir, { recursive: true });
}

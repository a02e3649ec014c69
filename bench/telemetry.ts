/**
 * What it costs a warm call to be counted and told of, as a part of what the call costs the server anyway.
 *
 * Everything is processor time: others may use the machine at the same time. What is told goes to a collector in this
 * process, whose share counts too.
 *
 * @module
 */
import { join } from "node:path";
import { parseTraceparent, TRACE_HEADER } from "../packages/server/sandbox_runtime/trace_context.ts";
import { HeaderList } from "../packages/server/src/core/header_list.ts";
import { silentLog } from "../packages/server/src/core/log.ts";
import { Secret } from "../packages/server/src/core/secret.ts";
import { createMinuteBook } from "../packages/server/src/executions/minute_book.ts";
import { startTelemetry } from "../packages/server/src/telemetry/telemetry.ts";
import type { SamplerName } from "../packages/server/src/telemetry/telemetry_config.ts";
import { executionRecord } from "../packages/server/test/support/executions.ts";
import { deploy, startPlatform } from "./server.ts";
import { median, type Row, timeOf } from "./suite.ts";
import { assertAnswers, load } from "./wrk.ts";

const ROUNDS_COUNT = 7;
const SECONDS = 2;
const TICKS_PER_SEC = 100;
const CALLS_COUNT = 50_000;
const HELLO = `async function handler(req) {
  const data = JSON.parse(req.body || '{}')
  return {
    status: 200,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ message: \`Hello \${data.name || 'World'}!\` }),
  }
}`;
const HEADERS = new Headers({
  accept: "*/*",
  authorization: "Bearer of somebody",
  "content-length": "16",
  "content-type": "application/json",
  host: "127.0.0.1:8080",
  "user-agent": "a client that says who it is",
});
const RECORD = executionRecord({ functionId: "00000000-0000-4000-8000-000000000000" });

export async function telemetry(dir: string): Promise<Row[]> {
  const callUs = await costOfCall(dir);
  const row = (what: string, us: number, mostPercent: number): Row => ({
    what: `${what}, of the ${callUs.toFixed(0)} µs that a warm call costs the server`,
    target: `≤ ${mostPercent} %`,
    measured: `${(100 * us / callUs).toFixed(2)} % (${us.toFixed(2)} µs)`,
    isMet: us / callUs <= mostPercent / 100,
  });
  return [
    row("counting by minute", costOfCounting(), 2),
    row("traces with no collector", costWithout(), 1),
    row("a trace that is not recorded", await costOfTelling("always_off"), 25),
    row("a trace that is recorded and sent", await costOfTelling("always_on"), 150),
  ];
}

/** Processor time of the server for one warm request. */
async function costOfCall(dir: string): Promise<number> {
  await using platform = await startPlatform(join(dir, "warm"));
  await deploy(platform, "hello", HELLO);
  const authorization = `Bearer ${platform.anonKey}`;
  const target = { url: `${platform.url}/api/v1/functions/hello/invoke`, authorization };
  await assertAnswers(target);
  const costs: number[] = [];
  for (let round = 0; round < ROUNDS_COUNT; round += 1) {
    const beforeUs = cpuUsOf(platform.pid);
    const { perSec } = await load(target, { connectionCount: 32, seconds: SECONDS, dir });
    costs.push((cpuUsOf(platform.pid) - beforeUs) / (perSec * SECONDS));
  }
  return median(costs.slice(1));
}

function cpuUsOf(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 1e6 / TICKS_PER_SEC;
}

function costOfCounting(): number {
  const book = createMinuteBook();
  return costOf((index) => book.add({ ...RECORD, durationMs: index % 50, queueMs: 0.1 }));
}

/** What every call pays where nothing is sent. */
function costWithout(): number {
  const headers = new HeaderList(HEADERS);
  let found = 0;
  return costOf(() => {
    if (parseTraceparent(headers.get(TRACE_HEADER)) !== null) found += 1;
  }) + found;
}

/** The least of several: what disturbs only adds. */
function costOf(work: (index: number) => void): number {
  const run = () => {
    const startedMs = performance.now();
    for (let index = 0; index < CALLS_COUNT; index += 1) work(index);
    return (performance.now() - startedMs) * 1_000 / CALLS_COUNT;
  };
  return Math.min(...Array.from({ length: 9 }, run));
}

async function costOfTelling(sampler: SamplerName): Promise<number> {
  await using collector = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    await request.bytes();
    return new Response();
  });
  const batch = { delayMs: 5_000, queueCount: CALLS_COUNT * 2, batchCount: 512 };
  const tell = async () => {
    const telling = await startTelemetry({
      traces: {
        url: `http://127.0.0.1:${collector.addr.port}/v1/traces`,
        headers: new Secret("{}"),
        timeoutMs: 10_000,
        compression: "none",
      },
      metrics: null,
      logs: null,
      serviceName: "bench",
      resource: {},
      sampler,
      samplerRatio: 1,
      metricIntervalMs: 60_000,
      spans: batch,
      lines: batch,
    }, { log: silentLog, node: "bench", version: "0", metrics: () => Promise.resolve([]) });
    const headers = Array.from({ length: CALLS_COUNT }, () => new HeaderList(HEADERS));
    const course = { url: "http://127.0.0.1:8080/api/v1/functions/hello/invoke", userAgent: "a client", startedMs: 0 };
    return await timeOf(async () => {
      for (const [index, list] of headers.entries()) {
        const answered = { sentMs: 0.1, coldStart: null, answeredMs: 1, completedMs: 1 + index % 50 };
        telling?.begin(list).ended(RECORD, { ...course, ...answered });
        // As between requests: what is due is sent.
        if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await telling?.[Symbol.asyncDispose]();
    }) * 1_000 / CALLS_COUNT;
  };
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) times.push(await tell());
  return Math.min(...times);
}

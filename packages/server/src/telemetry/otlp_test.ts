import assert from "node:assert/strict";
import { parseTraceparent } from "../../sandbox_runtime/trace_context.ts";
import { HeaderList } from "../core/header_list.ts";
import { silentLog } from "../core/log.ts";
import { Secret } from "../core/secret.ts";
import { startTelemetry, type Telemetry } from "./telemetry.ts";
import type { SamplerName, TelemetryConfig } from "./telemetry_config.ts";

const BATCH = { delayMs: 1_000, queueCount: 10, batchCount: 10 };
const NOBODY = { url: "http://127.0.0.1:9/", headers: new Secret("{}"), timeoutMs: 100, compression: "none" } as const;
const PARENT = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;

Deno.test("a ratio takes its part of all traces, and the caller decides only where the sampler lets it", async () => {
  const { sampledCount } = await begun({ sampler: "traceidratio", samplerRatio: 0.25 });
  assert.ok(sampledCount > 400 && sampledCount < 600, `${sampledCount} of 2,000`);
  assert.equal((await begun({ sampler: "parentbased_always_off" })).sampledCount, 0);
  assert.equal((await begun({ sampler: "parentbased_always_off" }, PARENT)).sampledCount, 2_000);
  assert.equal((await begun({ sampler: "always_off" }, PARENT)).sampledCount, 0);
});

Deno.test("without traces of its own the server hands on what came", async () => {
  assert.deepEqual((await begun({ traces: null }, PARENT)).last, PARENT);
});

Deno.test("a new trace begins without the state of another one", async () => {
  await using telemetry = await start({ sampler: "always_on" });
  const headers = new HeaderList(new Headers({ traceparent: "none", tracestate: "vendor=1", "x-own": "1" }));
  telemetry.begin(headers);
  assert.equal(headers.get("tracestate"), null);
  assert.notEqual(parseTraceparent(headers.get("traceparent")), null);
  assert.equal(headers.get("x-own"), "1");
});

async function begun(config: Partial<TelemetryConfig>, traceparent?: string) {
  await using telemetry = await start(config);
  let sampledCount = 0;
  let last: string | null = null;
  for (let call = 0; call < 2_000; call += 1) {
    const headers = new HeaderList(new Headers(traceparent === undefined ? {} : { traceparent }));
    telemetry.begin(headers);
    last = headers.get("traceparent");
    if (parseTraceparent(last)?.isSampled) sampledCount += 1;
  }
  return { sampledCount, last };
}

async function start(config: Partial<TelemetryConfig>): Promise<Telemetry> {
  const telemetry = await startTelemetry({
    traces: NOBODY,
    metrics: null,
    logs: null,
    serviceName: "test",
    resource: {},
    sampler: "always_on" satisfies SamplerName,
    samplerRatio: 1,
    metricIntervalMs: 1_000,
    spans: BATCH,
    lines: BATCH,
    ...config,
  }, { log: silentLog, node: "n", version: "1", metrics: () => Promise.resolve([]) });
  assert.ok(telemetry);
  return telemetry;
}

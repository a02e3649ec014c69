/**
 * Traces: what comes in by `traceparent` goes on through functions, and is found with the execution.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseTraceparent, traceparentOf } from "../sandbox_runtime/trace_context.ts";
import { startOtlpReceiver } from "./support/otlp_receiver.ts";
import { eventually, platformTest, withTestPlatform } from "./support/platform.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID = "00f067aa0ba902b7";
const TRACEPARENT = `00-${TRACE_ID}-${SPAN_ID}-01`;
const TOLD = "127.9.9.9";
const UNTOLD = "127.9.9.8";

platformTest("a trace goes on through functions", async (platform, step) => {
  await using told = startListening(TOLD);
  await using untold = startListening(UNTOLD);
  await platform.deploy(
    "inner",
    `export default (req, { trace }) => ({ status: 200, body: { trace, sent: req.headers.get("tracestate") } })`,
  );
  await platform.deploy(
    "outer",
    `export default async (req, { trace }) => {
      const key = { authorization: "Bearer " + Deno.env.get("FLUXBASE_ANON_KEY") };
      const inner = Deno.env.get("FLUXBASE_BASE_URL") + "/api/v1/functions/inner/invoke";
      const ask = async (headers) => await (await fetch(inner, { headers: { ...key, ...headers } })).json();
      const told = await (await fetch(req.params.told, { method: "POST", body: "x", headers: { "x-own": "1" } })).json();
      const untold = await (await fetch(req.params.untold)).json();
      return { seen: req.headers.get("traceparent"), trace, inner: await ask({}), own: await ask({ traceparent: req.params.other }), told, untold };
    }`,
  );
  const other = `00-${"a".repeat(32)}-${"b".repeat(16)}-00`;
  const query = new URLSearchParams({ told: told.url, untold: untold.url, other });
  const ask = async (headers: Record<string, string>) =>
    await (await platform.call(`outer/invoke?${query}`, { headers: { apikey: platform.anonKey, ...headers } })).json();

  await step(
    "the handler sees it, its calls to the server carry it, elsewhere only where that is allowed",
    async () => {
      const { seen, trace, inner, own, told, untold } = await ask({ traceparent: TRACEPARENT, tracestate: "vendor=1" });
      const expected = {
        traceId: TRACE_ID,
        spanId: SPAN_ID,
        sampled: true,
        traceparent: TRACEPARENT,
        tracestate: "vendor=1",
      };
      assert.deepEqual([seen, trace], [TRACEPARENT, expected]);
      assert.deepEqual(inner, { trace: expected, sent: "vendor=1" });
      assert.equal(own.trace.traceparent, other);
      assert.deepEqual(told, { traceparent: TRACEPARENT, tracestate: "vendor=1", own: "1", body: "x" });
      assert.deepEqual(untold, { traceparent: null, tracestate: null, own: null, body: "" });
    },
  );

  await step("its id is in the executions, which are found by it", async () => {
    const { body } = await platform.api("GET", `/admin/functions/executions?trace_id=${TRACE_ID}`);
    assert.deepEqual(
      body.executions.map((entry: Record<string, unknown>) => [entry["function_name"], entry["trace_id"]]).sort(),
      [["inner", TRACE_ID], ["outer", TRACE_ID]],
    );
  });

  await step("a call that is queued runs in the trace of who queued it", async () => {
    const queued = "c".repeat(32);
    const headers = { prefer: "respond-async", traceparent: `00-${queued}-${SPAN_ID}-01` };
    const response = await platform.call("inner", { method: "POST", headers });
    assert.equal(response.status, 202);
    await response.body?.cancel();
    await eventually(async () => {
      const { body } = await platform.api("GET", `/admin/functions/executions?trace_id=${queued}`);
      return body.executions[0]?.trigger_type === "task";
    });
  });

  await step("without one, and with one that is none, there is no trace", async () => {
    for (const headers of [{}, { traceparent: `00-${"0".repeat(32)}-${SPAN_ID}-01` }] as Record<string, string>[]) {
      const { trace, inner, told } = await ask(headers);
      assert.deepEqual([trace, inner.trace, told.traceparent], [null, null, null]);
    }
    const [latest] = await platform.executions("outer", 3);
    assert.equal(latest.trace_id, null);
  });
}, { FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.9.9.0/24", FLUXBASE_FUNCTIONS_TRACE_HOSTS: TOLD });

Deno.test("a collector gets spans, lines and metrics", async (test) => {
  await using collector = startOtlpReceiver();
  await withTestPlatform(async (platform) => {
    const trace = (id: string, flags = "01") => ({ traceparent: `00-${id.repeat(32)}-${SPAN_ID}-${flags}` });
    const call = async (name: string, headers: Record<string, string> = {}) => {
      const response = await platform.call(name, { headers: { apikey: platform.anonKey, ...headers } });
      return { status: response.status, body: await response.json() };
    };
    const spansOf = async (id: string, count: number) => {
      const found = () => collector.spans.filter(({ traceId }) => traceId === id.repeat(32));
      await eventually(() => found().length >= count);
      return Object.fromEntries(found().map((span) => [span.name, span]));
    };
    await platform.deploy("inner", `export default (_, { trace }) => trace`);
    await platform.deploy(
      "outer",
      `console.log("loaded");
      export default async (req, { trace }) => {
        console.warn("to be told", { at: 7, deep: { a: [1] } });
        const headers = { authorization: "Bearer " + Deno.env.get("FLUXBASE_ANON_KEY") };
        const inner = await fetch(Deno.env.get("FLUXBASE_BASE_URL") + "/api/v1/functions/inner/invoke", { headers });
        return { trace, inner: await inner.json() };
      }`,
    );
    await platform.deploy("bad", `export default () => { throw new Error("broken"); }`);

    await test.step("a cold call, and the call that it makes", async () => {
      const { body } = await call("outer", { ...trace("a"), "user-agent": "tester" });
      const spans = await spansOf("a", 9);
      const outer = spans["default/outer"];
      assert.ok(outer);
      assert.deepEqual([outer.parentSpanId, outer.kind, outer.status.code], [
        SPAN_ID,
        "SPAN_KIND_SERVER",
        "STATUS_CODE_UNSET",
      ]);
      const { attributes } = outer;
      assert.deepEqual(
        ["faas.name", "faas.trigger", "faas.coldstart", "http.response.status_code", "user_agent.original"]
          .map((name) => attributes[name]),
        ["outer", "http", true, 200, "tester"],
      );
      const [execution] = await platform.executions("outer");
      assert.equal(attributes["faas.invocation_id"], execution.id);
      assert.deepEqual([outer.resource["service.name"], outer.resource["team"]], ["functions of tests", "a b"]);
      const own = collector.spans.filter(({ parentSpanId }) => parentSpanId === outer.spanId);
      assert.deepEqual(own.map(({ name }) => name).sort(), ["cold start", "handler", "queue"]);
      const handler = own.find(({ name }) => name === "handler");
      const coldStart = own.find(({ name }) => name === "cold start");
      assert.ok(handler && coldStart);
      assert.equal(body.trace.spanId, handler.spanId);
      assert.equal(spans["default/inner"]?.parentSpanId, handler.spanId);
      assert.equal(body.inner.traceId, "a".repeat(32));
      const starts = collector.spans.filter(({ parentSpanId }) => parentSpanId === coldStart.spanId);
      assert.deepEqual(starts.map(({ name }) => name).sort(), ["load", "spawn"]);
      for (const span of [handler, coldStart, ...starts]) {
        assert.ok(outer.startNanos <= span.startNanos && span.startNanos <= span.endNanos, span.name);
        assert.ok(span.endNanos <= outer.endNanos, span.name);
      }
      assert.ok(coldStart.endNanos <= handler.startNanos);
    });

    await test.step("a failure", async () => {
      assert.equal((await call("bad", trace("b"))).status, 500);
      const { "default/bad": bad, handler } = await spansOf("b", 5);
      assert.deepEqual(bad?.status, { code: "STATUS_CODE_ERROR", message: "broken" });
      assert.equal(bad?.attributes["error.type"], "FUNCTION_ERROR");
      const event = handler?.events.find(({ name }) => name === "exception");
      assert.match(String(event?.attributes["exception.stacktrace"]), /bad\.ts:1:30/);
    });

    await test.step("a warm call has two spans, one that its caller does not record none, and its id nevertheless", async () => {
      await call("inner", trace("c"));
      const { body } = await call("inner", trace("d", "00"));
      assert.deepEqual([body.traceId, body.sampled], ["d".repeat(32), false]);
      // By the ratio, which is 0, where no caller decides.
      const { body: own } = await call("inner");
      assert.equal(own.sampled, false);
      const spans = await spansOf("c", 2);
      assert.deepEqual(Object.keys(spans).sort(), ["default/inner", "handler"]);
      const ids = (await platform.executions("inner", 4)).map((entry: Record<string, unknown>) => entry["trace_id"]);
      assert.deepEqual(new Set(ids), new Set(["a", "c", "d"].map((id) => id.repeat(32)).concat(own.traceId)));
      assert.equal(collector.spans.some(({ traceId }) => traceId === "d".repeat(32) || traceId === own.traceId), false);
    });

    await test.step("lines, with the span of the handler, and those outside any request", async () => {
      await eventually(() => collector.lines.length >= 3);
      const line = collector.lines.find(({ body }) => body.startsWith("to be told"));
      assert.ok(line);
      const handler = collector.spans.find(({ name, spanId }) => name === "handler" && spanId === line.spanId);
      assert.deepEqual([line.severity, line.traceId], ["SEVERITY_NUMBER_WARN", handler?.traceId]);
      assert.deepEqual([line.attributes["at"], line.attributes["deep"]], [7, `{"a":[1]}`]);
      const outside = collector.lines.find(({ body }) => body === "loaded");
      assert.deepEqual([outside?.attributes["faas.name"], outside?.traceId], ["outer", ""]);
    });

    await test.step("metrics say what was sent, by the names of the semantic conventions", async () => {
      const valueOf = (metric: string, attributes: Record<string, string>) =>
        collector.points.find((point) =>
          point.metric === metric &&
          Object.entries(attributes).every(([name, value]) => point.attributes[name] === value)
        )?.value;
      const inner = { "fluxbase.namespace": "default", "faas.name": "inner" };
      await eventually(() => valueOf("faas.invocations", { ...inner, "fluxbase.status": "success" }) === 4);
      assert.equal(valueOf("faas.invoke_duration", inner), 4);
      assert.equal(valueOf("faas.coldstarts", inner), 1);
      assert.equal(valueOf("faas.errors", { "faas.name": "bad", "error.type": "FUNCTION_ERROR" }), 1);
      const memory = collector.points.find(({ metric }) => metric === "fluxbase.server_memory");
      assert.deepEqual([memory?.unit, memory?.kind], ["By", "gauge"]);
      const kinds = new Set(collector.points.map(({ metric, kind, unit }) => `${metric} ${kind} ${unit}`));
      assert.equal(new Set(collector.points.map(({ metric }) => metric)).size, kinds.size);
      assert.deepEqual(collector.authorizations, new Set(["Bearer of tests"]));
    });

    await test.step("when the collector is gone, the log says so, and calls go on", async () => {
      await collector[Symbol.asyncDispose]();
      await call("inner", trace("e"));
      await eventually(() => platform.logLines.some((line) => line.includes("Telemetry is left out")));
      assert.equal((await call("inner", trace("f"))).status, 200);
    });
  }, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20of%20tests",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_TIMEOUT: "1000",
    OTEL_SERVICE_NAME: "functions of tests",
    OTEL_RESOURCE_ATTRIBUTES: "team=a%20b",
    OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
    OTEL_TRACES_SAMPLER_ARG: "0",
    OTEL_METRIC_EXPORT_INTERVAL: "100",
    OTEL_BSP_SCHEDULE_DELAY: "50",
    OTEL_BLRP_SCHEDULE_DELAY: "50",
  });
});

Deno.test("traceparent is read as the W3C has it", () => {
  const context = { traceId: TRACE_ID, spanId: SPAN_ID, isSampled: true };
  assert.deepEqual(parseTraceparent(TRACEPARENT), context);
  assert.deepEqual(parseTraceparent(`cc-${TRACE_ID}-${SPAN_ID}-03-later`), context);
  assert.equal(parseTraceparent(`00-${TRACE_ID}-${SPAN_ID}-02`)?.isSampled, false);
  for (
    const wrong of [
      "",
      null,
      undefined,
      TRACEPARENT.toUpperCase(),
      `ff-${TRACE_ID}-${SPAN_ID}-01`,
      `${TRACEPARENT}-later`,
      `${TRACEPARENT}, ${TRACEPARENT}`,
      `00-${TRACE_ID}-${"0".repeat(16)}-01`,
      ` ${TRACEPARENT}`,
    ]
  ) assert.equal(parseTraceparent(wrong), null);
  fc.assert(fc.property(fc.string(), (text) => {
    const read = parseTraceparent(text);
    assert.ok(read === null || parseTraceparent(traceparentOf(read)) !== null);
  }));
});

/** Answers with what it was told. */
function startListening(hostname: string): AsyncDisposable & { readonly url: string } {
  const server = Deno.serve({ hostname, port: 0, onListen() {} }, async (request) => {
    const [traceparent, tracestate, own] = ["traceparent", "tracestate", "x-own"].map((name) =>
      request.headers.get(name)
    );
    return Response.json({ traceparent, tracestate, own, body: await request.text() });
  });
  return { url: `http://${hostname}:${server.addr.port}/`, [Symbol.asyncDispose]: () => server.shutdown() };
}

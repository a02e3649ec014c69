/**
 * Traces: what comes in by `traceparent` goes on through functions, and is found with the execution.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseTraceparent, traceparentOf } from "../sandbox_runtime/trace_context.ts";
import { platformTest } from "./support/platform.ts";

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

  await step("without one, and with one that is none, there is no trace", async () => {
    for (const headers of [{}, { traceparent: `00-${"0".repeat(32)}-${SPAN_ID}-01` }] as Record<string, string>[]) {
      const { trace, inner, told } = await ask(headers);
      assert.deepEqual([trace, inner.trace, told.traceparent], [null, null, null]);
    }
    const [latest] = await platform.executions("outer", 3);
    assert.equal(latest.trace_id, null);
  });
}, { FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.9.9.0/24", FLUXBASE_FUNCTIONS_TRACE_HOSTS: TOLD });

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

/**
 * What the platform says about calls, held against an independent count of what was sent.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { type Answer, eventually, platformTest } from "./support/platform.ts";

const MIXED = `export default async (req) => {
  const { how } = req.params;
  if (how === "fail") throw new Error("no");
  if (how === "log") { console.log("one"); console.log("two"); }
  if (how === "missing") return { status: 404, body: "" };
  if (how === "spin") { console.log("spun"); const end = Date.now() + 1500; let x = 0; while (Date.now() < end) { x += 1; if (x % 100000 === 0) await new Promise((done) => setTimeout(done)); } }
  return new Response("12345");
}`;

const HOWS = ["ok", "fail", "log", "missing"] as const;

platformTest("counts of calls are what was sent, with a row or without", async (platform, step) => {
  const { api } = platform;
  await platform.deploy("mixed", MIXED, { rate_limit: "1000000/min" });
  await platform.deploy("other", `export default () => "x"`, { namespace: "elsewhere" });
  const get = async (path: string) => {
    const { status, body } = await api("GET", path);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const sent: { status: number; ms: number }[] = [];
  const send = async (how: string, body = "abc") => {
    const startMs = performance.now();
    const response = await platform.call(`mixed/invoke?how=${how}`, { method: "POST", body });
    await response.body?.cancel();
    sent.push({ status: response.status, ms: performance.now() - startMs });
  };
  const from = new Date().toISOString();
  await send("ok");
  for (let round = 0; round < 25; round += 1) await Promise.all(HOWS.map((how) => send(how)));
  const countOf = (status: number) => sent.filter((each) => each.status === status).length;

  await step("calls, statuses, codes, bytes, lines of a function", async () => {
    const { series } = await get(`/functions/mixed/metrics?from=${from}`);
    assert.equal(series.length, 1);
    const { total, points, key } = series[0];
    assert.equal(key, null);
    assert.equal(total.calls, sent.length);
    assert.deepEqual(total.statuses, { success: countOf(200) + countOf(404), error: countOf(500) });
    assert.deepEqual(total.status_classes, { "2xx": countOf(200), "4xx": countOf(404), "5xx": countOf(500) });
    assert.deepEqual(total.error_codes, { FUNCTION_ERROR: 25 });
    assert.equal(total.log_lines, 2 * 25 + countOf(500), "what was thrown is a line as well");
    assert.equal(total.bytes_in, 3 * sent.length);
    assert.equal(total.bytes_out, 5 * countOf(200));
    assert.ok(total.cold_starts >= 1);
    const { p50, p99, mean } = total.duration_ms;
    const longest = Math.max(...sent.map(({ ms }) => ms));
    assert.ok(p50 > 0 && p50 <= p99 && p99 <= longest * 1.03 && mean <= longest, `${p50} ${p99} ${mean} ${longest}`);
    assert.equal(points.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0), sent.length);
    for (const { at } of points) assert.equal(Date.parse(at) % 60_000, 0);
    const rows = await platform.executions("mixed");
    assert.ok(rows.length < sent.length, "successes beyond the budget have no rows");
  });

  await step("hours have the same", async () => {
    const [minutes, hours] = await Promise.all(
      ["1m", "1h"].map((each) => get(`/functions/mixed/metrics?from=${from}&step=${each}`)),
    );
    assert.deepEqual(hours.series[0].total, minutes.series[0].total);
    assert.equal(Date.parse(hours.series[0].points[0].at) % 3_600_000, 0);
  });

  await step("split by version, trigger and status", async () => {
    await platform.deploy("mixed", MIXED.replace("12345", "other")).catch(() => {});
    await api("PUT", "/functions/mixed", { code: `export default () => "new"` });
    await (await platform.call("mixed")).body?.cancel();
    const keys = async (by: string) =>
      Object.fromEntries(
        (await get(`/functions/mixed/metrics?from=${from}&by=${by}`)).series
          .map(({ key, total }: { key: string; total: { calls: number } }) => [key, total.calls]),
      );
    assert.deepEqual(await keys("version"), { 1: sent.length, 2: 1 });
    assert.deepEqual(await keys("trigger"), { http: sent.length + 1 });
    assert.deepEqual(await keys("status"), { success: countOf(200) + countOf(404) + 1, error: 25 });
    await api("POST", "/functions/mixed/rollback", { version: 1 });
  });

  await step("all functions, a namespace, and those that are called most", async () => {
    for (let index = 0; index < 3; index += 1) await (await platform.call("elsewhere/other")).body?.cancel();
    const all = await get(`/admin/metrics?from=${from}`);
    assert.equal(all.series[0].total.calls, sent.length + 4);
    const some = await get(`/admin/metrics?from=${from}&namespace=elsewhere`);
    assert.equal(some.series[0].total.calls, 3);
    const { functions } = await get(`/admin/metrics/top?from=${from}`);
    assert.deepEqual(
      functions.map(({ namespace, name, calls }: Record<string, unknown>) => [namespace, name, calls]),
      [["default", "mixed", sent.length + 1], ["elsewhere", "other", 3]],
    );
    const { functions: first } = await get(`/admin/metrics/top?from=${from}&limit=1`);
    assert.deepEqual(first.map(({ name }: { name: string }) => name), ["mixed"]);
  });

  await step("calls that became no execution", async () => {
    await platform.deploy("narrow", `export default () => "x"`, { rate_limit: "2/min" });
    for (let index = 0; index < 5; index += 1) await (await platform.call("narrow")).body?.cancel();
    await (await fetch(`${platform.url}/api/v1/functions/narrow/invoke`)).body?.cancel();
    const { total } = (await get(`/functions/narrow/metrics?from=${from}`)).series[0];
    assert.deepEqual([total.calls, total.rate_limited, total.refused], [2, 3, 1]);
    assert.deepEqual(total.error_codes, { RATE_LIMITED: 3, UNAUTHENTICATED: 1 });
    assert.deepEqual(total.statuses, { success: 2 });
  });

  await step("processor time and memory of a call that is long enough to be looked at", async () => {
    await send("spin");
    const [execution] = await platform.executions("mixed");
    assert.ok(execution.duration_ms >= 1_000, JSON.stringify(execution));
    assert.ok(execution.cpu_ms > 200 && execution.cpu_ms <= execution.duration_ms, `${execution.cpu_ms} ms`);
    assert.ok(execution.memory_mb > 0);
    assert.deepEqual([execution.bytes_in, execution.bytes_out], [3, 5]);
    assert.ok(execution.first_byte_ms <= execution.duration_ms);
    assert.match(execution.node, /./);
    const { total } = (await get(`/functions/mixed/metrics?from=${from}`)).series[0];
    assert.ok(total.cpu_ms >= execution.cpu_ms, `${total.cpu_ms}`);
    assert.ok(total.memory_mb >= execution.memory_mb);
  });

  await step("what cannot be counted is said, with what would work", async () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ["/functions/mixed/metrics?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", /"from" must be before "to"/],
      ["/functions/mixed/metrics?from=2020-01-01T00:00:00Z&step=1m", /minutes are kept for 14 days; .*/],
      ["/functions/mixed/metrics?from=0001-01-01T00:00:00Z&step=1h", /there may be 1500 steps/],
      ["/functions/mixed/metrics?step=2m", /must be one of 1m, 5m/],
      ["/functions/mixed/metrics?by=colour", /must be one of version/],
      ["/functions/mixed/metrics?from=yesterday", /must be an instant/],
      ["/admin/metrics?by=version", /versions are those of one function/],
      ["/admin/metrics/top?limit=0", /from 1 to 1000/],
    ];
    for (const [path, says] of wrong) {
      const { status, body } = await api("GET", path);
      assert.deepEqual([status, body.code], [400, "INVALID_ARGUMENT"], path);
      assert.match(body.error, says, path);
    }
    assert.equal((await api("GET", "/functions/nobody/metrics")).status, 404);
    const elsewhere = await platform.mintKey(["functions:read"], ["elsewhere"]);
    assert.equal((await api("GET", "/functions/mixed/metrics", undefined, elsewhere)).status, 404);
    assert.equal((await api("GET", "/functions/elsewhere/other/metrics", undefined, elsewhere)).status, 200);
  });

  await step("a deleted function is still counted among all", async () => {
    const before = (await get(`/admin/metrics?from=${from}`)).series[0].total.calls;
    await api("DELETE", "/functions/narrow");
    assert.equal((await get(`/admin/metrics?from=${from}`)).series[0].total.calls, before);
  });

  await step("the sums over all functions are the sums of the functions", async () => {
    const { rows } = await sql<{ sums: number; all: number }>`
      select sum((counts ->> 'calls')::int4) filter (where function_id <> ${NOBODY})::int4 as sums,
             sum((counts ->> 'calls')::int4) filter (where function_id = ${NOBODY})::int4 as all
        from fluxbase.execution_minutes`.execute(platform.db);
    assert.equal(rows[0]?.sums, rows[0]?.all);
  });
}, { FLUXBASE_EXECUTIONS_ROWS_PER_SEC: "5" });

const NOBODY = "00000000-0000-0000-0000-000000000000";

/** Ways to answer badly, and that of a good one. */
const ENDINGS: Readonly<Record<string, string>> = {
  "is fine": `return new Response("x")`,
  "has a header of 1 MB": `return new Response("x", { headers: { "x-long": "a".repeat(1_000_000) } })`,
  "has 5,000 headers":
    `return { status: 200, headers: Object.fromEntries(Array.from({ length: 5000 }, (_, i) => ["x-" + i, "1"])), body: "" }`,
  "has a line feed in a header": `return { status: 200, headers: { "x-a": "b\\r\\nc: d" }, body: "" }`,
  "has a status of nobody": `return { status: 999, body: "" }`,
  "is too large": `return new Response("x".repeat(3_000_000))`,
  "is a circle": `const a = {}; a.a = a; return a`,
  "is 503 of its own": `return new Response("no", { status: 503 })`,
  "ends its process": `Deno.exit(0)`,
  "opens a WebSocket for nobody": `return Deno.upgradeWebSocket(req).response`,
};

platformTest("the record says what the caller got", async (platform) => {
  const names = Object.keys(ENDINGS);
  const cases = Object.entries(ENDINGS).map(([name, code]) => `${JSON.stringify(name)}: () => { ${code} }`);
  await platform.deploy(
    "ends",
    `export default (req) => ({ ${
      cases.join(",\n")
    } })[decodeURIComponent(new URL(req.url).searchParams.get("how"))]();`,
    { max_response_bytes: 1_000_000 },
  );
  for (const name of names) {
    const response = await platform.call(`ends/invoke?how=${encodeURIComponent(encodeURIComponent(name))}`);
    const text = await response.text();
    const code = response.status < 400 || !text.startsWith("{") ? null : JSON.parse(text).code;
    const id = response.headers.get("x-request-id");
    let execution: Answer["body"];
    // A request may go on for a while after its answer.
    await eventually(async () => {
      execution = (await platform.executions("ends")).find((each: { id: string }) => each.id === id);
      return execution !== undefined;
    });
    assert.deepEqual(
      [execution.status_code, execution.error_code, execution.status === "success"],
      [response.status, code, response.status < 500],
      name,
    );
  }
});

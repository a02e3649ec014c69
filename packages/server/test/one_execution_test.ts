/**
 * What is told of one execution is what happened to it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { pruneCaptures } from "../src/storage/captures.ts";
import { eventually, platformTest } from "./support/platform.ts";

const FAILS = `import { deep } from "./deep.ts";
export default (req) => {
  if (req.params.how === "many") {
    throw new AggregateError([1, 2, 3].map((n) => new Error("member " + n, { cause: n === 2 ? new Error("of the second") : undefined })), "several");
  }
  deep();
};`;
const DEEP = `export function deep() {
  try {
    JSON.parse("{");
  } catch (error) {
    throw new Error("cannot read it", { cause: error });
  }
}`;
const CALLS = `export default async (req) => {
  console.log("before");
  const base = Deno.env.get("FLUXBASE_BASE_URL");
  const call = (name) => fetch(base + "/api/v1/functions/" + name + "/invoke", { headers: { authorization: req.headers.get("authorization") } });
  const answers = [await call("called"), await call("called"), await call("else/called")];
  return Response.json(answers.map((answer) => answer.headers.get("x-request-id")));
};`;
const ODD = `export default async (req) => {
  const { how } = req.params;
  if (how === "status") return { status: 999, body: "" };
  if (how === "header") return new Response("x", { status: 201, headers: { "x-long": "y".repeat(70000) } });
  if (how === "large") return "z".repeat(7_000_000);
  if (how === "nothing") return undefined;
  if (how === "late") await new Promise((done) => setTimeout(done, 5_000));
  if (how === "exit") Deno.exit(3);
  if (how === "teapot") return new Response("", { status: 418 });
  if (how === "cut") {
    return new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(10)); }, pull(c) { c.error(new Error("broke")); } }));
  }
  return "fine";
};`;

platformTest("an execution is told in full", async (platform, step) => {
  const { api } = platform;
  await platform.deploy("called", `export default () => "x"`);
  await platform.deploy("called", `export default () => "x"`, { namespace: "else" });
  await platform.deploy("calls", CALLS, { timeout: 7 });
  const idOf = (response: Response) => response.headers.get("x-request-id") ?? "";
  const detailsOf = async (id: string, key?: string, path = "/admin/functions/executions") => {
    const { status, body } = await api("GET", `${path}/${id}`, undefined, key);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };

  await step("phases, sandbox, caller, limits, lines, own calls", async () => {
    const responses = [await platform.call("calls"), await platform.call("calls")];
    const made: string[][] = [];
    for (const response of responses) made.push(await response.json());
    const [cold, warm] = await Promise.all(responses.map((response) => detailsOf(idOf(response))));
    assert.deepEqual(cold.timeline.map(({ phase }: { phase: string }) => phase), [
      "queue",
      "start",
      "load",
      "handler",
      "answer",
    ]);
    assert.deepEqual(warm.timeline.map(({ phase }: { phase: string }) => phase), ["queue", "handler", "answer"]);
    for (const each of [cold, warm]) {
      let atMs = 0;
      for (const { from_ms, to_ms } of each.timeline) {
        assert.equal(from_ms, atMs);
        assert.ok(to_ms >= from_ms);
        atMs = to_ms;
      }
      assert.equal(atMs, each.duration_ms);
      assert.equal(each.timeline.at(-1).from_ms, each.first_byte_ms);
      assert.deepEqual(each.limits, { timeout_ms: 7_000, memory_mb: 128 });
      assert.deepEqual(each.caller, { kind: "anon", role: "anon", key_id: null, user_id: null });
      assert.deepEqual(each.log_entries.map(({ message }: { message: string }) => message), ["before"]);
      assert.equal(each.parent, null);
    }
    assert.deepEqual([cold.sandbox.cold, cold.sandbox.request_number], [true, 1]);
    assert.deepEqual([warm.sandbox.cold, warm.sandbox.request_number], [false, 2]);
    assert.ok(warm.sandbox.age_ms > cold.sandbox.age_ms);
    for (const [index, each] of [cold, warm].entries()) {
      assert.deepEqual(each.calls.map(({ id }: { id: string }) => id), made[index]);
      assert.deepEqual(
        each.calls.map(({ namespace, status_code }: Record<string, unknown>) => [namespace, status_code]),
        [["default", 200], ["default", 200], ["else", 200]],
      );
    }
    const child = await detailsOf(made[0]?.[0] ?? "");
    assert.deepEqual([child.parent.id, child.parent.function_name], [cold.id, "calls"]);
  });

  await step("tasks that it makes, and what they run", async () => {
    const code = CALLS.replace("{ headers: {", '{ method: "POST", headers: { prefer: "respond-async",').replace(
      'answer.headers.get("x-request-id")',
      "answer.status",
    );
    await platform.deploy("queues", code);
    const response = await platform.call("queues");
    assert.deepEqual(await response.json(), [202, 202, 202]);
    await eventually(async () => {
      const { tasks, calls } = await detailsOf(idOf(response));
      return tasks.length === 3 && calls.length === 3 &&
        tasks.every(({ state }: { state: string }) => state === "done");
    });
  });

  await step("who is limited to a namespace sees nothing of others", async () => {
    const key = await platform.mintKey(["functions:read"], ["default"]);
    const response = await platform.call("calls");
    const made = await response.json();
    const seen = await detailsOf(idOf(response), key, "/functions/calls/executions");
    assert.deepEqual(seen.calls.map(({ id }: { id: string }) => id), made.slice(0, 2));
    for (const path of [`/functions/else/called/executions/${made[2]}`, `/functions/called/executions/${made[2]}`]) {
      assert.equal((await api("GET", path, undefined, key)).status, 404, path);
    }
    assert.equal((await api("GET", `/admin/functions/executions/${made[0]}`, undefined, key)).status, 403);
    const other = await platform.mintKey(["functions:invoke"]);
    assert.equal((await api("GET", `/functions/called/executions/${made[0]}`, undefined, other)).status, 403);
    assert.equal((await api("GET", "/admin/functions/executions/none%00")).body.code, "EXECUTION_NOT_FOUND");
  });

  await step("a failure with its causes, members and the lines of the source", async () => {
    await platform.deploy("fails", FAILS, { files: { "deep.ts": DEEP } });
    const fails = async (query = "") => {
      const response = await platform.call(`fails/invoke${query}`);
      assert.equal(response.status, 500);
      await response.body?.cancel();
      return (await detailsOf(idOf(response))).failure;
    };
    const deep = await fails();
    assert.deepEqual([deep.code, deep.message], ["FUNCTION_ERROR", "cannot read it"]);
    assert.match(deep.stack, /^Error: cannot read it\n +at deep \(deep\.ts:5:11\)\n +at .*index\.ts:6:\d/);
    assert.doesNotMatch(deep.stack, /Caused by|\|/);
    assert.deepEqual(deep.related.map(({ kind }: { kind: string }) => kind), ["cause"]);
    assert.match(deep.related[0].stack, /^SyntaxError: .*JSON/);
    assert.match(deep.code_frame, /^deep\.ts:5:11\n[^]*> 5 \| {5}throw new Error\("cannot read it"/);
    const many = await fails("?how=many");
    assert.deepEqual(
      many.related.map(({ kind, stack }: { kind: string; stack: string }) => [kind, stack.split("\n")[0]]),
      [["member", "Error: member 1"], ["member", "Error: member 2"], ["cause", "Error: of the second"], [
        "member",
        "Error: member 3",
      ]],
    );
  });

  await step("the record says what the caller got", async () => {
    await platform.deploy("odd", ODD, { timeout: 1 });
    for (const how of ["fine", "teapot", "status", "header", "large", "nothing", "late", "exit", "cut"]) {
      const response = await platform.call(`odd/invoke?how=${how}`);
      const id = idOf(response);
      const got = await response.text().then((text) => ({ text, isCut: false }), () => ({ text: "", isCut: true }));
      // One whose time is over is recorded when its handler has been given up.
      await eventually(async () => (await api("GET", `/admin/functions/executions/${id}`)).status === 200);
      const { status, status_code, error_code, timeline, bytes_out } = await detailsOf(id);
      assert.equal(status_code, response.status, how);
      const code = response.status >= 400 && got.text.startsWith("{") ? JSON.parse(got.text).code : null;
      assert.equal(error_code, got.isCut ? "FUNCTION_ERROR" : code, how);
      assert.equal(status === "success", response.status < 500 && !got.isCut, how);
      assert.ok(timeline.length >= 2, how);
      if (status === "success") assert.equal(bytes_out, got.text.length, how);
    }
  });
});

const REPLAYED = `// @fluxbase:capture errors
export default async (req) => {
  const { how } = req.params;
  if (how === "fine") return "fine";
  console.log("caller", req.user_id ?? "nobody", req.headers.get("authorization") ?? "none", req.headers.get("cookie") ?? "none");
  const text = await req.text();
  if (how === "teapot") return new Response(text, { status: 503, headers: { "x-kind": "teapot", "set-cookie": "session=1" } });
  throw new Error("cannot take " + text.length + " " + req.headers.get("x-tenant") + " " + req.method);
};`;

platformTest("a captured request is run again, and the answers are compared", async (platform, step) => {
  const { api, db } = platform;
  await platform.deploy("fails", REPLAYED);
  const call = async (query: string, init: RequestInit = {}) => {
    const response = await platform.call(`fails/invoke/some/path?${query}`, { method: "PUT", body: "hello", ...init });
    await response.body?.cancel();
    return response.headers.get("x-request-id") ?? "";
  };
  const details = async (id: string) => (await api("GET", `/admin/functions/executions/${id}`)).body;
  const again = (id: string, body?: unknown, key?: string) =>
    api("POST", `/admin/functions/executions/${id}/replay`, body ?? {}, key);

  await step("the same on the same version, as who called, marked and without a token", async () => {
    const id = await call("how=fail&token=needle-1", {
      headers: { "x-tenant": "acme", cookie: "session=needle-2", "x-api-key": "needle-3" },
    });
    assert.equal((await details(id)).is_captured, true);
    const { status, body } = await again(id);
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.comparison.same, true, JSON.stringify(body));
    assert.deepEqual([body.replay_of, body.version, body.status_code, body.error_code], [id, 1, 500, "FUNCTION_ERROR"]);
    assert.equal(body.body.content, "cannot take 5 acme PUT");
    assert.deepEqual(body.removed.toSorted(), [
      "header authorization",
      "header cookie",
      "header x-api-key",
      "query token",
    ]);
    const run = await details(body.execution_id);
    assert.deepEqual([run.trigger_type, run.replay_of, run.method, run.path], ["replay", id, "PUT", "/some/path"]);
    assert.deepEqual(run.caller, (await details(id)).caller);
    assert.equal(run.is_captured, false, "what is run again is not kept again");
    assert.match(run.log_entries[0].message, /^caller .* none none$/);
    const { rows } = await sql<{ text: string; all: string }>`
      select encode(sealed, 'escape') as text, c::text as all from fluxbase.execution_captures c`.execute(db);
    assert.equal(rows.length, 1);
    assert.doesNotMatch(JSON.stringify(rows), /needle|hello|acme|teapot|cannot take/);
  });

  await step("another version answers otherwise, and what differs is told", async () => {
    const id = await call("how=teapot");
    await api("PUT", "/functions/fails", {
      code: REPLAYED.replace("status: 503", "status: 200").replace('"teapot", "set', '"pot", "set'),
    });
    const { body: now } = await again(id);
    assert.deepEqual([now.version, now.comparison.same], [2, false]);
    assert.deepEqual(now.comparison.status, { before: 503, after: 200, same: false });
    assert.deepEqual(now.comparison.headers, { same: false, differing: ["x-kind"] });
    assert.deepEqual(now.comparison.body, { before_bytes: 5, after_bytes: 5, same: true });
    const { body: before } = await again(id, { version: 1 });
    assert.deepEqual([before.version, before.comparison.same], [1, true]);
    assert.equal((await again(id, { version: 99 })).body.code, "VERSION_NOT_FOUND");
    assert.equal((await again(id, { version: "x" })).body.code, "INVALID_ARGUMENT");
  });

  await step("a body that came in pieces; one that is too long is not kept", async () => {
    const size = 200_000;
    const { body } = await again(await call("how=fail", { body: "y".repeat(size), headers: { "x-tenant": "acme" } }));
    assert.deepEqual([body.comparison.same, body.body.content], [true, `cannot take ${size} acme PUT`]);
    const refused = await again(await call("how=fail", { body: "y".repeat(300_000) }));
    assert.deepEqual([refused.status, refused.body.code], [409, "NOT_CAPTURED"]);
    assert.match(refused.body.error, /longer than 256 KB/);
  });

  await step(
    "successes are not kept unless all are asked for, and functions that say nothing keep nothing",
    async () => {
      const fine = await call("how=fine");
      assert.equal((await again(fine)).body.code, "NOT_CAPTURED");
      await api("PUT", "/functions/fails", { capture: "all" });
      const kept = await again(await call("how=fine"));
      assert.deepEqual([kept.body.comparison.same, kept.body.body.content], [true, `"fine"`]);
      await platform.deploy("silent", `export default () => { throw new Error("no"); };`);
      const response = await platform.call("silent");
      await response.body?.cancel();
      assert.equal((await again(response.headers.get("x-request-id") ?? "")).body.code, "NOT_CAPTURED");
    },
  );

  await step("only admins run it again, and it is written down, without what was answered", async () => {
    const id = await call("how=fail", { headers: { "x-tenant": "tenant-in-the-answer" } });
    const key = await platform.mintKey(["functions:*"]);
    assert.equal((await again(id, {}, key)).status, 403);
    assert.match((await again(id)).body.body.content, /tenant-in-the-answer/);
    const { body } = await api("GET", "/admin/audit-log?limit=20");
    assert.ok(body.some(({ target }: { target: string }) => target === `execution ${id}`), JSON.stringify(body[0]));
    assert.doesNotMatch(JSON.stringify(body), /tenant-in-the-answer/);
  });

  await step("what was kept is found, opened and deleted by admins, and that is written down", async () => {
    const id = await call("how=fail&color=red", { headers: { "x-tenant": "acme", cookie: "session=needle-4" } });
    const kept = async (query: string) =>
      (await api("GET", `/functions/fails/executions?${query}`)).body.map(({ id }: { id: string }) => id);
    const place = `/admin/functions/executions/${id}/request`;
    const { status, body } = await api("GET", place);
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.method, body.target], [
      "PUT",
      "/some/path?how=fail&color=red",
    ]);
    assert.deepEqual(body.body, { bytes: 5, is_cut: false, encoding: "utf8", content: "hello" });
    assert.deepEqual(body.headers.find(([name]: [string]) => name === "x-tenant"), ["x-tenant", "acme"]);
    assert.doesNotMatch(JSON.stringify(body), /needle/);
    assert.equal((await api("GET", place, undefined, await platform.mintKey(["functions:*"]))).status, 403);
    assert.ok((await kept("captured=true")).includes(id));
    assert.ok(!(await kept("captured=false")).includes(id));
    assert.equal((await api("DELETE", place)).status, 204);
    assert.equal((await api("DELETE", place)).body.code, "NOT_CAPTURED");
    assert.equal((await api("GET", place)).body.code, "NOT_CAPTURED");
    assert.ok(!(await kept("captured=true")).includes(id));
    assert.equal((await details(id)).is_captured, false);
    const { body: written } = await api("GET", `/admin/audit-log?target=${encodeURIComponent(`execution ${id}`)}`);
    assert.deepEqual(
      written.map(({ action, status }: { action: string; status: number }) => [action.split(" ")[0], status])
        .toSorted(),
      [["GET", 409], ["DELETE", 409], ["DELETE", 204], ["GET", 403], ["GET", 200]].toSorted(),
    );
  });

  await step("of one function the newest are kept, and of all so many bytes", async () => {
    const bounds = { before: new Date(0), perFunctionCount: 2, maxBytes: 1e9 };
    await pruneCaptures(db, bounds);
    const rows = () =>
      db.selectFrom("fluxbase.execution_captures").select(["started_at", "bytes"]).orderBy("started_at").execute();
    const two = await rows();
    assert.equal(two.length, 2);
    await pruneCaptures(db, { ...bounds, maxBytes: two[1]?.bytes ?? 0 });
    assert.deepEqual((await rows()).map(({ started_at }) => started_at), [two[1]?.started_at]);
    await pruneCaptures(db, { ...bounds, before: new Date(Date.now() + 1_000) });
    assert.deepEqual(await rows(), []);
  });
});

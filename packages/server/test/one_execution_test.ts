/**
 * What is told of one execution is what happened to it.
 *
 * @module
 */
import assert from "node:assert/strict";
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

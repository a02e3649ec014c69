/**
 * Asynchronous calls and the queue behind them, over HTTP.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { FluxbaseClient } from "@fluxbase/sdk";
import { eventually, platformTest, withTestPlatform } from "./support/platform.ts";

const ASYNC = { prefer: "respond-async" };

platformTest("asynchronous calls", async (platform, step) => {
  const { api, call, db } = platform;
  const task = async (id: string) => (await api("GET", `/tasks/${id}`)).body;
  const ended = async (id: string) => {
    await eventually(async () => !["waiting", "running"].includes((await task(id)).state));
    return await task(id);
  };
  const queue = async (name: string, init: RequestInit = {}) => {
    const response = await call(name, { ...init, headers: { ...ASYNC, ...init.headers } });
    const body = await response.json();
    assert.equal(response.status, 202, JSON.stringify(body));
    return body as { task_id: string; status_url: string };
  };
  await platform.deploy(
    "echo",
    `export default async (req, context) => Response.json({
      method: req.method, path: new URL(req.url).pathname + new URL(req.url).search, body: await req.text(),
      key: req.headers.get("idempotency-key"), attempt: req.headers.get("x-fluxbase-attempt"),
      credential: req.headers.get("authorization"), own: req.headers.get("x-own"), trigger: context.trigger,
      user: req.user_id ?? null,
    }, { status: 201 })`,
  );

  await step("are answered 202, run once, and keep what the function answered", async () => {
    const response = await call("echo", {
      method: "POST",
      headers: { ...ASYNC, "x-own": "own", "content-type": "text/plain" },
      body: "hello",
    });
    assert.equal(response.status, 202);
    assert.equal(response.headers.get("preference-applied"), "respond-async");
    const { task_id, status_url } = await response.json();
    assert.equal(status_url, `${platform.url}/api/v1/tasks/${task_id}`);
    const done = await ended(task_id);
    assert.deepEqual([done.state, done.attempts, done.status_code, done.function_name], ["done", 1, 201, "echo"]);
    const answer = JSON.parse(done.answer.content);
    assert.deepEqual([answer.method, answer.body, answer.own, answer.attempt, answer.key], [
      "POST",
      "hello",
      "own",
      "1",
      task_id,
    ]);
    assert.equal(answer.credential, null, "what proved the caller is not kept");
    assert.deepEqual([answer.trigger.type, answer.trigger.task_id, answer.trigger.attempt], ["task", task_id, 1]);
    const [execution] = await platform.executions("echo", 1);
    assert.deepEqual(
      [execution.trigger_type, execution.task_id, execution.task_attempt, execution.id],
      ["task", task_id, 1, done.execution_id],
    );
  });

  await step("keep method, path and query, and any bytes", async () => {
    const response = await fetch(`${platform.url}/functions/v1/echo/users/1?a=%20b`, {
      method: "PUT",
      headers: { ...ASYNC, apikey: platform.anonKey },
      body: new Uint8Array([0, 255, 1]),
    });
    const { task_id } = await response.json();
    const done = await ended(task_id);
    const { method, path } = JSON.parse(done.answer.content);
    assert.equal(method, "PUT");
    assert.match(path, /\/users\/1\?a=%20b$/);
    assert.deepEqual([done.payload.body.encoding, done.payload.body.content], ["base64", "AP8B"]);
  });

  await step("wait for their time, and can be cancelled meanwhile", async () => {
    const { task_id } = await queue("echo", { headers: { "x-fluxbase-delay": "1h" } });
    const waiting = await task(task_id);
    assert.equal(waiting.state, "waiting");
    const inMs = Date.parse(waiting.run_at) - Date.now();
    assert.ok(inMs > 3_500_000 && inMs < 3_601_000, String(inMs));
    const cancelled = await api("POST", `/tasks/${task_id}/cancel`);
    assert.deepEqual([cancelled.status, cancelled.body.state], [200, "cancelled"]);
    assert.deepEqual((await api("POST", `/tasks/${task_id}/cancel`)).body.code, "TASK_STATE");
    const soon = await queue("echo", { headers: { "x-fluxbase-delay": new Date(Date.now() + 300).toISOString() } });
    assert.equal((await ended(soon.task_id)).state, "done");
  });

  await step("with one key are one task, of one caller", async () => {
    const headers = { "idempotency-key": "order 1", "x-fluxbase-delay": "1h" };
    const [first, second] = await Promise.all([queue("echo", { headers }), queue("echo", { headers })]);
    assert.equal(first.task_id, second.task_id);
    const other = await queue("echo", { headers: { ...headers, authorization: `Bearer ${platform.serviceKey}` } });
    assert.notEqual(other.task_id, first.task_id);
    await sql`update fluxbase.tasks set created_at = now() - interval '25 hours' where id = ${first.task_id}`.execute(
      db,
    );
    assert.notEqual((await queue("echo", { headers })).task_id, first.task_id, "a key is remembered for a day");
  });

  await step("say what is wrong with what they ask", async () => {
    for (
      const [headers, words] of [
        [{ "x-fluxbase-delay": "soon" }, /X-Fluxbase-Delay is "soon"/],
        [{ "x-fluxbase-delay": "400d" }, /at most 366 days/],
        [{ "x-fluxbase-retries": "-1" }, /X-Fluxbase-Retries is "-1"/],
        [{ "idempotency-key": "k".repeat(256) }, /1 to 255 characters/],
      ] as const
    ) {
      const response = await call("echo", { headers: { ...ASYNC, ...headers } });
      assert.equal(response.status, 400);
      assert.match((await response.json()).error, words);
    }
    const large = await call("echo", { method: "POST", headers: ASYNC, body: "x".repeat(1024 * 1024 + 1) });
    assert.deepEqual([large.status, (await large.json()).code], [413, "BODY_TOO_LARGE"]);
    const unknown = await call("nothing-here", { headers: ASYNC });
    assert.equal(unknown.status, 404);
    await unknown.body?.cancel();
  });

  await step("are tried again after failures, with growing pauses, until none is left", async () => {
    await platform.deploy("failing", `export default () => new Response("no", { status: 503 })`, { retries: 1 });
    const { task_id } = await queue("failing");
    await eventually(async () => (await task(task_id)).attempts === 1 && (await task(task_id)).state === "waiting");
    const waiting = await task(task_id);
    const inMs = Date.parse(waiting.run_at) - Date.now();
    assert.ok(inMs > 500 && inMs < 7_000, String(inMs));
    assert.deepEqual([waiting.status_code, waiting.error], [503, "the function answered 503"]);
    await sql`update fluxbase.tasks set run_at = now() where id = ${task_id}`.execute(db);
    const dead = await ended(task_id);
    assert.deepEqual([dead.state, dead.attempts, dead.answer.content], ["dead", 2, "no"]);
    assert.equal((await platform.executions("failing", 2)).length, 2);
    await api("PUT", "/functions/failing", { code: `export default () => "mended"` });
    assert.equal((await api("POST", "/functions/failing/tasks/retry")).body.retried, 1);
    assert.equal((await ended(task_id)).state, "done");
  });

  await step("follow Retry-After, and take other answers in the four hundreds as final", async () => {
    await platform.deploy(
      "busy",
      `export default (req) => new Response("", { status: 429, headers: { "retry-after": "1800" } })`,
    );
    const { task_id } = await queue("busy");
    await eventually(async () => (await task(task_id)).attempts === 1 && (await task(task_id)).state === "waiting");
    const inMs = Date.parse((await task(task_id)).run_at) - Date.now();
    assert.ok(inMs > 1_700_000, String(inMs));
    await platform.deploy("refusing", `export default () => new Response("wrong order", { status: 422 })`);
    const dead = await ended((await queue("refusing")).task_id);
    assert.deepEqual([dead.state, dead.attempts, dead.status_code, dead.answer.content], [
      "dead",
      1,
      422,
      "wrong order",
    ]);
  });

  await step("of a function that is marked so, whoever calls", async () => {
    await platform.deploy("receiver", `// @fluxbase:respond-async\nexport default () => { throw new Error("broken") }`);
    const response = await call("receiver", { method: "POST", body: "an event" });
    assert.equal(response.status, 202);
    const { task_id } = await response.json();
    await eventually(async () => (await task(task_id)).attempts === 1);
    await api("PUT", "/functions/receiver", {
      code: `// @fluxbase:respond-async\nexport default async (req) => new Response(await req.text())`,
    });
    await eventually(async () => (await task(task_id)).state !== "running");
    assert.equal((await api("POST", `/tasks/${task_id}/retry`)).status, 409, "it waits for its next attempt already");
    await sql`update fluxbase.tasks set run_at = now() where id = ${task_id}`.execute(db);
    assert.equal((await ended(task_id)).answer.content, "an event");
  });

  await step("run at most as many at once as the function may", async () => {
    await platform.deploy(
      "narrow",
      `let running = 0, most = 0;
       export default async () => {
         most = Math.max(most, ++running);
         await new Promise((resolve) => setTimeout(resolve, 50));
         running--;
         return new Response(String(most));
       }`,
      { task_concurrency: 2 },
    );
    const tasks = await Promise.all(Array.from({ length: 8 }, () => queue("narrow")));
    const answers = await Promise.all(tasks.map(async ({ task_id }) => (await ended(task_id)).answer.content));
    assert.equal(Math.max(...answers.map(Number)), 2);
  });

  await step("of one function do not hold up those of another", async () => {
    await platform.deploy("flooded", `export default () => new Promise((r) => setTimeout(r, 200))`, {
      task_concurrency: 1,
    });
    await Promise.all(Array.from({ length: 40 }, () => queue("flooded")));
    const done = await ended((await queue("echo")).task_id);
    assert.equal(done.state, "done");
    const left = await api("GET", "/tasks?function=flooded&state=waiting");
    assert.ok(left.body.length > 0, "the other function's tasks still wait");
  });

  await step("that are cancelled while they run are aborted", async () => {
    await platform.deploy(
      "slow",
      `export default async (req) => {
        await new Promise((resolve) => req.signal.addEventListener("abort", resolve));
        console.log("aborted");
      }`,
    );
    const { task_id } = await queue("slow");
    await eventually(async () => (await task(task_id)).state === "running");
    await api("POST", `/tasks/${task_id}/cancel`);
    await eventually(async () => {
      const [execution] = await platform.executions("slow", 1);
      return execution.logs.includes("aborted");
    });
    assert.equal((await task(task_id)).state, "cancelled");
  });

  await step("go with their function when it is deleted", async () => {
    await platform.deploy("leaving", `export default () => "x"`);
    const { task_id } = await queue("leaving", { headers: { "x-fluxbase-delay": "1h" } });
    await api("POST", "/functions/leaving/schedules", { name: "nightly", cron: "0 0 * * *" });
    const { status, headers } = await api("DELETE", "/functions/leaving");
    assert.deepEqual([status, headers.get("x-fluxbase-removed")], [204, "tasks=1, schedules=1, hooks=0"]);
    assert.equal((await task(task_id)).state, "cancelled");
  });

  await step("are shown to who made them and to readers of the namespace, and to nobody else", async () => {
    const { task_id } = await queue("echo");
    const path = `/tasks/${task_id}`;
    await ended(task_id);
    const elsewhere = await platform.mintKey(["functions:read", "functions:write"], ["elsewhere"]);
    const reader = await platform.mintKey(["functions:read"]);
    assert.equal((await api("GET", path, undefined, platform.anonKey)).status, 200);
    assert.equal((await api("GET", path, undefined, reader)).status, 200);
    assert.equal((await api("GET", path, undefined, elsewhere)).status, 404);
    assert.equal((await api("GET", path, undefined, null)).status, 404);
    assert.deepEqual((await api("GET", "/tasks", undefined, elsewhere)).body, []);
    assert.equal((await api("DELETE", path, undefined, elsewhere)).status, 404);
    assert.equal((await api("POST", `${path}/retry`, undefined, reader)).status, 403);
    assert.equal((await api("POST", `${path}/cancel`, undefined, elsewhere)).status, 404);
    assert.equal((await api("GET", "/tasks/nonsense")).body.code, "TASK_NOT_FOUND");
    assert.equal((await api("DELETE", path)).status, 204);
    assert.equal((await api("GET", path)).status, 404);
  });

  await step("are listed by page and by filter", async () => {
    const { body: first } = await api("GET", "/tasks?limit=3");
    const { body: second } = await api("GET", `/tasks?limit=3&cursor=${first[2].cursor}`);
    assert.equal(new Set([...first, ...second].map(({ id }: { id: string }) => id)).size, 6);
    const { body: dead } = await api("GET", "/tasks?state=dead&function=refusing");
    assert.deepEqual(dead.map(({ function_name }: { function_name: string }) => function_name), ["refusing"]);
    assert.equal((await api("GET", "/tasks?state=gone")).status, 400);
  });

  await step("by the SDK, also from inside a function", async () => {
    const client = new FluxbaseClient({ url: platform.url, apiKey: platform.serviceKey });
    const { task_id } = await client.functions.enqueue("echo", { n: 1 }, { retries: 0, dedupeKey: "sdk" });
    assert.equal((await client.functions.enqueue("echo", { n: 1 }, { dedupeKey: "sdk" })).task_id, task_id);
    await ended(task_id);
    const done = await client.tasks.get(task_id);
    assert.deepEqual([done.state, done.retries], ["done", 0]);
    await platform.deploy(
      "outer",
      `export default async (req) => {
        const response = await fetch(new URL("/functions/v1/echo", req.url), { method: "POST", body: "inner",
          headers: { prefer: "respond-async", authorization: "Bearer " + Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY") } });
        return new Response(await response.text());
      }`,
    );
    const { task_id: inner } = await (await call("outer")).json();
    assert.equal(JSON.parse((await ended(inner)).answer.content).body, "inner");
    assert.equal((await client.tasks.list({ function: "echo", state: "done", limit: 1 })).length, 1);
    await client.tasks.retry(task_id);
    await ended(task_id);
    await client.tasks.delete(task_id);
    await assert.rejects(client.tasks.get(task_id), { code: "TASK_NOT_FOUND" });
  });
});

platformTest("a function may not have more tasks waiting than the server allows", async ({ api, call, deploy }) => {
  await deploy("filled", `export default () => "x"`);
  const queue = async () => {
    const response = await call("filled", { headers: { ...ASYNC, "x-fluxbase-delay": "1h" } });
    return { status: response.status, body: await response.json() };
  };
  for (let count = 0; count < 3; count += 1) assert.equal((await queue()).status, 202);
  await eventually(async () => (await queue()).status === 429);
  const { body } = await queue();
  assert.deepEqual([body.code, body.retry_after], ["QUEUE_FULL", 10]);
  assert.equal((await call("filled")).status, 200, "calls that wait for their answer go on");
  for (const { id } of (await api("GET", "/tasks?function=filled&state=waiting&limit=1000")).body) {
    await api("POST", `/tasks/${id}/cancel`);
  }
  await eventually(async () => (await queue()).status === 202);
}, { FLUXBASE_LIMITS_WAITING_TASKS_COUNT: "3" });

Deno.test("a server that ends gives its tasks to the others at once, and one that dies when its lease is over", async () => {
  await withTestPlatform(async (platform) => {
    await platform.deploy("late", `export default () => "done"`);
    const response = await platform.call("late", { headers: { ...ASYNC, "x-fluxbase-delay": "1h" } });
    const { task_id } = await response.json();
    await sql`update fluxbase.tasks set state = 'running', attempts = 1, run_at = now(), lease_node = 'a server that died',
      lease_until = now() + interval '1 second' where id = ${task_id}`.execute(platform.db);
    await eventually(async () => (await platform.api("GET", `/tasks/${task_id}`)).body.state === "done");
    const { body } = await platform.api("GET", `/tasks/${task_id}`);
    assert.equal(body.attempts, 2);
  });
});

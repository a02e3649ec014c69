/**
 * Schedules over HTTP: where they are written, which of them live when, and what becomes of their instants.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { FluxbaseClient, type ScheduleTick } from "@fluxbase/sdk";
import { PLATFORM } from "../src/auth/caller.ts";
import { silentLog } from "../src/core/log.ts";
import { startTicker } from "../src/schedules/ticker.ts";
import { startListener } from "../src/storage/listener.ts";
import { taskCallerOf } from "../src/tasks/attempt.ts";
import { eventually, platformTest } from "./support/platform.ts";

const HANDLER = `export default (req) => new Response("ok")`;
/** Far from now: what is written for tests of lists must not run meanwhile. */
const RARE = "0 9 1 1 *";

platformTest("schedules", async (platform, step) => {
  const { api, db } = platform;
  const client = new FluxbaseClient(platform.url, platform.serviceKey);
  const { schedules } = client;
  const names = async (fn: string) => (await schedules.list(fn)).map(({ name }) => name);
  const last = async (fn: string, name: string) => (await schedules.get(fn, name)).last_tick;
  /** The newest instant that is done. */
  const done = async (fn: string, name: string) => {
    let found: ScheduleTick | undefined;
    await eventually(async () => {
      found = (await schedules.get(fn, name)).ticks.find(({ task_state }) => task_state === "done");
      return found !== undefined;
    });
    return found;
  };
  /** As if no server had looked since then. */
  const sleptFor = (name: string, interval: string) =>
    sql`update fluxbase.schedules set seen_until = date_trunc('second', now()) - ${interval}::interval, look_at = now(),
      paused_at = null where name = ${name}`.execute(db);
  /** Its rows, once nothing of them waits. */
  const ticksOf = async (name: string) => {
    const { rows } = await sql<{ at: Date; skipped: string | null; state: string | null }>`
      select k.at, k.skipped, t.state from fluxbase.schedule_ticks k join fluxbase.schedules s on s.id = k.schedule_id
        left join fluxbase.tasks t on t.id = k.task_id where s.name = ${name} order by k.at`.execute(db);
    return rows;
  };

  await step("come with annotations, code and the field, each with its next five instants", async () => {
    const { body: deployed } = await platform.deploy(
      "sources",
      `// @fluxbase:schedule 0 9 * * MON-FRI Europe/Paris name=report catch_up=none overlap=queue
// @fluxbase:schedule 0 30 9 1 1 *
import { tidy } from "./tidy.ts";
export const nightly = { schedule: "0 3 1 1 *", timezone: "Europe/Berlin", handler() {} };
Deno.cron("in code", { hour: { exact: [3, 15] }, dayOfMonth: 1, month: 1 }, tidy);
export default (req) => new Response("ok");`,
      {
        files: { "tidy.ts": `export const tidy = () => {}; Deno.cron("tidy", "0 4 1 1 *", tidy);` },
        cron_schedule: "0/5 3 1 1 * Asia/Tokyo",
      },
    );
    assert.equal(deployed.bundle_error, null);
    const shown = await schedules.list("sources");
    assert.deepEqual(shown.map(({ name, cron, time_zone, source }) => [name, cron, time_zone, source]), [
      ["0 30 9 1 1 *", "0 30 9 1 1 *", "UTC", "annotation"],
      ["0/5 3 1 1 * Asia/Tokyo", "0/5 3 1 1 *", "Asia/Tokyo", "field"],
      ["in code", "* 3,15 1 1 *", "UTC", "code"],
      ["nightly", "0 3 1 1 *", "Europe/Berlin", "code"],
      ["report", "0 9 * * MON-FRI", "Europe/Paris", "annotation"],
      ["tidy", "0 4 1 1 *", "UTC", "code"],
    ]);
    for (const { next_runs } of shown) assert.equal(next_runs.length, 5);
    const report = shown.find(({ name }) => name === "report");
    assert.deepEqual([report?.catch_up, report?.overlap, report?.paused], ["none", "queue", false]);
    const hours = report?.next_runs.map((at) =>
      new Date(at).toLocaleString("en-GB", { timeZone: "Europe/Paris", timeStyle: "short" })
    );
    assert.deepEqual(hours, Array(5).fill("09:00"));
    const { body } = await api("GET", "/functions/sources");
    assert.deepEqual(body.schedules.map(({ name }: { name: string }) => name).sort(), shown.map(({ name }) => name));
    assert.equal(body.schedules[0].next_runs.length, 5);
    const same = await api("PUT", "/functions/sources", body);
    assert.deepEqual([same.status, same.body.version], [200, 1], "what was shown is no change");
  });

  await step("that make no sense are refused with their place", async () => {
    const cases: [code: string, message: RegExp, line: number, column: number][] = [
      [`// @fluxbase:schedule 0 61 * * * *\n${HANDLER}`, /has "61" as minute: it must be within 0-59/, 1, 25],
      [`// a\n//  @fluxbase:schedule 0 9 * * MON-FRY\n${HANDLER}`, /has "MON-FRY" as day of the week/, 2, 32],
      [`// @fluxbase:schedule 0 9 * * * Europe/Pariss\n${HANDLER}`, /has "Europe\/Pariss" as time zone/, 1, 33],
      [`// @fluxbase:schedule 0 9 31 2 *\n${HANDLER}`, /never comes/, 1, 23],
      [`// @fluxbase:schedule @sometimes\n${HANDLER}`, /has "@sometimes"/, 1, 23],
      [`// @fluxbase:schedule * * *\n${HANDLER}`, /has 3 fields/, 1, 27],
      [`// @fluxbase:schedule 0 9 * * * overlap=no\n${HANDLER}`, /overlap must be one of skip, queue, allow/, 1, 33],
      [
        `// @fluxbase:schedule @daily name=a\n// @fluxbase:schedule @hourly name=a\n${HANDLER}`,
        /like another one/,
        2,
        23,
      ],
      [`${HANDLER}\nDeno.cron("x", "0 25 * * *", () => {});`, /the schedule has "25" as hour/, 2, 19],
      [`/**\n * @fluxbase:schedule */5 * * * *\n */\n${HANDLER}`, /\*\/ ends the comment in the middle/, 2, 23],
    ];
    for (const [code, message, line, column] of cases) {
      const { status, body } = await api("POST", "/functions?strict=true", { name: "wrong", code });
      assert.equal(status, 422, code);
      const [problem] = body.problems;
      assert.match(problem.message, message);
      assert.deepEqual([problem.line, problem.column], [line, column], problem.message);
    }
    const field = await api("POST", "/functions", { name: "wrong", code: HANDLER, cron_schedule: "0 9 * *" });
    assert.equal(field.status, 400);
    assert.match(field.body.error, /"cron_schedule" has 4 fields/);
    const { body: unread } = await platform.deploy(
      "unread",
      `const when = "@daily".slice();\nDeno.cron("x", when, () => {});\n${HANDLER}`,
    );
    assert.match(unread.warnings.join(), /Deno.cron made no schedule/);
  });

  await step("are those of the live version, except those that were added", async () => {
    const source = (...lines: string[]) => `${lines.map((one) => `// @fluxbase:schedule ${one}\n`).join("")}${HANDLER}`;
    await platform.deploy("moving", source(`${RARE} name=first`, `${RARE} name=kept`));
    await schedules.pause("moving", "kept");
    const added = await schedules.add("moving", { cron: `${RARE} Europe/Berlin`, name: "added" });
    assert.deepEqual([added.source, added.time_zone, added.next_runs.length], ["api", "Europe/Berlin", 5]);
    const ofKept = (await schedules.get("moving", "kept")).id;
    await api("PUT", "/functions/moving", { code: source(`${RARE} name=second`, `${RARE} name=kept`) });
    assert.deepEqual(await names("moving"), ["added", "kept", "second"]);
    const kept = await schedules.get("moving", ofKept);
    assert.deepEqual([kept.name, kept.paused, kept.next_runs], ["kept", true, []]);
    // What does not build does not go live, and its schedules do not either.
    await api("PUT", "/functions/moving", { code: `${source(`${RARE} name=third`)} (` });
    assert.deepEqual(await names("moving"), ["added", "kept", "second"]);
    await api("POST", "/functions/moving/rollback", { version: 1 });
    assert.deepEqual(await names("moving"), ["added", "first", "kept"]);
    await client.functions.delete("moving");
    const { rows } = await sql`select from fluxbase.schedules s join fluxbase.functions f on f.id = s.function_id
      where f.name = 'moving' and s.look_at is not null`.execute(db);
    assert.equal(rows.length, 0);
    await assert.rejects(schedules.list("moving"), /not found/);
    await client.functions.restore("moving");
    assert.deepEqual(await names("moving"), ["added", "first", "kept"]);
  });

  await step("are added, changed, paused and removed by those who may", async () => {
    await platform.deploy("managed", `// @fluxbase:schedule ${RARE} name=own\n${HANDLER}`);
    const added = await schedules.add("managed", { cron: "0 9 * * MON-FRI Europe/Paris name=work catch_up=all" });
    assert.deepEqual([added.name, added.time_zone, added.catch_up], ["work", "Europe/Paris", "all"]);
    await assert.rejects(schedules.add("managed", { cron: "@daily", name: "work" }), /already exists/);
    await assert.rejects(schedules.add("managed", { cron: "0 9 * *" }), /"cron" has 4 fields.*\(at character 7\)/);
    await assert.rejects(schedules.add("managed", {}), /needs either "cron".*or "run_at"/);
    await assert.rejects(schedules.add("managed", { run_at: "2020-01-01T00:00:00Z" }), /must be in the future/);
    await assert.rejects(schedules.add("managed", { cron: "@daily", time_zone: "Mars" }), /"Mars" as time zone/);
    const changed = await schedules.update("managed", "work", { time_zone: "UTC", overlap: "allow" });
    assert.deepEqual([changed.cron, changed.time_zone, changed.overlap, changed.catch_up], [
      "0 9 * * MON-FRI",
      "UTC",
      "allow",
      "all",
    ]);
    await assert.rejects(schedules.update("managed", "own", { cron: "@daily" }), /says it in a comment.*or pause it/);
    await assert.rejects(schedules.remove("managed", "own"), /remove it there/);
    assert.equal((await schedules.pause("managed", "own")).paused, true);
    assert.equal((await schedules.resume("managed", "own")).next_runs.length, 5);
    await schedules.add("managed", { cron: "*/5 9 1 1 *" });
    assert.equal((await schedules.get("managed", "*/5 9 1 1 *")).name, "*/5 9 1 1 *");
    await schedules.remove("managed", "*/5 9 1 1 *");
    await schedules.remove("managed", added.id);
    await assert.rejects(schedules.get("managed", "work"), /Schedule "work" of function "managed" not found/);
    const { body: entries } = await api("GET", "/admin/audit-log?limit=50");
    const said = entries.filter(({ target }: { target: string | null }) =>
      target?.startsWith("schedule work of default/managed")
    );
    assert.deepEqual(said.map(({ action }: { action: string }) => action.split(" ")[0]).sort(), [
      "DELETE",
      "PATCH",
      "POST",
    ]);
    assert.deepEqual(
      said.find(({ action, status }: { action: string; status: number }) =>
        action.startsWith("PATCH") && status === 200
      )
        .changes,
      { overlap: { before: "skip", after: "allow" }, time_zone: { before: "Europe/Paris", after: "UTC" } },
    );
    const reader = await client.keys.create({ name: "reader", scopes: ["functions:read"], namespaces: ["default"] });
    const readers = new FluxbaseClient(platform.url, reader.key).schedules;
    assert.deepEqual((await readers.list("managed")).map(({ name }) => name), ["own"]);
    for (const change of [readers.pause("managed", "own"), readers.run("managed", "own"), readers.add("managed", {})]) {
      await assert.rejects(change, /functions:write/);
    }
    const elsewhere = await client.keys.create({ name: "else", scopes: ["functions:*"], namespaces: ["other"] });
    await assert.rejects(new FluxbaseClient(platform.url, elsewhere.key).schedules.list("managed"), /not found/);
  });

  await step("call the function with the schedule and the instant, and nobody else can pretend to", async () => {
    await platform.deploy(
      "told",
      `export default async (req, context) => Response.json({ body: await req.json().catch(() => null),
        trigger: context.trigger, role: req.user_role ?? null, method: req.method })`,
    );
    await schedules.add("told", { cron: "* * * * * *", name: "each second" });
    const tick = await done("told", "each second");
    await schedules.remove("told", "each second");
    const task = await client.tasks.get(tick?.task_id ?? "");
    const answer = JSON.parse(task.answer?.content ?? "");
    assert.deepEqual(answer.body, { schedule: "each second", scheduled_at: tick?.scheduled_at });
    assert.deepEqual([answer.method, answer.role, task.trigger_type], ["POST", "service_role", "cron"]);
    const { type, schedule, scheduled_at, cron } = answer.trigger;
    assert.deepEqual([type, schedule, scheduled_at, cron], [
      "cron",
      "each second",
      tick?.scheduled_at,
      "* * * * * *",
    ]);
    const executions: { trigger_type: string; task_id: string }[] = await platform.executions("told", 1);
    assert.equal(executions.find(({ task_id }) => task_id === tick?.task_id)?.trigger_type, "cron");
    const outside = await platform.call("told", {
      method: "POST",
      headers: { "x-fluxbase-trigger": "cron", "x-fluxbase-attempt": "1", "content-type": "application/json" },
      body: JSON.stringify({ schedule: "each second", trigger: { type: "cron" } }),
    });
    assert.deepEqual((await outside.json()).trigger, { type: "http" });
  });

  await step("run what the code has for them: scheduled, Deno.cron, an object with a schedule", async () => {
    await platform.deploy(
      "worker",
      `// @fluxbase:schedule ${RARE} name=workers
Deno.cron("job", { minute: 0, hour: 9, dayOfMonth: 1, month: 1 }, () => console.log("ran job"));
export const nightly = { schedule: "${RARE}", handler: (event) => console.log("ran nightly", event.schedule) };
export default {
  fetch: () => new Response("fetched"),
  async scheduled(controller, env, ctx) {
    ctx.waitUntil(Promise.resolve().then(() => console.log("waited")));
    console.log("ran scheduled", controller.cron, controller.scheduledTime > 1e12, env.GREETING);
  },
};`,
      { env: { GREETING: "hello" } },
    );
    for (const name of ["workers", "job", "nightly"]) {
      const { task_id } = await schedules.run("worker", name);
      assert.equal((await done("worker", name))?.task_id, task_id);
    }
    const logs = async () => (await client.functions.getLogs("worker")).map(({ message }) => message).sort();
    await eventually(async () => (await logs()).length === 4);
    assert.deepEqual(await logs(), [
      "ran job",
      "ran nightly nightly",
      `ran scheduled ${RARE} true hello`,
      "waited",
    ]);
    const called = await platform.call("worker");
    assert.equal(await called.text(), "fetched");
    await platform.deploy("only", `Deno.cron("alone", "${RARE}", () => console.log("alone"));`);
    await schedules.run("only", "alone");
    assert.equal((await done("only", "alone"))?.status_code, 204);
    assert.equal((await platform.call("only")).status, 404);
  });

  await step("run the examples as the documents have them", async () => {
    const page = await Deno.readTextFile(new URL("../../../docs/schedules.md", import.meta.url));
    const [first = "", second = ""] = [...page.matchAll(/```ts[^\n]*\n(.*?)```/gs)].map(([, code = ""]) => code)
      .filter((code) => code.includes("export default"));
    await platform.deploy("page-first", first);
    await platform.deploy("page-second", second);
    assert.deepEqual(await names("page-first"), ["@hourly", "report"]);
    await schedules.run("page-first", "report");
    await schedules.run("page-second", "sync");
    const messages = async (name: string) => (await client.functions.getLogs(name)).map(({ message }) => message);
    await eventually(async () => /^report of 2\d{3}-/.test((await messages("page-first"))[0] ?? ""));
    await eventually(async () => /^\*\/30 \* \* \* \* /.test((await messages("page-second"))[0] ?? ""));

    const example = await Deno.readTextFile(new URL("../../../examples/functions/nightly_report.ts", import.meta.url));
    await sql.raw(`create table public.payments (id int, amount int, paid_at timestamptz default now());
      insert into public.payments values (1, 30, now()), (2, 12, now()), (3, 5, now() - interval '3 days')`).execute(
      platform.appDb,
    );
    await platform.deploy("nightly-report", example);
    await eventually(async () => (await client.from("payments").select("id")).error === null);
    await schedules.run("nightly-report", "report");
    const task = await client.tasks.get((await done("nightly-report", "report"))?.task_id ?? "");
    assert.deepEqual(JSON.parse(task.answer?.content ?? ""), { count: 2, total: 42 });
    assert.equal((await platform.call("nightly-report", { method: "POST" })).status, 403);
  });

  await step("make one task of each instant, however many servers look", async () => {
    await platform.deploy("many", HANDLER);
    await schedules.add("many", { cron: "*/2 * * * * *", name: "often", overlap: "allow", paused: true });
    await sleptFor("often", "20 seconds");
    await using servers = new AsyncDisposableStack();
    for (let number = 0; number < 4; number += 1) {
      const listener = servers.use(
        await startListener({ url: platform.databaseUrl, log: silentLog, advice: "", onSilence: () => {} }),
      );
      servers.use(
        await startTicker({
          db,
          listener,
          log: silentLog,
          caller: taskCallerOf(PLATFORM),
          isFull: () => false,
          announce: () => {},
          stopping: new AbortController().signal,
        }),
      );
    }
    await sql`select pg_notify('fluxbase_schedules', '')`.execute(db);
    await eventually(async () => (await ticksOf("often")).length >= 10);
    // The same stretch again, as a server would that was restored from a backup.
    await sleptFor("often", "20 seconds");
    await eventually(async () => (await ticksOf("often")).length >= 12);
    await schedules.pause("many", "often");
    const ticks = await ticksOf("often");
    const { rows: tasks } = await sql`select t.id from fluxbase.tasks t join fluxbase.schedules s
      on s.id::text = t.source_id where s.name = 'often'`.execute(db);
    assert.equal(tasks.length, ticks.length);
    const seconds = ticks.map(({ at }) => at.getTime() / 1_000);
    assert.deepEqual(seconds, seconds.map((_, index) => (seconds[0] ?? 0) + 2 * index), "each of them, once");
  });

  await step("make up for what no server has seen as they say", async () => {
    await platform.deploy("late", HANDLER);
    const rules = { none: 0, once: 1, all: 100 } as const;
    for (const [catchUp, count] of Object.entries(rules)) {
      const name = `late ${catchUp}`;
      const minute = (new Date().getUTCMinutes() + 30) % 60;
      // Every hour, and at none of the minutes around now: all that is due is late.
      await schedules.add("late", {
        cron: `${minute} * * * *`,
        name,
        catch_up: catchUp as keyof typeof rules,
        overlap: "allow",
        paused: true,
      });
      await sleptFor(name, "200 hours");
      await sql`select pg_notify('fluxbase_schedules', '')`.execute(db);
      await eventually(async () => {
        const { rows } = await sql<{ seen: boolean }>`select seen_until > now() - interval '1 minute' as seen
          from fluxbase.schedules where name = ${name}`.execute(db);
        return rows[0]?.seen ?? false;
      });
      assert.equal((await ticksOf(name)).length, count, catchUp);
    }
    const [only] = await ticksOf("late once");
    assert.ok(Date.now() - (only?.at.getTime() ?? 0) < 3_600_000, "the last one");
  });

  await step("skip, queue or allow an instant while the call before is not over", async () => {
    await platform.deploy("slow", `export default async () => { await new Promise((go) => setTimeout(go, 1500)); }`);
    for (const overlap of ["skip", "queue", "allow"] as const) {
      await schedules.add("slow", { cron: "* * * * * *", name: overlap, overlap, paused: true });
      await sleptFor(overlap, "3 seconds");
    }
    await sql`select pg_notify('fluxbase_schedules', '')`.execute(db);
    await eventually(async () => (await ticksOf("allow")).length >= 3);
    for (const overlap of ["skip", "queue", "allow"]) {
      await sql`update fluxbase.schedules set cron = ${RARE} where name = ${overlap}`.execute(db);
    }
    const skipped = await ticksOf("skip");
    assert.deepEqual(skipped.slice(0, 3).map((one) => one.skipped), [null, "overlap", "overlap"]);
    assert.equal((await last("slow", "skip"))?.skipped, "overlap");
    await eventually(async () => (await ticksOf("queue")).slice(0, 3).every(({ state }) => state === "done"));
    const { rows } = await sql<{ name: string; ran: Date; over: Date }>`
      select s.name, e.started_at as ran, e.completed_at as over from fluxbase.executions e
        join fluxbase.schedule_ticks k on k.task_id = e.task_id join fluxbase.schedules s on s.id = k.schedule_id
       order by e.started_at`.execute(db);
    const [first, second] = rows.filter(({ name }) => name === "queue");
    assert.ok(first && second && second.ran >= first.over, "one after the other");
    const allowed = rows.filter(({ name }) => name === "allow");
    assert.ok(allowed[0] && allowed[1] && allowed[1].ran < allowed[0].over, "at once");
  });

  await step("run once at an instant, and not while the function is disabled", async () => {
    await platform.deploy("once", HANDLER);
    const at = new Date(Date.now() + 1_500).toISOString();
    const added = await schedules.add("once", { run_at: at });
    assert.deepEqual([added.cron, added.run_at, added.next_runs], [null, at, [at]]);
    const tick = await done("once", added.id);
    assert.equal(tick?.scheduled_at, at);
    assert.deepEqual((await schedules.get("once", added.id)).next_runs, []);
    await client.functions.update("once", { enabled: false });
    await schedules.add("once", { cron: "* * * * * *", name: "in vain" });
    await eventually(async () => (await last("once", "in vain"))?.skipped === "disabled");
    await assert.rejects(schedules.run("once", "in vain"), /disabled/);
    await schedules.remove("once", "in vain");
  });
});

/**
 * Alerts tell whoever they should, once over all servers, and reach nothing that they should not.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createClient } from "@fluxbase/sdk";
import { sql } from "kysely";
import { eventually, platformTest, withTestPlatform } from "./support/platform.ts";

const HEARS = `export default async (req) => {
  const { state, alert, value } = await req.json();
  console.log(alert + " " + state + " " + value);
};`;

platformTest("alerts", async (platform, step) => {
  const { api, db } = platform;
  const admin = createClient(platform.url, platform.serviceKey).admin;
  await platform.deploy("hears", HEARS);
  await platform.deploy("fails", `export default (req) => { if (req.params.bad) throw new Error("no"); return "x"; }`);
  const heard: { state: string; value: number; text: string; alert: string }[] = [];
  let isRefusing = false;
  await using receiver = listen(async (request) => {
    assert.equal(request.headers.get("content-type"), "application/json");
    if (isRefusing) return new Response("not now", { status: 503 });
    heard.push(await request.json());
    return new Response("ok");
  });
  const lines = async () =>
    (await api("GET", "/functions/hears/logs?limit=100")).body.map(({ message }: { message: string }) => message);
  const due = () => sql`update fluxbase.alert_rules set evaluated_at = null`.execute(db);

  await withTestPlatform(async () => {
    await step("what fires and is resolved is told to a function and a URL, once over two servers", async () => {
      const rule = { metric: "error_ratio", threshold: 0.25, for_seconds: 0, min_calls: 8, function: "fails" } as const;
      for (let n = 0; n < 6; n += 1) await (await platform.call("fails")).body?.cancel();
      for (let n = 0; n < 3; n += 1) await (await platform.call("fails/invoke?bad=1")).body?.cancel();
      await platform.executions("fails", 9);
      await admin.alerts.add({ ...rule, name: "to a function", target_function: "default/hears" });
      const added = await admin.alerts.add({ ...rule, name: "to a URL", target_url: `${receiver.url}/T0/secret-path` });
      assert.equal(added.target_url, `${new URL(receiver.url).origin}/…`);
      await admin.alerts.add({ ...rule, name: "quiet", threshold: 0.9, target_function: "default/hears" });
      await eventually(async () => heard.length >= 1 && (await lines()).length >= 1);
      await eventually(async () => (await admin.alerts.list()).every(({ evaluated_at }) => evaluated_at !== null));
      const alerts = await admin.alerts.list();
      assert.deepEqual(
        alerts.map(({ name, state, value }) => [name, state, value === null ? null : Math.round(value * 1_000)])
          .toSorted(),
        [["quiet", "ok", 333], ["to a URL", "firing", 333], ["to a function", "firing", 333]],
      );
      assert.match(heard[0]?.text ?? "", /^\[firing\] to a URL: 0.333 of calls failed within 5 min, default\/fails/);
      for (let n = 0; n < 30; n += 1) await (await platform.call("fails")).body?.cancel();
      await platform.executions("fails", 39);
      await due();
      await eventually(async () => heard.length >= 2 && (await lines()).length >= 2);
      assert.deepEqual(heard.map(({ alert, state }) => `${alert} ${state}`), ["to a URL firing", "to a URL resolved"]);
      assert.deepEqual((await lines()).map((line: string) => line.replace(/ [\d.]+$/, "")).toSorted(), [
        "to a function firing",
        "to a function resolved",
      ]);
    });
  }, { DATABASE_URL: platform.databaseUrl.reveal(), FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.0.0.1" });

  await step("dead tasks, kills and skipped ticks are counted", async () => {
    const functionId = (await api("GET", "/functions/fails")).body.id;
    await sql`
      insert into fluxbase.tasks (id, function_id, state, trigger_type, caller, method, url, path, headers, retries, finished_at)
      select gen_random_uuid(), ${functionId}, 'dead', 'task', '{}', 'POST', '/', '', '{}', 0, now() from generate_series(1, 3)`
      .execute(db);
    const { rows: [schedule] } = await sql<{ id: string }>`
      insert into fluxbase.schedules (function_id, name, source, cron, look_at) values (${functionId}, 'late', 'api', '0 0 1 1 *', null)
      returning id`.execute(db);
    await sql`insert into fluxbase.schedule_ticks (schedule_id, at, skipped)
      select ${schedule?.id}, now() - i * interval '1 minute', 'overlap' from generate_series(1, 2) i`.execute(db);
    for (const metric of ["dead_tasks", "missed_ticks", "kills"] as const) {
      await admin.alerts.add({ name: metric, metric, threshold: 100, target_function: "default/hears" });
    }
    await eventually(async () => (await admin.alerts.list()).every(({ evaluated_at }) => evaluated_at !== null));
    const values = Object.fromEntries((await admin.alerts.list()).map(({ name, value }) => [name, value]));
    assert.deepEqual([values["dead_tasks"], values["missed_ticks"], values["kills"]], [3, 2, 0]);
  });

  await step("a URL that does not answer well is tried again", async () => {
    isRefusing = true;
    const test = await admin.alerts.test("to a URL");
    assert.deepEqual(test, { delivered: false, error: "it answered 503 not now" });
    heard.length = 0;
    await sql`insert into fluxbase.alert_deliveries (rule_id, body) select id, '{"alert": "kept"}' from fluxbase.alert_rules
      where name = 'to a URL'`.execute(db);
    const deliveries = () => sql<{ attempts: number }>`select attempts from fluxbase.alert_deliveries`.execute(db);
    await eventually(async () => (await deliveries()).rows[0]?.attempts === 1);
    isRefusing = false;
    await sql`update fluxbase.alert_deliveries set run_at = now()`.execute(db);
    await eventually(async () => (await deliveries()).rows.length === 0);
    assert.deepEqual(heard.map(({ alert }) => alert), ["kept"]);
  });

  await step("what is closed to functions is closed to alerts, redirects included", async () => {
    await using redirects = listen(() => Response.redirect(`${receiver.url}/redirected`, 307));
    const urls: readonly (readonly [string, RegExp])[] = [
      ["http://169.254.169.254/latest", /169\.254\.169\.254, which is closed/],
      ["http://10.1.2.3/", /closed to functions and alerts/],
      ["http://0x7f000002:8080/", /closed/],
      ["http://[::1]:8080/", /IPv6 addresses are closed/],
      ["http://[::ffff:10.0.0.1]/", /IPv6 addresses are closed/],
      ["http://nowhere.invalid/", /no IPv4 address/],
      [redirects.url, /^it answered 307/],
    ];
    const before = heard.length;
    for (const [index, [url, says]] of urls.entries()) {
      const name = `closed ${index}`;
      await admin.alerts.add({ name, metric: "kills", threshold: 1e6, target_url: url });
      const { delivered, error } = await admin.alerts.test(name);
      assert.equal(delivered, false, url);
      assert.match(error ?? "", says, url);
    }
    assert.equal(heard.length, before);
  });

  await step("rules are checked, sealed and only for admins", async () => {
    const good = { name: "x", metric: "kills", threshold: 1, target_function: "default/hears" };
    const bad: readonly (readonly [Record<string, unknown>, RegExp])[] = [
      [{ threshold: 0 }, /"threshold" must be above 0/],
      [{ metric: "luck" }, /"metric" must be one of error_ratio, /],
      [{ metric: "error_ratio", threshold: 5 }, /a ratio is at most 1/],
      [{ target_url: "https://x.invalid" }, /say who is told/],
      [{ target_function: "default/nobody" }, /there is none/],
      [{ target_function: undefined, target_url: "file:///etc/passwd" }, /must be an http or https URL/],
      [{ window_seconds: 5 }, /must be seconds from 60/],
      [{ name: "to a URL" }, /there is one of this name/],
    ];
    for (const [change, says] of bad) {
      const { status, body } = await api("POST", "/admin/alerts", { ...good, ...change });
      assert.ok(status === 400 || status === 409, JSON.stringify(change));
      assert.match(body.error, says);
    }
    const { rows } = await sql<{ all: string }>`select r::text as all from fluxbase.alert_rules r`.execute(db);
    assert.doesNotMatch(JSON.stringify(rows), /secret-path/);
    assert.doesNotMatch(JSON.stringify((await api("GET", "/admin/alerts")).body), /secret-path/);
    const key = await platform.mintKey(["functions:*"]);
    assert.equal((await api("GET", "/admin/alerts", undefined, key)).status, 403);
    await admin.alerts.remove("to a URL");
    await assert.rejects(admin.alerts.remove("to a URL"), { code: "NOT_FOUND" });
  });
}, { FLUXBASE_FUNCTIONS_EGRESS_ALLOW: "127.0.0.1" });

function listen(answer: (request: Request) => Response | Promise<Response>) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

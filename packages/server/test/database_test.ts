/**
 * The platform and its database: what a warm call costs there, and what happens when it goes away.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { sql } from "kysely";
import { administer, testServerUrl } from "./support/database.ts";
import { eventually, platformTest, type TestPlatform } from "./support/platform.ts";
import { EVERY_FUNCTION } from "../src/storage/metrics.ts";

const HELLO = `async function handler(req) {
  const data = JSON.parse(req.body || '{}')
  return { status: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ message: \`Hello \${data.name || 'World'}!\` }) }
}`;

/** Has Postgres log every statement of this platform's connections; returns what reads them. */
async function watchStatements({ db, databaseUrl }: TestPlatform): Promise<() => Promise<string[]>> {
  const database = new URL(databaseUrl.reveal()).pathname.slice(1);
  await administer(testServerUrl(), `alter database ${database} set log_statement = 'all'`);
  // The setting holds for new connections.
  await sql`select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()`.execute(db);
  const logFile = join(Deno.env.get("FLUXBASE_TEST_DATABASE_DIR") ?? "", "..", "postgres.log");
  const read = async () => {
    const { rows } = await sql<{ pid: number }>`
      select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`.execute(db);
    const pids = new Set(rows.map(({ pid }) => String(pid)));
    const entries = (await Deno.readTextFile(logFile)).split(/\n(?=\d{4}-\d\d-\d\d )/);
    return entries.flatMap((entry) => {
      const [, pid, statement] = /\[(\d+)\] LOG: {2}(?:statement|execute [^:]*):\s*(.*)/s.exec(entry) ?? [];
      return pid !== undefined && pids.has(pid) ? [(statement ?? "").trim()] : [];
    });
  };
  // Whoever lost the connection for changes reads everything again.
  await eventually(async () => {
    const statements = await read();
    return ["functions", "keys"].every((table) =>
      statements.some((text) => text.startsWith("select") && text.includes(`"fluxbase"."${table}"`))
    );
  });
  return read;
}

platformTest("a warm call asks the database nothing", async (platform, step) => {
  await platform.deploy("hello", HELLO);
  const readStatements = await watchStatements(platform);
  const call = async () => {
    const response = await platform.call("hello", { method: "POST", body: `{"name": "Alice"}` });
    return [response.status, await response.text()];
  };
  const CALLS_COUNT = 1_000;

  await step("1,000 calls one after the other are all right", async () => {
    await call();
    await platform.executions("hello", 1);
    const before = (await readStatements()).length;
    for (let index = 0; index < CALLS_COUNT; index += 1) {
      assert.deepEqual(await call(), [200, `{"message":"Hello Alice!"}`]);
    }
    await eventually(async () => await countOf(platform) === CALLS_COUNT + 1);
    const statements = (await readStatements()).slice(before);
    // Batches of executions, the questions of this test, and the heartbeat of the connection that listens.
    const behind = /^(with batch as|select coalesce|select$)/;
    // What the server looks at by the clock: the queue, schedules, alerts, the list of servers.
    const byClock = /fluxbase"?\."?(claim_tasks|tasks|schedules|alert_|nodes|leases)|^(begin|commit)$/;
    const others = statements.filter((statement) => !behind.test(statement) && !byClock.test(statement));
    assert.deepEqual(others, [], "only batches of executions reach the database");
    const batchCount = statements.filter((statement) => statement.startsWith("with batch as")).length;
    assert.ok(batchCount >= 1 && batchCount < CALLS_COUNT / 10, `${batchCount} batches for ${CALLS_COUNT} calls`);
  });
});

/** With a row or without. */
async function countOf({ db }: TestPlatform): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select coalesce(sum((counts ->> 'calls')::float8), 0) as count
      from fluxbase.execution_minutes where function_id <> ${EVERY_FUNCTION}`.execute(db);
  return rows[0]?.count ?? 0;
}

platformTest("a flood is folded into counts, errors and logs keep their rows", async (platform) => {
  await platform.deploy(
    "mixed",
    `function handler(req) {
    if (req.params.fail) throw new Error("no");
    if (req.params.log) console.log("said");
    return 1;
  }`,
  );
  const call = async (query: string) => void await (await platform.call(`mixed/invoke${query}`)).body?.cancel();
  await Promise.all(Array.from({ length: 300 }, (_, index) => call(["", "?fail=1", "?log=1"][index % 3] ?? "")));
  await eventually(async () => await countOf(platform) === 300);
  const rows = await platform.executions("mixed");
  assert.equal(rows.filter(({ status }: { status: string }) => status === "error").length, 100);
  assert.equal(rows.filter(({ logs }: { logs: string }) => logs === "said").length, 100);
  assert.ok(rows.length < 300, "successes beyond the budget have no rows of their own");
}, { FLUXBASE_EXECUTIONS_ROWS_PER_SEC: "5" });

platformTest("the database goes away and comes back", async (platform, step) => {
  await platform.deploy("hello", HELLO);
  await platform.call("hello").then((response) => response.body?.cancel());
  await platform.executions("hello", 1);
  const database = new URL(platform.databaseUrl.reveal()).pathname.slice(1);

  await step("warm calls go on; the control plane says what is wrong", async () => {
    await administer(testServerUrl(), `alter database ${database} allow_connections false`);
    await administer(
      testServerUrl(),
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`,
    );
    for (let index = 0; index < 20; index += 1) {
      const response = await platform.call("hello");
      assert.equal(response.status, 200);
      await response.body?.cancel();
    }
    const refused = await platform.api("GET", "/functions");
    assert.equal(refused.status, 503);
    assert.equal(refused.body.code, "DATABASE_UNAVAILABLE");
    assert.equal(refused.headers.get("retry-after"), "1");
    const ready = await platform.api("GET", "/health/ready");
    assert.deepEqual([ready.status, ready.body.status, ready.body.database], [200, "ready", "unavailable"]);
    assert.equal((await platform.api("GET", "/health")).status, 200);
    await eventually(() => platform.logLines.some((line) => line.includes("they wait on disk")));
  });

  await step("what happened meanwhile is written when it is back, and changes are followed again", async () => {
    await administer(testServerUrl(), `alter database ${database} allow_connections true`);
    await eventually(async () => (await platform.api("GET", "/health/ready")).body.database === "ok");
    assert.equal((await platform.executions("hello", 21)).length, 21);
    await eventually(() => platform.logLines.some((line) => line.includes("Listening for changes again")));
    await sql`update fluxbase.functions set enabled = false where name = 'hello'`.execute(platform.db);
    await eventually(async () => {
      const response = await platform.call("hello");
      await response.body?.cancel();
      return response.status === 403;
    });
  });
});

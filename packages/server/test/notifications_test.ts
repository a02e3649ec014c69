/**
 * Servers follow each other's changes by notifications of the database, which anybody may send who reaches it, and
 * which may be lost: neither harms.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";
import { withoutLeakedProcesses } from "./support/processes.ts";
import { startSilentProxy } from "./support/silent_proxy.ts";

const CHANNELS = ["fluxbase_secrets", "fluxbase_sessions", "fluxbase_keys", "fluxbase_functions"];
/** In the database that functions reach. */
const APP_CHANNELS = ["fluxbase_schema", "pgrst"];
const MiB = 1024 * 1024;

async function signUp({ api }: TestPlatform, email: string): Promise<{ token: string; sessionId: string; id: string }> {
  const { status, body } = await api("POST", "/auth/signup", { email, password: "correct horse battery" }, null);
  assert.equal(status, 201, JSON.stringify(body));
  const { session_id: sessionId } = JSON.parse(atob(body.access_token.split(".")[1]));
  return { token: body.access_token, sessionId, id: body.user.id };
}

platformTest("notifications that anybody may send", async (platform, step) => {
  const { api, db, appDb } = platform;
  const readUser = async (token: string) => (await api("GET", "/auth/user", undefined, token)).status;

  await step("a flood on every channel: bounded memory and log, and changes are seen as before", async () => {
    await platform.deploy("before", `export default () => secrets.get("word") ?? "none";`);
    const ada = await signUp(platform, "ada@example.com");
    const [beforeBytes, linesCount] = [Deno.memoryUsage().heapUsed, platform.logLines.length];
    const places = [
      ...CHANNELS.map((name) => [name, db] as const),
      ...APP_CHANNELS.map((name) => [name, appDb] as const),
    ];
    for (const [channel, db] of places) {
      // 8 KB each and no two alike: together far more than what may stay in memory.
      await sql`select pg_notify(${channel}, md5(i::text) || repeat('x', 7900)) from generate_series(1, 20000) i`
        .execute(db);
    }
    await sql`select pg_notify('fluxbase_functions', gen_random_uuid()::text) from generate_series(1, 200000)`
      .execute(db);
    await sql`select pg_notify('fluxbase_sessions', gen_random_uuid()::text) from generate_series(1, 200000)`
      .execute(db);
    await sql.raw("create table public.during (id int primary key); grant select on public.during to anon").execute(
      appDb,
    );
    await platform.deploy("during", `export default () => "here";`);
    assert.equal(await (await platform.call("during")).text(), `"here"`);
    assert.equal((await api("POST", "/admin/settings/custom/secret", { key: "word", value: "new" })).status, 201);
    await eventually(async () => await (await platform.call("before")).text() === `"new"`);
    const readTable = () => fetch(`${platform.url}/rest/v1/during`, { headers: { apikey: platform.anonKey } });
    await eventually(async () => await (await readTable()).text() === "[]");
    assert.equal(await readUser(ada.token), 200);
    const grownBytes = Deno.memoryUsage().heapUsed - beforeBytes;
    assert.ok(grownBytes < 200 * MiB, `${Math.round(grownBytes / MiB)} MiB more`);
    assert.ok(platform.logLines.length - linesCount < 100, `${platform.logLines.length - linesCount} lines more`);
  });

  await step("it ends nobody's session, and a session ends that the database says has ended", async () => {
    const [eve, bob] = [await signUp(platform, "eve@example.com"), await signUp(platform, "bob@example.com")];
    assert.deepEqual([await readUser(eve.token), await readUser(bob.token)], [200, 200]);
    await sql`select pg_notify('fluxbase_sessions', ${eve.sessionId})`.execute(db);
    await sql`update fluxbase.sessions set ended_at = now() where id = ${bob.sessionId}`.execute(db);
    await eventually(async () => await readUser(bob.token) === 401);
    assert.equal(await readUser(eve.token), 200);
  });

  await step("the sessions of a user who is deleted end, on servers that start later too", async () => {
    const carl = await signUp(platform, "carl@example.com");
    assert.equal(await readUser(carl.token), 200);
    await sql`delete from fluxbase.users where id = ${carl.id}`.execute(db);
    await eventually(async () => await readUser(carl.token) === 401);
    const { rows } = await sql`select from fluxbase.deleted_sessions where id = ${carl.sessionId}`.execute(db);
    assert.equal(rows.length, 1);
  });

  await step("a new function under a name is seen before the end of the one that had it", async () => {
    await platform.deploy("heir", `export default () => "old";`);
    const ids = await db.transaction().execute(async (trx) => {
      // Nothing is told of this: below it is told in the order that matters.
      await sql`set local session_replication_role = replica`.execute(trx);
      const { rows: [old] } = await sql<{ id: string }>`
        update fluxbase.functions set deleted_at = now() where name = 'heir' returning id`.execute(trx);
      const { rows: [fresh] } = await sql<{ id: string }>`
        insert into fluxbase.functions (namespace, name, source, live_version, latest_version, current_version)
        values ('default', 'heir', 'api', 1, 1, 1) returning id`.execute(trx);
      await sql`
        insert into fluxbase.versions (function_id, number, entry, files, settings, bundle, content_hash)
        select ${fresh?.id}, 1, entry, files, settings, replace(bundle, 'old', 'new'), content_hash
          from fluxbase.versions where function_id = ${old?.id} and number = 1`.execute(trx);
      return { old: old?.id, fresh: fresh?.id };
    });
    await sql`select pg_notify('fluxbase_functions', ${ids.fresh})`.execute(db);
    await eventually(async () => await (await platform.call("heir")).text() === `"new"`);
    await sql`select pg_notify('fluxbase_functions', ${ids.old})`.execute(db);
    // Told after it, so that it has been followed when this is.
    await platform.deploy("later", `export default () => "later";`);
    await platform.call("later");
    assert.equal(await (await platform.call("heir")).text(), `"new"`);
  });
});

Deno.test("connections to the database that go silent: what they would have told is read within seconds", {
  sanitizeOps: false,
  sanitizeResources: false,
}, async () => {
  let proxy: ReturnType<typeof startSilentProxy> | undefined;
  try {
    await withoutLeakedProcesses(() =>
      withTestPlatform(async (platform) => {
        const key = await platform.mintKey(["functions:*"]);
        await platform.deploy("works", `export default () => "fine";`);
        assert.ok((proxy?.silence() ?? 0) > 1);
        await sql`update fluxbase.keys set revoked_at = now() where name = 'test'`.execute(platform.db);
        await eventually(async () => (await platform.api("GET", "/functions", undefined, key)).status === 401);
        assert.ok(platform.logLines.some((line) => line.includes("went silent")));
        // Statements find connections that speak.
        await eventually(() => platform.deploy("again", `export default () => "fine";`).then(() => true, () => false));
        assert.equal((await platform.executions("works", 0)).length, 0);
      }, (databaseUrl) => {
        const url = new URL(databaseUrl.reveal());
        proxy = startSilentProxy({ hostname: url.hostname, port: Number(url.port) });
        url.port = String(proxy.port);
        return { DATABASE_URL: url.href };
      })
    );
  } finally {
    await proxy?.[Symbol.asyncDispose]();
  }
});

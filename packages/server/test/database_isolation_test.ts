/**
 * What a function can do to others over DATABASE_URL: nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { CHANNELS } from "./support/channels.ts";
import { eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

/** Runs the statements that it is sent, one after the other; answers with rows, or the code of what went wrong. */
const RUNNER = `import pg from "npm:pg@8.16.3";
export default async (req) => {
  const { statements, connections = 1 } = JSON.parse(req.body);
  const url = Deno.env.get("DATABASE_URL");
  const clients = [];
  try {
    for (let index = 0; index < connections; index += 1) {
      const client = new pg.Client(url);
      client.on("error", () => {});
      await client.connect();
      clients.push(client);
    }
    const answers = [];
    for (const text of statements) {
      answers.push(await clients[0].query(text).then(({ rows }) => rows, (error) => error.code ?? error.message));
    }
    return answers;
  } catch (error) {
    return { code: error.code ?? error.message, open: clients.length };
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
};`;

type Run = (namespace: string, statements: readonly string[], connections?: number) => Promise<unknown>;

async function deployRunners(platform: TestPlatform, namespaces: readonly string[]): Promise<Run> {
  for (const namespace of namespaces) await platform.deploy("runner", RUNNER, { namespace });
  return async (namespace, statements, connections) => {
    const response = await platform.call(`runner/invoke?namespace=${namespace}`, {
      method: "POST",
      body: JSON.stringify({ statements, connections }),
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text);
  };
}

platformTest("a function and the tables of others", async (platform, step) => {
  const run = await deployRunners(platform, ["default", "victim", "evil"]);
  const works = async () => assert.deepEqual(await run("victim", ["select name from secrets"]), [[{ name: "mine" }]]);
  await sql.raw(`create table public.shop (id int); insert into public.shop values (1)`).execute(platform.appDb);

  await step("each namespace makes tables in a schema of its own, default in public", async () => {
    const made = ["create table secrets (name text)", "insert into secrets values ('mine')"];
    assert.deepEqual(await run("victim", made), [[], []]);
    await works();
    const { rows } = await sql`
      select schemaname as schema, tablename as name, tableowner ~ '^fluxbase_ns_[0-9]+_' as "isTheirs"
      from pg_tables where schemaname !~ '^(pg_|information_schema)' order by 1`.execute(platform.appDb);
    assert.deepEqual(rows, [
      { schema: "auth", name: "users", isTheirs: true },
      { schema: "ns_victim", name: "secrets", isTheirs: true },
      { schema: "public", name: "shop", isTheirs: false },
    ]);
    assert.deepEqual(await run("default", ["select id from shop"]), [[{ id: 1 }]]);
  });

  await step("namespaces with upper case, hyphens and long names have their own too", async () => {
    const long = "Long-".repeat(12);
    const run = await deployRunners(platform, ["Team-B", "team-b", `${long}a`, `${long}b`]);
    for (const namespace of ["Team-B", "team-b", `${long}a`, `${long}b`]) {
      const made = ["create table things (name text)", `insert into things values ('${namespace}')`];
      assert.deepEqual(await run(namespace, [...made, "select name from things"]), [[], [], [{ name: namespace }]]);
    }
  });

  await step("nothing of another namespace is read, changed, hooked or dropped", async () => {
    const REFUSED = "42501";
    const answers = await run("evil", [
      "select * from ns_victim.secrets",
      "update ns_victim.secrets set name = 'theirs'",
      "alter table ns_victim.secrets add column more text",
      "create trigger t before insert on ns_victim.secrets for each row execute function suppress_redundant_updates_trigger()",
      "drop table ns_victim.secrets",
      "create table ns_victim.more (id int)",
      "drop schema ns_victim cascade",
      "select * from public.shop",
      "create table public.more (id int)",
      "create schema more",
      "set role service_role",
      "set role anon",
      "set session authorization postgres",
      "create extension dblink",
      "copy (select 1) to program 'true'",
      "select pg_read_file('/etc/hostname')",
      "drop owned by current_user",
    ]);
    assert.deepEqual(answers, Array(17).fill(REFUSED));
    await works();
  });

  await step("what is granted is seen, and nothing more", async () => {
    const { rows: [role] } = await sql<{ name: string }>`
      select rolname as name from pg_roles join pg_database on rolname = 'fluxbase_ns_' || pg_database.oid || '_evil'
      where datname = current_database()`.execute(platform.appDb);
    await sql.raw(`grant usage on schema public to "${role?.name}"; grant select on public.shop to "${role?.name}"`)
      .execute(platform.appDb);
    assert.deepEqual(await run("evil", ["select id from public.shop", "delete from public.shop"]), [
      [{ id: 1 }],
      "42501",
    ]);
  });

  await step("sessions of others are neither read nor ended", async () => {
    const waiting = run("victim", ["select pg_sleep(1)", "select name from secrets"]);
    const isThere = sql<{ pid: number }>`
      select pid from pg_stat_activity where usename ~ '_victim$' and state = 'active' and query like '%pg_sleep%'`;
    await eventually(async () => (await isThere.execute(platform.appDb)).rows.length === 1);
    const { rows: [victim] } = await isThere.execute(platform.appDb);
    assert.deepEqual(
      await run("evil", [
        "select distinct query from pg_stat_activity where usename <> current_user and query not like '<insuff%'",
        `select pg_terminate_backend(${victim?.pid})`,
        `select pg_cancel_backend(${victim?.pid})`,
      ]),
      [[], "42501", "42501"],
    );
    assert.deepEqual(await waiting, [[{ pg_sleep: "" }], [{ name: "mine" }]]);
  });

  await step("a password and settings that a role gave itself are set right, and audited", async () => {
    for (
      const damage of [
        "alter role current_user password 'x'",
        "alter role current_user set statement_timeout = '1ms'",
        "alter role current_user set search_path = 'nowhere'",
        "alter role current_user set local_preload_libraries = 'nowhere'",
        "alter role current_user set role = 'none'",
      ]
    ) {
      assert.deepEqual(await run("victim", [damage]), [[]], damage);
      await works();
    }
    await eventually(async () => {
      const { body } = await platform.api("GET", "/admin/audit-log?action=repair%20role");
      return body.entries?.length === 5 || body.length === 5;
    });
  });

  await step("many who find their role changed set it right once, and take no connections of the server", async () => {
    await run("victim", ["alter role current_user set statement_timeout = '1h'"]);
    await Promise.all(Array.from({ length: 10 }, works));
    assert.equal((await platform.api("GET", "/functions")).status, 200);
  });

  await step("a role that is being changed holds up nobody else", async () => {
    const changing = run("evil", [
      "alter role current_user set statement_timeout = '1h'",
      "begin",
      "alter role current_user password 'x'",
      "select pg_sleep(2)",
      "rollback",
    ]);
    await eventually(async () => {
      const { rows } = await sql`select from pg_stat_activity where usename ~ '_evil$' and wait_event = 'PgSleep'`
        .execute(platform.appDb);
      return rows.length === 1;
    });
    const waiting = run("evil", ["select 1"]);
    await works();
    await platform.deploy("runner", RUNNER, { namespace: "fresh" });
    assert.deepEqual(await run("fresh", ["select 1 as one"]), [[{ one: 1 }]]);
    assert.deepEqual(await changing, [[], [], [], [{ pg_sleep: "" }], []]);
    await waiting;
  });

  await step("a transaction ends in time, whatever it set", async () => {
    const [first, second] = await run("evil", ["set statement_timeout = 0", "select pg_sleep(300)"]) as unknown[];
    assert.deepEqual([first, second], [[], "57P01"]);
    await works();
  });

  await step("temporary files have a bound", async () => {
    const big =
      "select count(*) from (select repeat(md5(i::text), 10) t from generate_series(1, 200000) i order by 1) s";
    assert.deepEqual(await run("evil", ["set work_mem = '64kB'", big]), [[], "53400"]);
  });

  await step("notifications and locks of the users' database reach nobody's but their own", async () => {
    const { body: { access_token: token } } = await platform.api("POST", "/auth/signup", {
      email: "ada@example.com",
      password: "a long password",
    });
    const flood = CHANNELS.map((channel) =>
      `select count(pg_notify('${channel}', md5(i::text) || repeat('x', 4000))) from generate_series(1, 5000) i`
    );
    await run("evil", ["select pg_advisory_lock(7220114), pg_advisory_lock(7220115)", ...flood]);
    await platform.deploy("after", "export default () => 1;");
    assert.equal((await platform.api("GET", "/auth/user", undefined, token)).status, 200);
    const held = run("evil", ["select pg_advisory_lock(7220114), pg_advisory_lock(7220115)", "select pg_sleep(1)"]);
    await withTestPlatform(async (other) => {
      const response = await other.call("runner/invoke?namespace=victim", {
        method: "POST",
        body: JSON.stringify({ statements: ["select name from secrets"] }),
      });
      assert.deepEqual(await response.json(), [[{ name: "mine" }]], "the other server logs in as the same role");
    }, { DATABASE_URL: platform.databaseUrl.reveal() });
    await held;
    await works();
  });

  await step("one namespace cannot take all connections", async () => {
    await platform.deploy("second", RUNNER, { namespace: "evil" });
    const open = async (name: string, statement: string, connections: number) => {
      const body = JSON.stringify({ statements: [statement], connections });
      const response = await platform.call(`${name}/invoke?namespace=evil`, { method: "POST", body });
      return await response.json();
    };
    assert.equal((await open("runner", "select 1", 11)).code, "53300", "no function has more than 10");
    await open("second", "select 1", 1);
    const greedy = open("runner", "select pg_sleep(3)", 10);
    await eventually(async () => {
      const { rows } = await sql`select from pg_stat_activity where usename ~ '_evil$' and wait_event = 'PgSleep'`
        .execute(platform.appDb);
      return rows.length === 1;
    });
    assert.deepEqual(await open("second", "select 1", 3), { code: "53300", open: 2 }, "nor a namespace more than 12");
    await works();
    await greedy;
  });
}, {
  FLUXBASE_LIMITS_NAMESPACE_CONNECTIONS_COUNT: "12",
  FLUXBASE_LIMITS_FUNCTION_TRANSACTION_MS: "4000",
  FLUXBASE_LIMITS_SESSION_TEMP_FILE_MIB: "4",
});

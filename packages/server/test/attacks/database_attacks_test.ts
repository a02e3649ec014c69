/**
 * Attacks by SQL: what a function of one namespace does over DATABASE_URL to the platform and to other namespaces.
 *
 * @module
 */
import { sql } from "kysely";
import { CHANNELS } from "../support/channels.ts";
import type { TestPlatform } from "../support/platform.ts";
import { eventually } from "../support/platform.ts";
import { type Attack, attackTest, type FunctionAttack, recordOf, shown } from "./corpus.ts";

const CONNECT = `import pg from "npm:pg@8.16.3";
  const url = Deno.env.get("DATABASE_URL");
  const open = async () => { const client = new pg.Client(url); client.on("error", () => {}); await client.connect(); return client; };
  const run = async (client, text) => await client.query(text).then(({ rows }) => JSON.stringify(rows), (error) => error.code ?? error.message);`;

/** Reads and writes a table of its own all the time. */
const VICTIM = `${CONNECT}
  export default async () => {
    const client = await open();
    try {
      await client.query("create table if not exists mine (name text)");
      await client.query("begin; delete from mine; insert into mine values ('unharmed'); commit");
      return (await client.query("select name from mine")).rows[0].name;
    } finally { await client.end(); }
  };`;

/** Statements of one session, in the namespace `evil`; what the last one gives is the answer. */
const statements = (name: string, gets: RegExp, ...texts: readonly string[]): FunctionAttack => ({
  name,
  fields: { namespace: "evil" },
  top: CONNECT,
  body: `const client = await open(); let last;
    try { for (const text of ${
    JSON.stringify(texts)
  }) last = await run(client, text); return last; } finally { await client.end().catch(() => {}); }`,
  gets,
});

const REFUSED = /^42501$/;
const refused = (name: string, ...texts: readonly string[]) => statements(name, REFUSED, ...texts);
const flood = (channel: string) =>
  `select count(pg_notify('${channel}', md5(i::text) || repeat('x', 7900))) from generate_series(1, 5000) i`;

const NEIGHBOUR: readonly FunctionAttack[] = [
  refused("neighbour: read", `select * from "ns_team-b".mine`),
  refused("neighbour: alter", `alter table "ns_team-b".mine add column more text`),
  refused(
    "neighbour: a trigger",
    `create trigger t before insert on "ns_team-b".mine for each row execute function suppress_redundant_updates_trigger()`,
  ),
  refused("neighbour: drop", `drop schema "ns_team-b" cascade`),
  statements(
    "neighbour: queries of others",
    /^\[\]$/,
    "select query from pg_stat_activity where usename <> current_user and query not like '<insuff%' and query <> ''",
  ),
  statements(
    "neighbour: end its sessions",
    // None where nobody else is connected just then.
    /^(42501|\[\])$/,
    "select pg_terminate_backend(pid) from pg_stat_activity where usename <> current_user and usename like 'fluxbase%' limit 1",
  ),
  refused(
    "neighbour: its role",
    "do $$ begin execute (select format('set role %I', rolname) from pg_roles where rolname like '%team-b'); end $$",
  ),
];

/** Rights that a namespace's role has not. */
const RIGHTS: readonly FunctionAttack[] = [
  refused("the service role", "set role service_role"),
  refused("the superuser", "set session authorization postgres"),
  refused("a program", "copy (select 1) to program 'true'"),
  refused("a file of the server", "select pg_read_file('/etc/hostname')"),
  refused("a file by COPY", "create temp table lines (line text)", "copy lines from '/etc/hostname'"),
  refused("a file as a large object", "select lo_import('/etc/hostname')"),
  refused("an extension", "create extension dblink"),
  refused(
    "an event trigger",
    "create function f() returns event_trigger language plpgsql as 'begin end'",
    "create event trigger e on ddl_command_start execute function f()",
  ),
  refused("a language of the machine", "create function c() returns int language c as 'libc', 'getpid'"),
  refused("an operator of public", "create operator public.=== (leftarg = text, rightarg = text, function = texteq)"),
  refused(
    "a function of public, which others may find first",
    "create function public.lower(text) returns text language sql as 'select ''x'''",
  ),
  refused("a schema", "create schema more"),
  refused("a publication of all tables", "create publication p for all tables"),
  refused("a slot that keeps the log for ever", "select pg_create_physical_replication_slot('s', true)"),
  refused("a setting of the server", "alter system set work_mem = '1GB'"),
  refused(
    "a setting of the database",
    "do $$ begin execute format('alter database %I set search_path = evil', current_database()); end $$",
  ),
  refused("a setting of superusers", "set session_replication_role = replica"),
  refused("the server's log", "set log_statement = 'all'"),
  refused("to reload the settings", "select pg_reload_conf()"),
  refused("default rights of another", "alter default privileges for role service_role grant all on tables to public"),
  refused("to give itself a role", "grant service_role to current_user"),
  refused("to bypass policies", "alter role current_user bypassrls"),
  refused("a role", "create role mine"),
  refused("passwords", "select * from pg_authid"),
  refused("another database", "create database more"),
  refused("an untrusted cast for all", "create cast (text as int) with inout as implicit"),
];

/** What a role does to itself is set right when it is next used. */
const ROLE: readonly FunctionAttack[] = [
  "password 'x'",
  "set statement_timeout = '1ms'",
  "set search_path = 'nowhere'",
  "set role = 'none'",
].map((change) => statements(`role: alter role current_user ${change}`, /^\[\]$/, `alter role current_user ${change}`));

const NOTIFY: readonly FunctionAttack[] = CHANNELS.map((channel) =>
  statements(`notify: 40 MB to ${channel}`, /^\[\{"count":"5000"\}\]$/, flood(channel))
);

const SHARED: readonly FunctionAttack[] = [
  statements(
    "locks: those of the platform",
    /pg_advisory_lock/,
    "select pg_advisory_lock(7220114), pg_advisory_lock(7220115), pg_sleep(0.3)",
  ),
  refused("locks: of a catalogue", "begin", "lock table pg_catalog.pg_authid in access exclusive mode"),
  statements(
    "memory: all of the machine's for one sort",
    /^53200$/,
    "set work_mem = '1TB'",
    "select count(*) from (select distinct repeat(md5(i::text), 100) from generate_series(1, 5000000) i) s",
  ),
  {
    name: "connections: twenty at once",
    fields: { namespace: "evil" },
    top: CONNECT,
    body:
      `const clients = []; try { for (let i = 0; i < 20; i += 1) clients.push(await open()); return clients.length; }
      catch (error) { return error.code + " after some: " + (clients.length > 0 && clients.length < 20); } finally { await Promise.all(clients.map((client) => client.end().catch(() => {}))); }`,
    gets: /^53300 after some: true$/,
  },
];

const TRIGGERS = {
  "the statement that begins a request":
    `execute 'deallocate all'; execute 'prepare fluxbase_begin(text,text,text,text,text,text) as select set_config(''role'', ''service_role'', true)'`,
  "the role of the session": `perform set_config('role', 'service_role', false)`,
  "the role of the transaction": `perform set_config('role', 'service_role', true)`,
  "a table of its own before the true one": `create temp table if not exists notes as select 'forged' as text`,
};

/** A trigger, fired by one anonymous insert; afterwards an anonymous caller reads. */
const pooled = ([name, poison]: [string, string]): Attack => ({
  name: `pooled session: ${name}`,
  gets: /^200 \[\]$/,
  async run({ appDb, url, anonKey }: TestPlatform) {
    await sql.raw(`
      create table if not exists public.notes (text text); create table if not exists public.hooks (id int);
      delete from public.notes; insert into public.notes values ('a secret');
      alter table public.notes enable row level security;
      grant select on public.notes to anon; grant insert on public.hooks to anon;
      create or replace function public.poison() returns trigger language plpgsql as $p$ begin ${poison}; return new; end $p$;
      create or replace trigger fire before insert on public.hooks for each row execute function public.poison();
    `).execute(appDb);
    const headers = { authorization: `Bearer ${anonKey}`, "content-type": "application/json" };
    const rest = (path: string, init: RequestInit = {}) => fetch(`${url}/rest/v1/${path}`, { headers, ...init });
    const read = async () => {
      const response = await rest("notes");
      return `${response.status} ${await response.text()}`;
    };
    await eventually(async () => (await read()).startsWith("200"));
    for (let count = 0; count < 4; count += 1) {
      await (await rest("hooks", { method: "POST", body: `{"id":1}` })).body?.cancel();
    }
    const answers = new Set<string>();
    for (let count = 0; count < 8; count += 1) answers.add(await read());
    return [...answers].join(" and ");
  },
});

/** Functions and operators of public that fit the platform's own queries better than those of Postgres. */
const CAPTURE: Attack = {
  name: "queries of the platform, by better fitting functions and operators in public",
  gets: /^nobody$/,
  async run(platform) {
    const names = ["lower(name)", "quote_ident(name)", "format_type(oid, int)", "has_table_privilege(name, oid, text)"];
    const call =
      `returns text language plpgsql as $$ begin insert into public.hits values (current_user); return 'x'; end $$`;
    const is =
      `returns boolean language plpgsql as $$ begin insert into public.hits values (current_user); return true; end $$`;
    const made = [
      "create table public.hits (who text); grant insert on public.hits to public",
      ...names.map((name) => `create function public.${name} ${call}`),
      `create function public.same(name, text) ${is}`,
      ...["=", "<>", "~", "!~", "~~", "!~~"].map((operator) =>
        `create operator public.${operator} (leftarg = name, rightarg = text, function = public.same)`
      ),
    ];
    const source = `${CONNECT} export default async () => { const client = await open(); try { for (const text of ${
      JSON.stringify(made)
    }) await client.query(text); return "made"; } finally { await client.end(); } };`;
    await platform.deploy("captures", source);
    const answer = await (await platform.call("captures")).text();
    if (answer !== `"made"`) return answer;
    // New roles, a new schema, and what there is read again.
    await platform.deploy("afterwards", source, { namespace: "fresh" });
    await (await platform.call("fresh/afterwards")).body?.cancel();
    await platform.api("POST", "/admin/database/query", { sql: "create table public.more (id int)" });
    await eventually(async () => {
      const headers = { authorization: `Bearer ${platform.serviceKey}` };
      const response = await fetch(`${platform.url}/rest/v1/more`, { headers });
      await response.body?.cancel();
      return response.status === 200;
    });
    const { rows } = await sql<{ who: string }>`select distinct who from public.hits`.execute(platform.appDb);
    await sql.raw("drop function public.same(name, text) cascade").execute(platform.appDb);
    return rows.map(({ who }) => who).join() || "nobody";
  },
};

/** What SQL of `default` makes as long as it likes. */
const LONG = [
  "create table if not exists public.short (id int); insert into public.short values (1); grant select on public.short to anon",
  "create or replace function public.long(n int) returns text language sql as $$ select repeat('x', n) $$",
  "create or replace function public.long_error(n int) returns text language plpgsql as $$ begin raise exception '%', repeat('x', n) using detail = repeat('y', n); end $$",
  "create or replace function public.long_notice(n int) returns text language plpgsql as $$ begin loop raise warning '%', repeat('x', n); end loop; end $$",
  "grant execute on all functions in schema public to anon",
];

async function makeLong({ api }: TestPlatform): Promise<void> {
  for (const text of LONG) await api("POST", "/admin/database/query", { sql: text });
}

/** Asked for by an anonymous caller; the server must neither keep it whole nor hand it on. */
const long = (fn: string, n: number, gets: RegExp): Attack => ({
  name: `length: ${fn}(${n})`,
  gets,
  async run(platform) {
    await makeLong(platform);
    const headers = { authorization: `Bearer ${platform.anonKey}`, "content-type": "application/json" };
    const ask = () => fetch(`${platform.url}/rest/v1/rpc/${fn}`, { method: "POST", headers, body: `{"n":${n}}` });
    await eventually(async () => {
      const response = await fetch(`${platform.url}/rest/v1/rpc/long`, { method: "POST", headers, body: `{"n":1}` });
      return await response.text() === `"x"`;
    });
    const got: string[] = [];
    for (const response of await Promise.all([ask(), ask()])) {
      const text = await response.text();
      got.push(`${response.status} ${JSON.parse(text).code}, ${text.length} characters`);
    }
    return [...new Set(got)].join(" and ");
  },
});

const LONG_SCHEMA: Attack = {
  name: "length: a default of 10 MB, and 1,500 values of an enum",
  gets: /^200 \[\], 400 [^|]*too long for missing=default[^|]* \| 201 /,
  async run(platform) {
    await makeLong(platform);
    const get = async (table: string, key: string) => {
      const response = await fetch(`${platform.url}/rest/v1/${table}`, { headers: { authorization: `Bearer ${key}` } });
      return `${response.status} ${await response.text()}`;
    };
    await eventually(async () => (await get("short?limit=1", platform.anonKey)).startsWith("200"));
    const made = await platform.api("POST", "/admin/database/query", {
      sql: `do $$ begin
          execute 'create type public.many as enum (' || (select string_agg(quote_literal(i), ',') from generate_series(1, 1500) i) || ')';
          execute format('create table public.huge (a text default %L, b public.many, c int)', repeat('x', 10000000));
        end $$`,
    });
    if (made.status !== 200) return JSON.stringify(made.body);
    await eventually(async () => (await get("huge", platform.serviceKey)).startsWith("200"));
    const insert = async (prefer: string) => {
      const headers = { authorization: `Bearer ${platform.serviceKey}`, "content-type": "application/json", prefer };
      const response = await fetch(`${platform.url}/rest/v1/huge?columns=a,b`, {
        method: "POST",
        headers,
        body: `[{"a":"x","b":"1500"},{"b":"1"}]`,
      });
      return `${response.status} ${await response.text()}`;
    };
    const rows = await get("huge", platform.serviceKey);
    return `${rows}, ${await insert("missing=default")} | ${await insert("return=minimal")}`;
  },
};

/** A look at the schema waits for the lock; requests for tables wait a while, and go on with what was known. */
const PATIENCE: Attack = {
  name: "patience: a table that is locked while the schema is read",
  gets: /^200 \[\{"id":1\}\], 201, then "done"$/,
  async run(platform) {
    await makeLong(platform);
    const headers = { authorization: `Bearer ${platform.anonKey}` };
    const get = async () => {
      const response = await fetch(`${platform.url}/rest/v1/short?limit=1`, { headers });
      return `${response.status} ${await response.text()}`;
    };
    await eventually(async () => (await get()).startsWith("200"));
    await platform.deploy(
      "locks",
      `${CONNECT}
      export default async () => {
        const [holder, maker] = [await open(), await open()];
        await run(holder, "create table public.locked (a text default 'x' || now())");
        await run(holder, "begin");
        await run(holder, "lock table public.locked in access exclusive mode");
        await run(maker, "create table public.later (a int)");
        await run(holder, "select pg_sleep(8)");
        await Promise.all([holder.end(), maker.end()]);
        return "done";
      };`,
      { timeout: 30 },
    );
    const holding = platform.call("locks").then((response) => response.text());
    await eventually(async () => {
      const { rows } = await sql`select from pg_locks where locktype = 'relation' and not granted`.execute(
        platform.appDb,
      );
      return rows.length > 0;
    });
    const rows = await get();
    const deployed = await platform.deploy("meanwhile", `export default () => 1`);
    return `${rows}, ${deployed.status}, then ${await holding}`;
  },
};

const LONG_SETTING: FunctionAttack = statements(
  "length: a setting of its role of 20 MB",
  /^\[\]$/,
  "do $$ begin execute format('alter role current_user set my.setting = %L', repeat('x', 20000000)); end $$",
  "do $$ begin end $$",
);

/** After all of them: another function of the namespace still works, and the platform deploys. */
const AFTERWARDS: Attack = {
  name: "and its own namespace afterwards",
  gets: /^"1"$/,
  says: /^success 200$/,
  async run(platform) {
    const source =
      `${CONNECT} export default async () => { const client = await open(); try { return String((await client.query("select 1 as one")).rows[0].one); } finally { await client.end(); } };`;
    await platform.deploy("afterwards", source, { namespace: "evil" });
    const got = await (await platform.call("evil/afterwards")).text();
    return { got, record: shown(await recordOf(platform, "evil/afterwards")) };
  },
};

attackTest(
  "database",
  () => [
    ...NEIGHBOUR,
    ...RIGHTS,
    ...ROLE,
    ...NOTIFY,
    ...SHARED,
    ...Object.entries(TRIGGERS).map(pooled),
    CAPTURE,
    long("long", 50_000_000, /^502 RESPONSE_TOO_LARGE, \d{1,3} characters$/),
    long("long_error", 10_000_000, /^400 P0001, \d{1,5} characters$/),
    long("long_error", 40_000_000, /^502 RESPONSE_TOO_LARGE, \d{1,3} characters$/),
    long("long_notice", 10_000_000, /^502 RESPONSE_TOO_LARGE, \d{1,3} characters$/),
    LONG_SCHEMA,
    PATIENCE,
    LONG_SETTING,
    AFTERWARDS,
  ],
  { victim: { source: VICTIM, answers: `"unharmed"` } },
);

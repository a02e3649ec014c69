/**
 * What SQL of users leaves behind in the sessions that requests for tables share: nothing that a later request notices.
 *
 * Each poison is fired by a trigger and by a function of SQL, as each role, over one connection for each role. Before and
 * after it, a witness says what it sees.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { administer } from "./support/database.ts";
import {
  type Answer,
  eventually,
  platformTest,
  postgresTest,
  type TestPlatform,
  withTestPlatform,
} from "./support/platform.ts";

/** Everything of a session that a later request could notice, but for numbers that are new each time. */
const SETUP = `
  create table public.notes (owner text, text text);
  insert into public.notes values ('a@example.com', 'of A'), ('b@example.com', 'of B'), ('nobody', 'of nobody');
  alter table public.notes enable row level security;
  create policy own on public.notes to authenticated
    using (owner = current_setting('request.jwt.claims')::json ->> 'email');
  create policy open on public.notes to anon using (owner = 'nobody');
  create table public.hooks (id int);
  create table public.late (id int);
  create table public.stolen (text text);
  create sequence public.numbers;
  grant select on public.notes to anon, authenticated, service_role;
  grant insert on public.hooks, public.late, public.stolen to anon, authenticated, service_role;
  grant usage on public.numbers to anon, authenticated, service_role;
  create function public.witness() returns jsonb language plpgsql as $$
  declare last text;
  begin
    begin last := lastval()::text; exception when others then last := sqlstate; end;
    return jsonb_build_object(
      'who', current_user, 'session', regexp_replace(session_user, '[0-9]+', ''),
      'settings', (select jsonb_object_agg(name, setting) from pg_settings where category <> 'Customized Options'),
      'own', nullif(current_setting('app.tenant', true), ''),
      'notes', (select jsonb_agg(text order by text) from notes),
      'temporary', (select count(*) from pg_class where relnamespace = pg_my_temp_schema()),
      'cursors', (select jsonb_agg(name) from pg_cursors where is_holdable),
      'channels', (select jsonb_agg(name) from pg_listening_channels() name),
      'locks', (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
      'last', last
    );
  end $$;
  create function public.fire() returns trigger language plpgsql as $$ begin perform poison(); return new; end $$;
  create function public.fire_late() returns trigger language plpgsql as $$ begin perform poison(); return null; end $$;
  create function public.pid() returns int language sql as $$ select pg_backend_pid() $$;
  create function public.dice() returns float8 language sql volatile as $$ select random() $$;
  create trigger fire before insert on public.hooks for each row execute function fire();
  create constraint trigger fire_late after insert on public.late deferrable initially deferred
    for each row execute function fire_late();
`;

const STEAL = "select set_config(''role'', ''service_role'', true), set_config(''request.jwt.claims'', ''{}'', true)";

const POISONS: readonly string[] = [
  // Settings.
  "perform set_config('role', 'service_role', false)",
  "perform set_config('role', 'none', false)",
  "set role none",
  "set session authorization default",
  `perform set_config('request.jwt.claims', '{"email":"a@example.com"}', false)`,
  "perform set_config('app.tenant', 'evil', false)",
  "perform set_config('search_path', 'pg_temp, evil', false)",
  "set row_security = off",
  "set default_transaction_read_only = on",
  "set transform_null_equals = on",
  "set session_replication_role = replica",
  "set statement_timeout = '1ms'",
  "set idle_session_timeout = '1ms'",
  "set client_encoding = 'LATIN1'",
  "set timezone = 'Asia/Tokyo'",
  "set datestyle = 'German'",
  "set bytea_output = 'escape'",
  "set standard_conforming_strings = off",
  "set plan_cache_mode = force_generic_plan",
  "set work_mem = '64kB'",
  "set default_transaction_isolation = 'serializable'",
  // Prepared statements: forgotten, replaced, added.
  "execute 'deallocate all'",
  `declare name text; begin
     for name in select s.name from pg_prepared_statements s loop
       execute format('deallocate %I', name);
       execute format('prepare %I as ${STEAL}', name);
     end loop;
   end`,
  `execute 'prepare fluxbase_begin(text, text, text, text, text, text) as ${STEAL}'`,
  // Temporary objects, which are found before others.
  "create temp table notes as select 'x' as owner, 'forged' as text",
  "create temp view notes as select 'x' as owner, 'forged' as text",
  "execute 'create function pg_temp.lower(text) returns text language sql as $f$ select ''x'' $f$'",
  // What stays open.
  "execute 'declare held cursor with hold for select 1'",
  "execute 'listen fluxbase_schema'; execute 'listen evil'",
  "perform pg_advisory_lock(1), pg_advisory_lock_shared(2), pg_advisory_lock(3, 4)",
  "perform nextval('public.numbers')",
  "perform setval('public.numbers', 1000)",
  // For good.
  "set role none; alter role current_user password 'x'",
  "set role none; alter role current_user set statement_timeout = '1ms'",
  "alter role current_user set statement_timeout = '1ms'",
  "execute 'reset all'",
  "set role none; perform pg_terminate_backend(pg_backend_pid())",
];

/** Only a superuser can forbid it; elsewhere it takes the rights of its own role away. */
const REFUSED_BY_SUPERUSER = ["drop owned by current_user", "drop owned by anon, authenticated, service_role"];

platformTest("what a request leaves in a session is gone before the next one", async (platform, step) => {
  const { insert, rpc } = await poisonAll(platform, step, [...POISONS, ...REFUSED_BY_SUPERUSER]);

  await step("nobody can guess what random() gives another", async () => {
    await definePoison(platform, "perform setseed(0.5)");
    await insert("anon", "hooks");
    const first = (await rpc("anon", "dice")).body;
    await insert("anon", "hooks");
    assert.notEqual((await rpc("anon", "dice")).body, first);
  });

  await step("a role that altered itself logs in again, and the audit log says so", async () => {
    for (const damage of ["password 'x'", "set search_path = 'nowhere'", "set local_preload_libraries = 'nowhere'"]) {
      await definePoison(platform, `set role none; alter role current_user ${damage}`);
      await insert("anon", "hooks");
      await sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'fluxbase-tables'`
        .execute(platform.appDb);
      await eventually(async () => (await rpc("anon", "pid")).status === 200);
    }
    await eventually(async () => {
      const { body } = await platform.api("GET", "/admin/audit-log?action=repair%20role");
      const reasons = body.filter((entry: { target: string }) => entry.target.startsWith("fluxbase_anon_"))
        .map((entry: { reason: string }) => entry.reason).join("\n");
      return ["its password was changed", "search_path=nowhere", "could not log in"].every((one) =>
        reasons.includes(one)
      );
    });
  });

  await step("a trigger that runs at the end of a transaction ends in time, too", async () => {
    await definePoison(platform, "perform pg_sleep(300)");
    assert.notEqual((await insert("anon", "late")).status, 201);
  });
}, { FLUXBASE_DATABASE_TABLE_CONNECTIONS: "1", FLUXBASE_LIMITS_TABLE_STATEMENT_MS: "2000" });

postgresTest("the same where SQL can look up what is prepared", async (postgres, step) => {
  const url = postgres.url.reveal();
  await administer(url, "create role owner login createdb createrole bypassrls password 'x'");
  await administer(url, "create database owner owner owner");
  // What else is emptied does not depend on who the server is.
  const poisons = POISONS.filter((poison) => /prepare|deallocate/.test(poison));
  await withTestPlatform(async (platform) => void await poisonAll(platform, step, poisons), {
    DATABASE_URL: Object.assign(new URL(url), { username: "owner", password: "x", pathname: "/owner" }).href,
    FLUXBASE_DATABASE_TABLE_CONNECTIONS: "1",
  });
});

type Step = (name: string, work: () => Promise<void>) => Promise<unknown>;
const CALLERS = ["anon", "a", "b", "service"] as const;
type CallerName = typeof CALLERS[number];
/** Whose rights a poison has, and who fires it. */
const WAYS: readonly (readonly [string, readonly CallerName[]])[] = [
  ["invoker", ["anon", "a", "service"]],
  ["definer", ["anon"]],
];

interface Requests {
  insert(caller: CallerName, table: string): Promise<Answer>;
  rpc(caller: CallerName, name: string): Promise<Answer>;
}

async function requestsOf({ url, anonKey, serviceKey, api }: TestPlatform): Promise<Requests> {
  const signUp = async (name: string): Promise<string> => {
    const credentials = { email: `${name}@example.com`, password: "a long password" };
    return (await api("POST", "/auth/signup", credentials, null)).body.access_token;
  };
  const keys = { anon: anonKey, a: await signUp("a"), b: await signUp("b"), service: serviceKey };
  const post = async (caller: CallerName, path: string, body: unknown): Promise<Answer> => {
    const response = await fetch(`${url}/rest/v1${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${keys[caller]}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
  };
  return {
    insert: (caller, table) => post(caller, `/${table}`, { id: 1 }),
    rpc: (caller, name) => post(caller, `/rpc/${name}`, {}),
  };
}

async function poisonAll(platform: TestPlatform, step: Step, poisons: readonly string[]): Promise<Requests> {
  await sql.raw(SETUP).execute(platform.appDb);
  const requests = await requestsOf(platform);
  const { insert, rpc } = requests;
  await eventually(async () => (await rpc("service", "witness")).status === 200);
  const witness = () =>
    Promise.all(CALLERS.map(async (caller) => {
      const { status, body } = await rpc(caller, "witness");
      assert.equal(status, 200, JSON.stringify(body));
      return body;
    }));
  await definePoison(platform, "null");
  await eventually(async () => (await rpc("service", "poison")).status === 204);
  const before = await witness();
  assert.deepEqual(before.map(({ who, notes }) => [who, notes]), [
    ["anon", ["of nobody"]],
    ["authenticated", ["of A"]],
    ["authenticated", ["of B"]],
    ["service_role", ["of A", "of B", "of nobody"]],
  ]);
  for (const poison of poisons) {
    await step(poison.replaceAll(/\s+/g, " "), async () => {
      for (const [security, callers] of WAYS) {
        await definePoison(platform, poison, security);
        for (const caller of callers) {
          // What the poison itself may do, and what is answered to it, is another matter.
          for (const table of ["hooks", "late"]) await insert(caller, table);
          await rpc(caller, "poison");
          assert.deepEqual(await witness(), before, `after ${caller}, security ${security}`);
        }
      }
    });
  }
  return requests;
}

/** As the functions of `default` would: with their rights where it is a definer's. */
async function definePoison({ api }: TestPlatform, poison: string, security = "invoker"): Promise<void> {
  const body = poison.startsWith("declare") ? poison : `begin ${poison}; end`;
  const { status, body: answer } = await api("POST", "/admin/database/query", {
    sql: `create or replace function public.poison() returns void language plpgsql security ${security}
      as $poison$ ${body} $poison$`,
  });
  assert.equal(status, 200, JSON.stringify(answer));
}

/**
 * Rows of the user's tables over HTTP: the grammar, changes, who sees what, and what must not work.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createClient } from "@fluxbase/sdk";
import fc from "fast-check";
import { sql } from "kysely";
import { eventually, platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

const SCHEMA = `
  create table public.teams (id int primary key, name text not null unique);
  create table public.users (
    id serial primary key, name text not null, age int, email text unique, tags text[] not null default '{}',
    data jsonb not null default '{}', team_id int references public.teams (id), born date, big bigint
  );
  create table public.skills (id int primary key, title text not null);
  create table public.user_skills (
    user_id int references public.users (id) on delete cascade, skill_id int references public.skills (id),
    primary key (user_id, skill_id)
  );
  insert into public.teams values (1, 'red'), (2, 'blue');
  insert into public.users (name, age, email, tags, data, team_id, born) values
    ('Ada', 36, 'ada@example.com', '{math,code}', '{"city": "London", "pets": [{"name": "Rex"}]}', 1, '1815-12-10'),
    ('Bob', 20, 'bob@example.com', '{music}', '{"city": "Paris"}', 1, '2004-01-01'),
    ('Cid, the "third"', null, null, '{}', '{}', 2, null);
  insert into public.skills values (1, 'chess'), (2, 'go');
  insert into public.user_skills values (1, 1), (1, 2), (2, 2);
  create function public.add(a int, b int default 1) returns int language sql immutable as 'select a + b';
  create function public.adults(minimum int) returns setof public.users language sql stable as
    'select * from public.users where age >= minimum';
  create function public.rename(who int, new_name text) returns void language sql as
    'update public.users set name = new_name where id = who';
`;

interface Row {
  readonly status: number;
  // deno-lint-ignore no-explicit-any -- tests look into answers freely
  readonly body: any;
  readonly headers: Headers;
}

function restOf(platform: TestPlatform, key = platform.serviceKey) {
  return async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Row> => {
    const response = await fetch(`${platform.url}/rest/v1${path}`, {
      method,
      headers: { apikey: key, authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
  };
}

platformTest("tables over HTTP", async (platform, step) => {
  await sql.raw(SCHEMA).execute(platform.appDb);
  const rest = restOf(platform);
  await eventually(async () => (await rest("GET", "/user_skills?limit=0")).status === 200);
  const names = async (query: string) => {
    const { status, body } = await rest("GET", `/users?select=name&${query}`);
    assert.equal(status, 200, `${query}: ${JSON.stringify(body)}`);
    return body.map(({ name }: { name: string }) => name.slice(0, 3)).join();
  };

  await step("filters", async () => {
    const cases: [string, string][] = [
      ["age=eq.36", "Ada"],
      ["age=neq.36", "Bob"],
      ["age=gt.20", "Ada"],
      ["age=gte.20&order=id", "Ada,Bob"],
      ["age=lt.36", "Bob"],
      ["age=is.null", "Cid"],
      ["age=not.is.null&order=id", "Ada,Bob"],
      ["name=like.A*", "Ada"],
      ["name=ilike.b*", "Bob"],
      ["name=match.^A", "Ada"],
      ["name=imatch.^b", "Bob"],
      ["id=in.(1,2)&order=id", "Ada,Bob"],
      [`name=in.("Cid, the \\"third\\"",Ada)&order=id`, "Ada,Cid"],
      ["id=in.()", ""],
      ["tags=cs.{math}", "Ada"],
      ["tags=cd.{math,code,music}&order=id", "Ada,Bob,Cid"],
      ["tags=ov.{music,code}&order=id", "Ada,Bob"],
      ["data->>city=eq.Paris", "Bob"],
      [`data=cs.{"city":"London"}`, "Ada"],
      ["data->pets->0->>name=eq.Rex", "Ada"],
      ["or=(age.lt.30,name.eq.Ada)&order=id", "Ada,Bob"],
      ["or=(age.is.null,and(age.gte.20,not.or(name.eq.Bob,name.eq.x)))&order=id", "Ada,Cid"],
      [`or=(name.eq."Cid, the \\"third\\"",id.in.(2))&order=id`, "Bob,Cid"],
      ["not.and=(age.eq.36,name.eq.Ada)&order=id", "Bob,Cid"],
      ["name=fts.ada", "Ada"],
      ["name=plfts(english).ada", "Ada"],
      ["age=isdistinct.36&order=id", "Bob,Cid"],
      ["order=age.desc.nullslast", "Ada,Bob,Cid"],
      ["order=age.desc", "Cid,Ada,Bob"],
      ["order=data->>city.desc.nullslast,id", "Bob,Ada,Cid"],
      ["order=id&limit=1&offset=1", "Bob"],
    ];
    for (const [query, expected] of cases) assert.equal(await names(encodeURI(query)), expected, query);
  });

  await step("columns, aliases, casts, JSON paths, embedded tables", async () => {
    const get = async (query: string) => (await rest("GET", `/users?${encodeURI(query)}`)).body;
    assert.deepEqual(await get("select=n:name,age::text,data->>city,first:data->pets->0->>name&id=eq.1"), [
      { n: "Ada", age: "36", city: "London", first: "Rex" },
    ]);
    assert.deepEqual(await get("select=name,teams(name)&id=eq.1"), [{ name: "Ada", teams: { name: "red" } }]);
    assert.deepEqual(await get("select=name,team:teams(id,name)&id=lte.2&team.name=eq.blue&order=id"), [
      { name: "Ada", team: null },
      { name: "Bob", team: null },
    ]);
    assert.deepEqual(await get("select=id,teams!inner(name)&teams.name=eq.blue"), [{ id: 3, teams: { name: "blue" } }]);
    assert.deepEqual(await get("select=id,skills(title)&order=id&skills.order=title.desc"), [
      { id: 1, skills: [{ title: "go" }, { title: "chess" }] },
      { id: 2, skills: [{ title: "go" }] },
      { id: 3, skills: [] },
    ]);
    const { body: teams } = await rest("GET", "/teams?select=name,users(name)&order=id&users.limit=1&users.order=id");
    assert.deepEqual(teams[0], { name: "red", users: [{ name: "Ada" }] });
    assert.deepEqual((await get("id=eq.1"))[0].tags, ["math", "code"]);
  });

  await step("pages and counts", async () => {
    const counted = await rest("GET", "/users?select=id&limit=2&order=id", undefined, { prefer: "count=exact" });
    assert.deepEqual([counted.status, counted.headers.get("content-range")], [206, "0-1/3"]);
    const ranged = await rest("GET", "/users?select=id&order=id", undefined, { range: "1-2" });
    assert.deepEqual([ranged.body.length, ranged.headers.get("content-range")], [2, "1-2/*"]);
    const beyond = await rest("GET", "/users?offset=10", undefined, { prefer: "count=exact" });
    assert.deepEqual([beyond.status, beyond.body.code], [416, "PGRST103"]);
    const head = await rest("HEAD", "/users?count=exact");
    assert.deepEqual([head.status, head.headers.get("content-range"), head.body], [200, "0-2/3", undefined]);
    assert.match((await rest("GET", "/users?count=planned")).headers.get("content-range") ?? "", /^0-2\/\d+$/);
    const one = { accept: "application/vnd.pgrst.object+json" };
    assert.equal((await rest("GET", "/users?id=eq.1", undefined, one)).body.name, "Ada");
    const many = await rest("GET", "/users", undefined, one);
    assert.deepEqual([many.status, many.body.code], [406, "PGRST116"]);
  });

  await step("inserting, changing, deleting", async () => {
    const returning = { prefer: "return=representation" };
    assert.deepEqual((await rest("POST", "/teams", { id: 3, name: "green" })).status, 201);
    const made = await rest(
      "POST",
      "/users?select=id,big",
      [{ name: "Dan", big: 1 }, { name: "Eve", big: 2 }],
      returning,
    );
    assert.deepEqual([made.status, made.body.length], [201, 2]);
    const exact = await rest("POST", "/users?select=big::text", `{"name":"Fay","big":9007199254740993}`, returning);
    assert.equal(exact.body[0].big, "9007199254740993");
    const merged = await rest("POST", "/teams", [{ id: 3, name: "lime" }, { id: 4, name: "grey" }], {
      prefer: "resolution=merge-duplicates,return=representation",
    });
    assert.deepEqual(merged.body.map(({ name }: { name: string }) => name), ["lime", "grey"]);
    const ignored = await rest("POST", "/teams?on_conflict=name", { id: 9, name: "lime" }, {
      prefer: "resolution=ignore-duplicates,return=representation",
    });
    assert.deepEqual(ignored.body, []);
    const patched = await rest(
      "PATCH",
      "/users?name=eq.Dan&select=name,team:teams(name)",
      { team_id: 3, age: 5 },
      returning,
    );
    assert.deepEqual([patched.status, patched.body], [200, [{ name: "Dan", team: { name: "lime" } }]]);
    assert.equal((await rest("PATCH", "/users?name=eq.Dan", { age: 6 })).status, 204);
    for (const method of ["PATCH", "DELETE"]) {
      const refused = await rest(method, "/users", method === "PATCH" ? { age: 1 } : undefined);
      assert.equal(refused.status, 400);
      assert.match(refused.body.error, /say which rows/);
    }
    const undone = await rest("DELETE", "/users?id=gt.3", undefined, { prefer: "tx=rollback,return=representation" });
    assert.equal(undone.body.length, 3);
    const deleted = await rest("DELETE", "/users?id=gt.3", undefined, returning);
    assert.equal(deleted.body.length, 3);
    assert.equal(await names("id=gt.3"), "");
  });

  await step("functions of SQL", async () => {
    assert.equal((await rest("POST", "/rpc/add", { a: 2, b: 3 })).body, 5);
    assert.equal((await rest("GET", "/rpc/add?a=2")).body, 3);
    const adults = await rest("POST", "/rpc/adults?select=name&order=name&age=lt.100", { minimum: 21 });
    assert.deepEqual(adults.body, [{ name: "Ada" }]);
    assert.equal((await rest("POST", "/rpc/rename", { who: 2, new_name: "Rob" })).status, 204);
    assert.equal((await rest("GET", "/rpc/rename?who=2&new_name=x")).status, 405);
    assert.equal((await rest("POST", "/rpc/rename", { who: 2, new_name: "Bob" })).status, 204);
    const wrong = await rest("POST", "/rpc/add", { c: 1 });
    assert.deepEqual([wrong.status, wrong.body.code, wrong.body.hint], [404, "PGRST202", "There is add(a, b)"]);
  });

  await step("what goes wrong says so, with the SQLSTATE", async () => {
    const cases: [string, string, unknown, number, string][] = [
      ["GET", "/nothing", undefined, 404, "PGRST205"],
      ["GET", "/users?nothing=eq.1", undefined, 400, "42703"],
      ["GET", "/users?age=eq.old", undefined, 400, "22P02"],
      ["GET", "/users?age=almost.1", undefined, 400, "PGRST100"],
      ["GET", "/users?select=name(", undefined, 400, "PGRST100"],
      ["GET", "/users?select=nothing(id)", undefined, 400, "PGRST200"],
      ["GET", "/users?teams.id=eq.1", undefined, 400, "PGRST108"],
      ["GET", "/users?order=name.up", undefined, 400, "PGRST100"],
      ["GET", "/users?limit=-1", undefined, 400, "PGRST100"],
      ["GET", "/users?select=age.median()", undefined, 400, "PGRST100"],
      ["POST", "/teams", { id: 1, name: "again" }, 409, "23505"],
      ["POST", "/users", { name: "x", team_id: 99 }, 409, "23503"],
      ["POST", "/users", { age: 1 }, 400, "23502"],
      ["POST", "/users", { name: "x", nothing: 1 }, 400, "42703"],
      ["POST", "/users", "{", 400, "PGRST102"],
      ["POST", "/users", [{ name: "a" }, { age: 1 }], 400, "PGRST102"],
    ];
    for (const [method, path, body, status, code] of cases) {
      const answer = await rest(method, path, body);
      assert.deepEqual(
        [answer.status, answer.body.code],
        [status, code],
        `${method} ${path} ${JSON.stringify(answer.body)}`,
      );
      assert.deepEqual([typeof answer.body.error, answer.body.message], ["string", answer.body.error]);
    }
    const secret = await rest("GET", "/keys", undefined, { "accept-profile": "fluxbase" });
    assert.deepEqual([secret.status, secret.body.code], [406, "PGRST106"]);
  });

  await step("queries as the SDK of the system sends them, below /api/v1/tables", async () => {
    const { api } = platform;
    await sql.raw(`create table public.tagged (id int primary key, tags text[]);
      insert into public.tagged values (1, '{red}'), (2, '{red,blue}'), (3, '{green}');
      grant all on public.tagged to service_role;`).execute(platform.appDb);
    const many = Array.from({ length: 1_000 }, (_, index) => index + 1);
    const asked = await api("POST", "/tables/users/query", {
      select: "name",
      filters: [{ column: "id", operator: "in", value: many }],
      orFilters: ["name.eq.Ada,name.eq.Bob", "age.gt.1,age.is.null"],
      andFilters: ["id.gt.0,id.lt.100"],
      betweenFilters: [{ column: "id", min: 1, max: 3, negated: false }, {
        column: "id",
        min: 50,
        max: 60,
        negated: true,
      }],
      order: [{ column: "name", direction: "desc", nulls: "last" }],
      limit: 10,
      offset: 0,
      count: "exact",
    });
    assert.deepEqual([asked.status, asked.body], [200, [{ name: "Bob" }, { name: "Ada" }]]);
    assert.equal(asked.headers.get("content-range"), "0-1/2");
    const groups = await api("POST", "/tables/users/query", {
      select: "count(*)",
      filters: [{ column: "id", operator: "lte", value: 2 }],
      groupBy: ["name"],
      order: [{ column: "name", direction: "asc" }],
    });
    assert.deepEqual(groups.body, [{ name: "Ada", count: 1 }, { name: "Bob", count: 1 }]);
    const sums = await api("GET", "/tables/users?select=sum(id)&id=lte.3");
    assert.deepEqual(sums.body, [{ sum_id: 6 }]);
    const total = await api("GET", "/tables/users?select=count(*)&id=lte.2");
    assert.deepEqual(total.body, [{ count: 2 }]);
    assert.deepEqual((await api("POST", "/tables/users/query", { filter: [] })).status, 400);
    assert.deepEqual((await api("POST", "/tables/users/query", { betweenFilters: [{ column: "id" }] })).status, 400);

    const beyond = await api("GET", "/tables/users?offset=1000&count=exact");
    assert.deepEqual([beyond.status, beyond.body], [200, []]);
    const different = await api("POST", "/tables/teams", [{ id: 21, name: "a" }, { name: "b", id: 22 }]);
    assert.deepEqual([different.status, different.body.length], [201, 2]);
    const mixed = await api("POST", "/tables/users?select=name,age", [{ name: "Xia" }, { name: "Yan", age: 5 }]);
    assert.deepEqual([mixed.status, mixed.body.length, mixed.body[1]], [201, 2, { name: "Yan", age: 5 }]);
    await api("DELETE", "/tables/users?name=in.(Xia,Yan)");
    const ignoring = async (rows: unknown) => {
      const response = await fetch(`${platform.url}/api/v1/tables/teams?on_conflict=id`, {
        method: "POST",
        headers: { authorization: `Bearer ${platform.serviceKey}`, prefer: "resolution=ignore-duplicates" },
        body: JSON.stringify(rows),
      });
      return [response.status, await response.json()];
    };
    assert.deepEqual(await ignoring([{ id: 21, name: "c" }, { id: 23, name: "d" }]), [201, [{ id: 23, name: "d" }]]);
    assert.deepEqual(await ignoring({ id: 21, name: "c" }), [201, null]);
    assert.deepEqual(await ignoring({ id: 24, name: "e" }), [201, { id: 24, name: "e" }]);
    const skilled = async (filter: string) =>
      (await rest("GET", `/tagged?select=id&order=id&${filter}`)).body.map(({ id }: { id: number }) => id);
    assert.deepEqual(await skilled("tags=cs.(red)"), [1, 2]);
    assert.deepEqual(await skilled('tags=ov.("blue","green")'), [2, 3]);
    assert.deepEqual(await skilled("or=(tags.cs.(red,blue),id.eq.3)"), [2, 3]);
    await api("DELETE", "/tables/teams?id=gt.20");
  });

  await step("below /api/v1/tables, and a query as a body", async () => {
    const { api } = platform;
    assert.equal((await api("GET", "/tables/users?select=name&id=eq.1")).body[0].name, "Ada");
    assert.equal((await api("GET", "/tables/public/users?id=eq.1")).body[0].name, "Ada");
    assert.equal((await api("GET", "/tables/users/1")).body.name, "Ada");
    assert.equal((await api("GET", "/tables/public/users/1?select=name")).body.name, "Ada");
    assert.equal((await api("GET", "/tables/users/999")).status, 404);
    assert.deepEqual((await api("POST", "/tables/teams", { id: 7, name: "seven" })).body, { id: 7, name: "seven" });
    assert.deepEqual((await api("POST", "/tables/teams", [{ id: 8, name: "eight" }])).body, [{ id: 8, name: "eight" }]);
    assert.deepEqual((await api("PATCH", "/tables/teams/7", { name: "sept" })).body, { id: 7, name: "sept" });
    assert.equal((await api("DELETE", "/tables/teams/7")).status, 200);
    assert.equal((await api("DELETE", "/tables/teams/7")).status, 404);
    const asked = await api("POST", "/tables/users/query", {
      select: "name",
      filters: [{ column: "age", operator: "gte", value: 20 }, { column: "id", operator: "in", value: [1, 2] }],
      order: "name.desc",
      limit: 5,
    });
    assert.deepEqual(asked.body, [{ name: "Bob" }, { name: "Ada" }]);
    assert.equal((await api("POST", "/rpc/add", { a: 1 })).body, 2);
  });

  await step("the SDK's query builder", async () => {
    const client = createClient(platform.url, platform.serviceKey);
    const { data, error } = await client
      .from("users")
      .select("*")
      .eq("id", 1)
      .execute();
    assert.deepEqual([data?.[0]?.name, error], ["Ada", null]);
    const { data: some, count } = await client.from("users").select("name", { count: "exact" }).in("name", [
      "Ada",
      'Cid, the "third"',
    ]).order("id");
    assert.deepEqual([some?.length, count], [2, 2]);
    assert.equal(
      (await client.from("users").select().or("age.eq.36,age.eq.20").contains("tags", ["music"]).single()).data?.name,
      "Bob",
    );
    assert.equal((await client.from("users").select().eq("id", 99).maybeSingle()).data, null);
    const missing = await client.from("users").select().eq("id", 99).single();
    assert.deepEqual([missing.data, missing.error?.code, missing.status], [null, "PGRST116", 406]);
    const inserted = await client.from("teams").insert({ id: 20, name: "twenty" });
    assert.deepEqual([inserted.data, inserted.error, inserted.status], [null, null, 201]);
    assert.deepEqual((await client.from("teams").upsert({ id: 20, name: "XX" }).select()).data, [{
      id: 20,
      name: "XX",
    }]);
    assert.deepEqual((await client.from("teams").update({ name: "20" }).eq("id", 20).select("name").single()).data, {
      name: "20",
    });
    assert.equal((await client.from("teams").delete().eq("id", 20)).status, 204);
    assert.equal((await client.rpc("add", { a: 40, b: 2 })).data, 42);
    await assert.rejects(client.from("nothing").select().throwOnError().execute(), { code: "PGRST205", status: 404 });
  });

  await step("the guide's function, which queries the database", async () => {
    await platform.deploy(
      "queries",
      `import { createClient } from "@fluxbase/sdk";
async function handler(req) {
// Create a service client with elevated permissions
const client = createClient(
Deno.env.get("FLUXBASE_BASE_URL")!,
Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY")!,
);
// Query the database
const { data, error } = await client
.from("users")
.select("*")
.eq("id", req.params.id)
.execute();
if (error) {
return {
status: 500,
body: JSON.stringify({ error: error.message }),
};
}
return {
status: 200,
headers: { "Content-Type": "application/json" },
body: JSON.stringify(data),
};
}`,
    );
    const rows = await (await platform.call("queries/invoke?id=2")).json();
    assert.deepEqual(rows.map(({ name }: { name: string }) => name), ["Bob"]);
    const failed = await platform.call("queries/invoke?id=x");
    assert.deepEqual([failed.status, (await failed.json()).error], [500, 'invalid input syntax for type integer: "x"']);
  });

  await step("a change to the schema is followed within a second", async () => {
    await sql.raw("create table public.later (id int); alter table public.teams add column motto text").execute(
      platform.appDb,
    );
    const startedMs = performance.now();
    await eventually(async () =>
      (await rest("GET", "/later")).status === 200 && (await rest("GET", "/teams?select=motto")).status === 200
    );
    assert.ok(performance.now() - startedMs < 5_000);
    await sql.raw("drop table public.later").execute(platform.appDb);
    await eventually(async () => (await rest("GET", "/later")).status === 404);
  });
});

platformTest("SQL of an admin", async (platform, step) => {
  const run = (statement: string, parameters?: unknown[], key = platform.serviceKey) =>
    platform.api("POST", "/admin/database/query", {
      sql: statement,
      ...(parameters === undefined ? {} : { parameters }),
    }, key);
  const rest = restOf(platform);

  await step("makes a table, which is served at once, and reads it", async () => {
    const made = await run(
      "create table notes (id serial primary key, text text); insert into notes (text) values ('a')",
    );
    assert.deepEqual([made.status, made.body.command, made.body.row_count], [200, "INSERT", 1]);
    const read = await run("select id, text from notes where text = $1", ["a"]);
    assert.deepEqual(read.body, {
      command: "SELECT",
      row_count: 1,
      columns: ["id", "text"],
      rows: [{ id: 1, text: "a" }],
    });
    await eventually(async () => (await rest("GET", "/notes")).status === 200);
    assert.equal((await rest("POST", "/notes", { text: "b" })).status, 201);
    assert.equal((await restOf(platform, platform.anonKey)("GET", "/notes")).status, 401);
    await run("grant select on notes to anon");
    assert.equal((await restOf(platform, platform.anonKey)("GET", "/notes")).body.length, 2);
  });

  await step("is no way to the platform's own tables, nor to other roles", async () => {
    for (
      const [statement, code] of [
        ["select * from fluxbase.keys", "42501"],
        ["set role postgres", "42501"],
        ["alter role fluxbase_x superuser", "42704"],
        ["copy notes to '/tmp/x'", "42501"],
        ["create extension plpython3u", "42501"],
        ["select pg_read_file('/etc/passwd')", "42501"],
      ] as const
    ) {
      const { status, body } = await run(statement);
      assert.ok(status >= 400, statement);
      assert.equal(body.code, code, `${statement}: ${body.error}`);
    }
    assert.equal((await run("select 1", undefined, platform.anonKey)).status, 403);
    assert.equal((await platform.api("POST", "/admin/database/query", { query: "x" })).status, 400);
    const wrong = await run("selekt 1");
    assert.deepEqual([wrong.status, wrong.body.code], [400, "42601"]);
  });
});

platformTest("who sees which rows", async (platform, step) => {
  await sql.raw(`
    create table public.notes (id serial primary key, owner uuid not null, text text not null, shared boolean not null default false);
    alter table public.notes enable row level security;
    grant select, insert, update, delete on public.notes to authenticated;
    grant usage on sequence public.notes_id_seq to authenticated;
    grant select on public.notes to anon;
    create policy own on public.notes to authenticated
      using (owner = (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid)
      with check (owner = (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid);
    create policy shared on public.notes for select to anon using (shared);
    create table public.closed (id int);
    create function public.who() returns text language sql stable as 'select current_user::text';
    create function public.climb() returns text language plpgsql as $$
      begin reset role; set role postgres; return current_user; end $$;
  `).execute(platform.appDb);
  const signUp = async (name: string) => {
    const { body } = await platform.api("POST", "/auth/signup", {
      email: `${name}@example.com`,
      password: "a long password",
    });
    return { id: body.user.id, rest: restOf(platform, body.access_token) };
  };
  const [ada, bob] = [await signUp("ada"), await signUp("bob")];
  const [anon, service] = [restOf(platform, platform.anonKey), restOf(platform)];
  await eventually(async () => (await service("GET", "/notes")).status === 200);

  await step("each user their own; anybody what is shared; the service role everything", async () => {
    for (const [user, text, shared] of [[ada, "a", true], [ada, "aa", false], [bob, "b", false]] as const) {
      assert.equal((await user.rest("POST", "/notes", { owner: user.id, text, shared })).status, 201);
    }
    const seen = async (rest: typeof service) =>
      (await rest("GET", "/notes?order=id")).body.map(({ text }: { text: string }) => text).join();
    assert.deepEqual([await seen(ada.rest), await seen(bob.rest), await seen(anon), await seen(service)], [
      "a,aa",
      "b",
      "a",
      "a,aa,b",
    ]);
    const forged = await bob.rest("POST", "/notes", { owner: ada.id, text: "x" });
    assert.deepEqual([forged.status, forged.body.code], [403, "42501"]);
    const stolen = await bob.rest("PATCH", "/notes?text=eq.a", { text: "mine" }, { prefer: "return=representation" });
    assert.deepEqual(stolen.body, []);
    const unknown = await anon("DELETE", "/notes?id=eq.1");
    assert.deepEqual([unknown.status, unknown.body.code], [401, "42501"]);
  });

  await step("a table is closed until its owner opens it", async () => {
    for (const [rest, status] of [[ada.rest, 403], [anon, 401], [service, 200]] as const) {
      assert.equal((await rest("GET", "/closed")).status, status);
    }
    assert.match((await ada.rest("GET", "/closed")).body.hint, /GRANT SELECT ON closed TO authenticated/);
    const response = await fetch(`${platform.url}/rest/v1/notes`);
    assert.equal(response.status, 401);
    await response.body?.cancel();
  });

  await step("what the owner has taken away stays away when a server starts", async () => {
    await sql.raw("revoke select on public.closed from service_role").execute(platform.appDb);
    await withTestPlatform(async (other) => {
      const answer = await restOf(other)("GET", "/closed");
      assert.deepEqual([answer.status, answer.body.code], [403, "42501"]);
    }, { DATABASE_URL: platform.databaseUrl.reveal() });
  });

  await step("keys need the scope, and are who they belong to", async () => {
    const make = async (fields: object) =>
      restOf(platform, (await platform.api("POST", "/client-keys", { name: "k", ...fields })).body.key);
    const blind = await make({ scopes: ["functions:*"] });
    assert.equal((await blind("GET", "/notes")).status, 403);
    const reads = await make({ scopes: ["tables:read"], user_id: ada.id });
    assert.equal((await reads("GET", "/notes")).body.length, 2);
    assert.equal((await reads("POST", "/notes", { owner: ada.id, text: "x" })).status, 403);
    const nobody = await make({ scopes: ["tables:*"] });
    assert.equal((await nobody("GET", "/notes")).body.length, 1);
  });

  await step("no function of SQL climbs to another role", async () => {
    assert.equal((await anon("GET", "/rpc/who")).body, "anon");
    assert.equal((await ada.rest("POST", "/rpc/who")).body, "authenticated");
    const climbed = await anon("POST", "/rpc/climb");
    assert.match(climbed.body.error, /permission denied to set role/);
    assert.equal((await anon("GET", "/rpc/who")).body, "anon");
  });
});

Deno.test("no part of a query reaches the statement as it is", async () => {
  const { parseTableQuery } = await import("../src/tables/grammar.ts");
  const { TableError } = await import("../src/tables/table_error.ts");
  const piece = fc.oneof(
    fc.constantFrom(
      "eq.",
      "in.(",
      ")",
      "(",
      ",",
      '"',
      "'",
      "--",
      ";",
      "not.",
      "or=",
      "->",
      "->>",
      "::",
      "!",
      "*",
      ".",
      "id",
      "name",
      "{",
      "}",
      "\\",
      " ",
    ),
    fc.string({ maxLength: 8 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(
          fc.oneof(
            fc.constantFrom("select", "order", "or", "and", "limit", "on_conflict", "columns", "id"),
            fc.string({ maxLength: 8 }),
          ),
          fc.array(piece, { maxLength: 10 }),
        ),
        { maxLength: 4 },
      ),
      (parts) => {
        const params = new URLSearchParams(parts.map(([name, value]) => [name, value.join("")]));
        try {
          parseTableQuery(params);
        } catch (error) {
          assert.ok(error instanceof TableError, String(error));
        }
        return Promise.resolve();
      },
    ),
    { numRuns: 3_000 },
  );
});

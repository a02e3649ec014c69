/**
 * What hostile queries make of a statement, and what random policies let through.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type RawBuilder, sql } from "kysely";
import type { ColumnRow } from "../src/storage/user_schema.ts";
import { parseTableQuery } from "../src/tables/grammar.ts";
import type { Relation, Relationship } from "../src/tables/schema_cache.ts";
import { SETTINGS_OF_ROLE } from "../src/storage/role_session.ts";
import { EMPTYING } from "../src/tables/batch.ts";
import { BEGINNING, compile } from "../src/tables/sessions.ts";
import { deleteStatement, insertStatement, readStatement, updateStatement } from "../src/tables/statement.ts";
import { TableError } from "../src/tables/table_error.ts";
import { eventually, platformTest } from "./support/platform.ts";

const COLUMN_TYPES = { id: "integer", name: "text", data: "jsonb", tags: "text[]", team_id: "integer" };

function relationOf(name: string, relationships: Relationship[]): Relation {
  const columns = Object.entries(COLUMN_TYPES).map(([column, type]): [string, ColumnRow] => [column, {
    name: column,
    place: 0,
    type,
    isJson: type === "jsonb",
    isArray: type === "text[]",
    defaultText: null,
    isDefaultLong: false,
    values: null,
  }]);
  return {
    schema: "public",
    name,
    kind: "table",
    columns: new Map(columns),
    computed: new Map(),
    primaryKey: ["id"],
    relationships,
  };
}

const ofUsers: Relationship[] = [];
const users = relationOf("users", ofUsers);
ofUsers.push({
  name: "users_team_fkey",
  to: relationOf("teams", []),
  isMany: false,
  pairs: [{ from: "team_id", to: "id" }],
  through: null,
  ownColumns: ["team_id"],
  call: null,
});

/** Everything that a statement may be made of besides names in quotes and parameters. */
const WORDS = new Set(
  ("select from where and or not as with limit offset order by asc desc nulls first last coalesce pg_catalog json_agg row_to_json count to_jsonb " +
    "null bigint text int json is true false unknown distinct in any like ilike exists insert into update set delete returning on conflict do nothing excluded " +
    "json_populate_recordset json_populate_record to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery regconfig default values " +
    "json_to_record to_json _args lateral _result value explain format case when then else end jsonb_array_elements jsonb_populate_record lateral _given _row all string_agg substr length E " +
    "body page total _row _many _one _changed _new varchar char bpchar int2 int4 int8 integer smallint numeric decimal float4 float8 real bool boolean date " +
    "timestamp timestamptz time timetz interval uuid jsonb bytea inet cidr money").split(" "),
);

/** An alias is a name that the caller may choose: whatever it is, it stands in quotes. */
function assertShape(text: string): void {
  const rest = text.replaceAll(/"(?:[^"]|"")*"/g, " ").replaceAll(/'(\[\]|null)?'/g, " ").replaceAll(/\$\d+/g, " ");
  assert.doesNotMatch(rest, /['";\\]|--|\/\*/, text);
  for (const [word] of rest.matchAll(/[a-z_][a-z0-9_]*/gi)) assert.ok(WORDS.has(word), `${word} in ${text}`);
}

/** What the server says itself. */
const OWN: readonly string[] = [BEGINNING, EMPTYING, SETTINGS_OF_ROLE];

const HOSTILE = [
  `'; drop table users; --`,
  `" ; delete from users; --`,
  `id) or (1=1`,
  `1; select pg_sleep(10)`,
  `$1`,
  `\\'`,
  `"id"`,
  `id"--`,
  `public.users`,
  `pg_catalog.pg_class`,
  `/*`,
  `*/`,
  `\u0000`,
  `ü`,
  `::text`,
  `->'a'`,
  `) returning *; --`,
];
const piece = fc.oneof(
  fc.constantFrom(
    ...HOSTILE,
    "id",
    "name",
    "data",
    "tags",
    "teams",
    "team_id",
    "eq.",
    "in.(",
    "not.",
    "or(",
    "and(",
    "is.null",
    "cs.",
    "fts.",
    "fts(",
    "(",
    ")",
    ",",
    ".",
    ":",
    "::",
    "!",
    "*",
    "->",
    "->>",
    "asc",
    "desc",
    "nullsfirst",
    "{",
    "}",
    "1",
    '"',
  ),
  fc.string({ maxLength: 6 }),
);
const text = fc.array(piece, { maxLength: 8 }).map((parts) => parts.join(""));
const name = fc.oneof(
  fc.constantFrom(
    "select",
    "order",
    "or",
    "and",
    "not.or",
    "on_conflict",
    "columns",
    "limit",
    "offset",
    "id",
    "name",
    "data->>a",
    "teams.id",
    "teams.order",
    "team_id",
  ),
  text,
);
const query = fc.array(
  fc.tuple(
    name,
    fc.oneof(
      text,
      fc.tuple(fc.constantFrom("eq.", "like.", "in.(", "is.", "cs.", "wfts(", "not.gt."), text).map((parts) =>
        parts.join("")
      ),
    ),
  ),
  { maxLength: 4 },
);

/** Whose grammar holds, so that what is hostile in it comes as far as a statement. */
const quoted = text.map((value) => `"${value.replaceAll(/[\\"]/g, "\\$&")}"`);
const plausible = fc.array(
  fc.oneof(
    fc.tuple(
      fc.constantFrom("name", "data->>a", "data->b->>c", "id::text"),
      fc.oneof(text.map((value) => `eq.${value}`), text.map((value) => `not.like.${value}`)),
    ),
    fc.tuple(
      fc.constant("name"),
      fc.array(quoted, { minLength: 1, maxLength: 3 }).map((list) => `in.(${list.join(",")})`),
    ),
    fc.tuple(
      fc.constantFrom("or", "and", "not.or"),
      fc.tuple(quoted, quoted).map(([a, b]) => `(name.eq.${a},data->>x.neq.${b},id.gt.3)`),
    ),
    fc.tuple(text.map((key) => `data->>${key.replaceAll(/[^\w]/g, "")}k`), text.map((value) => `neq.${value}`)),
    fc.tuple(
      fc.constant("select"),
      fc.oneof(quoted.map((alias) => `${alias}:id,name`), quoted.map((key) => `id,data->>${key}`), fc.constant("*")),
    ),
    fc.tuple(
      fc.constant("order"),
      fc.oneof(fc.constantFrom("id.desc", "name.asc.nullsfirst"), quoted.map((key) => `data->>${key}.desc`)),
    ),
    fc.tuple(fc.constant("name"), quoted.map((value) => `like(any).{${value}}`)),
    fc.tuple(fc.constant("tags"), text.map((value) => `cs.{${JSON.stringify(value)}}`)),
    fc.tuple(fc.constantFrom("name"), text.map((value) => `wfts(english).${value}`)),
    fc.tuple(fc.constant("id"), fc.integer().map((value) => `eq.${value}`)),
  ).map(([key, value]): [string, string] => [key, value]),
  { minLength: 1, maxLength: 3 },
);
const row = fc.dictionary(
  fc.oneof(fc.constantFrom("id", "name", "data", "a", "b"), text),
  fc.oneof(fc.string(), fc.integer(), text),
);
const request = fc.record({
  method: fc.constantFrom("GET", "GET", "GET", "POST", "PATCH", "DELETE", "PUT"),
  path: fc.oneof({ weight: 9, arbitrary: fc.constant("/rest/v1/users") }, {
    weight: 1,
    arbitrary: text.map((name) => `/rest/v1/${encodeURIComponent(name)}`),
  }),
  prefer: fc.constantFrom(
    "",
    "return=representation",
    "resolution=merge-duplicates,return=representation",
    "count=exact",
    "tx=rollback",
    "count=estimated",
  ),
}).chain((made) => fc.constantFrom(made, made, made, { ...made, method: "POST", path: "/rest/v1/rpc/echo" }));

const REQUESTS_COUNT = 10_000;
const LANES_COUNT = 20;
const POSTGRES_LOG = Deno.env.get("FLUXBASE_TEST_DATABASE_LOG") ?? "";

Deno.test("whatever a query says, a statement is made of known words, names in quotes, and parameters", () => {
  let madeCount = 0;
  fc.assert(
    fc.property(
      query,
      fc.dictionary(fc.oneof(fc.constantFrom("id", "name", "data"), text), fc.string()),
      (parts, row) => {
        const params = new URLSearchParams(parts);
        const options = {
          duplicates: "merge" as const,
          returnsRows: true,
          missingIsDefault: true,
          format: "json" as const,
        };
        const payload = JSON.stringify(row);
        const makers = [
          () =>
            readStatement(users, parseTableQuery(params), { limit: 10, offset: 0, countsAll: true, format: "json" }),
          () => deleteStatement(users, parseTableQuery(params), options),
          () => updateStatement(users, parseTableQuery(params), { ...options, change: row, payload }),
          () => insertStatement(users, parseTableQuery(params), { ...options, rows: [row], payload: `[${payload}]` }),
        ];
        for (const make of makers) {
          let statement: RawBuilder<unknown>;
          try {
            statement = make();
          } catch (error) {
            assert.ok(error instanceof TableError, String(error));
            continue;
          }
          madeCount += 1;
          assertShape(compile(statement).sql);
        }
      },
    ),
    { numRuns: 10_000 },
  );
  assert.ok(madeCount > 1_000, `only ${madeCount} statements were made`);
});

platformTest("hostile queries and random policies over HTTP", async (platform, step) => {
  await sql.raw(`
    create table public.users (id int primary key, name text, data jsonb, tags text[], team_id int, level int);
    insert into public.users select i, 'name ' || i, '{}', '{}', i % 3, i % 7 from generate_series(1, 60) i;
    alter table public.users enable row level security;
    grant select on public.users to authenticated;
  `).execute(platform.appDb);
  const { body } = await platform.api("POST", "/auth/signup", { email: "a@example.com", password: "a long password" });
  const get = async (path: string, key: string) => {
    const response = await fetch(`${platform.url}/rest/v1/users${path}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    const answered = await response.text();
    return { status: response.status, text: answered };
  };
  await eventually(async () => (await get("?limit=1", platform.serviceKey)).status === 200);

  await step(
    "10,000 hostile requests are answered, never with 500; Postgres' own log has nothing unexpected",
    async () => {
      await sql.raw(`
      create table public.untouched as select i as id from generate_series(1, 60) i;
      create function public.echo(a text, b jsonb default null) returns jsonb language sql stable
        as $$ select jsonb_build_array(a, b) $$;
      grant select, insert, update, delete on public.users to service_role;
    `).execute(platform.appDb);
      const { rows: [database] } = await sql<{ name: string }>`select current_database() as name`.execute(
        platform.appDb,
      );
      await sql.raw(`alter database ${database?.name} set log_statement = 'all'`).execute(platform.appDb);
      const isOurs = sql`datname = current_database() and application_name = 'fluxbase-tables'`;
      await sql`select pg_terminate_backend(pid) from pg_stat_activity where ${isOurs}`.execute(platform.appDb);
      const { size: before } = await Deno.stat(POSTGRES_LOG);
      await eventually(async () => (await get("?limit=1", platform.serviceKey)).status === 200);

      const headers = { authorization: `Bearer ${platform.serviceKey}` };
      const waiting = fc.sample(
        fc.tuple(request, fc.oneof(query, { weight: 3, arbitrary: plausible }), row),
        REQUESTS_COUNT,
      );
      const seen = new Map<number, number>();
      await Promise.all(Array.from({ length: LANES_COUNT }, async () => {
        for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
          const [{ method, path, prefer }, parts, values] = next;
          const url = `${platform.url}${path}?${new URLSearchParams(parts)}`;
          const body = method === "GET" ? null : JSON.stringify(values);
          const response = await fetch(url, { method, headers: { ...headers, prefer }, body });
          const answered = await response.text();
          seen.set(response.status, (seen.get(response.status) ?? 0) + 1);
          assert.ok(response.status < 500 || response.status === 501, `${method} ${url} ${body}: ${answered}`);
        }
      }));
      assert.ok((seen.get(200) ?? 0) > 100, `few were understood: ${JSON.stringify([...seen])}`);
      const { rows } = await sql`select id from public.untouched`.execute(platform.appDb);
      assert.equal(rows.length, 60);

      const { rows: backends } = await sql<{ pid: number }>`select pid from pg_stat_activity where ${isOurs}`
        .execute(platform.appDb);
      const pids = new Set(backends.map(({ pid }) => pid));
      const statements = await loggedStatements(before, pids);
      assert.ok(statements.length > REQUESTS_COUNT / 2, `${statements.length} statements are in the log`);
      for (const statement of new Set(statements)) {
        if (!OWN.includes(statement) && !/^(begin|commit|rollback)$/.test(statement)) {
          assertShape(statement);
        }
      }
    },
  );

  await step("a user sees exactly the rows that their role selects in Postgres", async () => {
    const column = fc.constantFrom("id", "team_id", "level");
    const compared = fc.tuple(
      column,
      fc.constantFrom(["=", "eq"], ["<", "lt"], [">=", "gte"], ["<>", "neq"]),
      fc.integer({ min: 0, max: 60 }),
    );
    const policy = fc.array(compared, { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(
        policy,
        fc.array(compared, { maxLength: 3 }),
        fc.constantFrom("and", "or"),
        async (allowed, filters, joint) => {
          const using = allowed.map(([name, [operator], value]) => `${name} ${operator} ${value}`).join(` ${joint} `);
          await sql.raw(
            `drop policy if exists p on public.users; create policy p on public.users to authenticated using (${using})`,
          ).execute(platform.appDb);
          const params = new URLSearchParams(
            filters.map(([name, [, operator], value]) => [name, `${operator}.${value}`]),
          );
          params.set("select", "id");
          params.set("order", "id");
          const where = filters.map(([name, [operator], value]) => ` and ${name} ${operator} ${value}`).join("");
          const expected = await platform.appDb.transaction().execute(async (trx) => {
            await sql.raw("set local role authenticated").execute(trx);
            return (await sql.raw<{ id: number }>(`select id from public.users where true${where} order by id`).execute(
              trx,
            )).rows;
          });
          const seen = await get(`?${params}`, body.access_token);
          assert.deepEqual(JSON.parse(seen.text), expected.map(({ id }) => ({ id })), `${using} / ${params}`);
        },
      ),
      { numRuns: 150 },
    );
  });
});

/** What these backends ran, from the log of Postgres; an entry's further lines begin with a tab. */
async function loggedStatements(fromByte: number, pids: ReadonlySet<number>): Promise<string[]> {
  const file = await Deno.readFile(POSTGRES_LOG);
  const log = new TextDecoder().decode(file.subarray(fromByte));
  return log.split(/\n(?=\d{4}-\d\d-\d\d )/).flatMap((entry) => {
    const [, pid, text] = /^\S+ \S+ \S+ \[(\d+)\] LOG: {2}(?:statement|execute [^:]+): ([^]*)$/.exec(entry) ?? [];
    return text !== undefined && pids.has(Number(pid)) ? [text.replaceAll("\n\t", "\n").trimEnd()] : [];
  });
}

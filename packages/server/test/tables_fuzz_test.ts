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
import { compile } from "../src/tables/sessions.ts";
import { deleteStatement, insertStatement, readStatement, updateStatement } from "../src/tables/statement.ts";
import { TableError } from "../src/tables/table_error.ts";
import { eventually, platformTest } from "./support/platform.ts";

const COLUMN_TYPES = { id: "integer", name: "text", data: "jsonb", tags: "text[]", team_id: "integer" };

function relationOf(name: string, relationships: Relationship[]): Relation {
  const columns = Object.entries(COLUMN_TYPES).map(([column, type]): [string, ColumnRow] => [column, {
    name: column,
    type,
    isJson: type === "jsonb",
    isArray: type === "text[]",
    isNullable: true,
    hasDefault: false,
    isGenerated: false,
    values: null,
  }]);
  return { schema: "public", name, kind: "table", columns: new Map(columns), primaryKey: ["id"], relationships };
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
});

/** Everything that a statement may be made of besides names in quotes and parameters. */
const WORDS = new Set(
  ("select from where and or not as with limit offset order by asc desc nulls first last coalesce pg_catalog json_agg row_to_json count to_jsonb " +
    "null bigint text int json is true false unknown distinct in any like ilike exists insert into update set delete returning on conflict do nothing excluded " +
    "json_populate_recordset json_populate_record to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery regconfig default values " +
    "body page total _row _many _one _changed _new varchar char bpchar int2 int4 int8 integer smallint numeric decimal float4 float8 real bool boolean date " +
    "timestamp timestamptz time timetz interval uuid jsonb bytea inet cidr money").split(" "),
);

/** An alias is a name that the caller may choose: whatever it is, it stands in quotes. */
function assertShape(statement: RawBuilder<unknown>): void {
  const { sql: text } = compile(statement);
  const rest = text.replaceAll(/"(?:[^"]|"")*"/g, " ").replaceAll(/'\[\]'|''/g, " ").replaceAll(/\$\d+/g, " ");
  assert.doesNotMatch(rest, /['";\\]|--|\/\*/, text);
  for (const [word] of rest.matchAll(/[a-z_][a-z0-9_]*/gi)) assert.ok(WORDS.has(word), `${word} in ${text}`);
}

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

Deno.test("whatever a query says, a statement is made of known words, names in quotes, and parameters", () => {
  let madeCount = 0;
  fc.assert(
    fc.property(
      query,
      fc.dictionary(fc.oneof(fc.constantFrom("id", "name", "data"), text), fc.string()),
      (parts, row) => {
        const params = new URLSearchParams(parts);
        const options = { duplicates: "merge" as const, returnsRows: true, missingIsDefault: false };
        const payload = JSON.stringify(row);
        const makers = [
          () => readStatement(users, parseTableQuery(params), { limit: 10, offset: 0, countsAll: true }),
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
          assertShape(statement);
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
  `).execute(platform.db);
  const { body } = await platform.api("POST", "/auth/signup", { email: "a@example.com", password: "a long password" });
  const get = async (path: string, key: string) => {
    const response = await fetch(`${platform.url}/rest/v1/users${path}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    const answered = await response.text();
    return { status: response.status, text: answered };
  };
  await eventually(async () => (await get("?limit=1", platform.serviceKey)).status === 200);

  await step("hostile queries are answered, never with 500, and change nothing", async () => {
    await fc.assert(
      fc.asyncProperty(query, async (parts) => {
        const { status, text: answered } = await get(`?${new URLSearchParams(parts)}`, platform.serviceKey);
        assert.ok([200, 300, 400, 404, 406, 416, 501].includes(status), `${status} ${answered}`);
      }),
      { numRuns: 1_000 },
    );
    assert.equal(JSON.parse((await get("?select=id", platform.serviceKey)).text).length, 60);
  });

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
          ).execute(platform.db);
          const params = new URLSearchParams(
            filters.map(([name, [, operator], value]) => [name, `${operator}.${value}`]),
          );
          params.set("select", "id");
          params.set("order", "id");
          const where = filters.map(([name, [operator], value]) => ` and ${name} ${operator} ${value}`).join("");
          const expected = await platform.db.transaction().execute(async (trx) => {
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

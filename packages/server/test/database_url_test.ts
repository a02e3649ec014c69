/**
 * Functions that use the database themselves, by DATABASE_URL and a driver of their own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import type { Secret } from "../src/core/secret.ts";
import { createTestDatabase } from "./support/database.ts";
import { platformTest, type TestPlatform, withTestPlatform } from "./support/platform.ts";

platformTest("DATABASE_URL in functions", async (platform, step) => {
  await sql.raw(`create table public.users (id int, name text); insert into public.users values (1, 'Ada'), (2, 'Bob')`)
    .execute(platform.appDb);
  const answer = async (name: string) => {
    const response = await platform.call(name);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text);
  };

  await step("npm:pg", async () => {
    await platform.deploy(
      "with-pg",
      `import pg from "npm:pg@8.16.3";
      async function handler(req) {
        const dbUrl = Deno.env.get("DATABASE_URL");
        const client = new pg.Client(dbUrl);
        await client.connect();
        try {
          const { rows } = await client.query("select name from users where id = $1", [1]);
          await client.query("create table if not exists made (id int)");
          const big = await client.query("select repeat('x', 1000000) as text");
          const denied = await client.query("select * from fluxbase.keys").catch((error) => error.code);
          const { rows: [who] } = await client.query("select session_user::text as name");
          return { rows, big: big.rows[0].text.length, denied, who: who.name.replace(/\\d+/, "…") };
        } finally {
          await client.end();
        }
      }`,
    );
    const expected = { rows: [{ name: "Ada" }], big: 1_000_000, denied: "42501", who: "fluxbase_ns_…_default" };
    assert.deepEqual(await answer("with-pg"), expected);
    assert.deepEqual(await answer("with-pg"), expected);
  });

  await step("npm:postgres", async () => {
    await platform.deploy(
      "with-postgres",
      `import postgres from "npm:postgres@3.4.7";
      const sql = postgres(Deno.env.get("DATABASE_URL"), { max: 2 });
      export default async () => await Promise.all([sql\`select name from users where id = \${2}\`, sql\`select 1 + 1 as two\`]);`,
    );
    assert.deepEqual(await answer("with-postgres"), [[{ name: "Bob" }], [{ two: 2 }]]);
  });

  await step("npm:kysely", async () => {
    await platform.deploy(
      "with-kysely",
      `import { Kysely, PostgresDialect, sql } from "npm:kysely@0.28.2";
      import pg from "npm:pg@8.16.3";
      interface Database { users: { id: number; name: string } }
      const db = new Kysely<Database>({
        dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: Deno.env.get("DATABASE_URL"), max: 3 }) }),
      });
      export default async () => await db.transaction().execute(async (trx) => {
        await trx.insertInto("users").values({ id: 3, name: "Cleo" }).execute();
        const rows = await trx.selectFrom("users").select("name").where("id", ">=", 2).orderBy("id").execute();
        await trx.deleteFrom("users").where("id", "=", 3).execute();
        return { rows, one: (await sql<{ one: number }>\`select 1 as one\`.execute(trx)).rows[0].one };
      });`,
    );
    assert.deepEqual(await answer("with-kysely"), { rows: [{ name: "Bob" }, { name: "Cleo" }], one: 1 });
  });

  await step("the SDK, as the service role and as the caller, who sees what policies let through", async () => {
    await sql.raw(`
      create table public.notes (id int primary key, owner uuid, text text);
      alter table public.notes enable row level security;
      create policy own on public.notes to authenticated
        using (owner = (current_setting('request.jwt.claims')::json ->> 'sub')::uuid);
      grant select on public.notes to authenticated, service_role;
    `).execute(platform.appDb);
    const [ada, bob] = await Promise.all(["ada", "bob"].map(async (name) => {
      const credentials = { email: `${name}@example.com`, password: "a long password" };
      return (await platform.api("POST", "/auth/signup", credentials)).body;
    }));
    await sql`insert into public.notes values (1, ${ada.user.id}, 'of Ada'), (2, ${bob.user.id}, 'of Bob')`
      .execute(platform.appDb);
    await platform.deploy(
      "notes",
      `import { createClient } from "@fluxbase/sdk";
      async function handler(req) {
        const url = Deno.env.get("FLUXBASE_BASE_URL");
        const texts = async (key) => {
          const { data, error } = await createClient(url, key).from("notes").select("text").order("id");
          return error?.code ?? data.map(({ text }) => text);
        };
        return {
          all: await texts(Deno.env.get("FLUXBASE_SERVICE_ROLE_KEY")),
          own: await texts(req.headers["authorization"].slice(7)),
        };
      }`,
    );
    const as = async (token: string) => {
      const response = await platform.call("notes", { headers: { authorization: `Bearer ${token}` } });
      return await response.json();
    };
    const all = ["of Ada", "of Bob"];
    assert.deepEqual(await as(ada.access_token), { all, own: ["of Ada"] });
    assert.deepEqual(await as(bob.access_token), { all, own: ["of Bob"] });
    assert.deepEqual(await as(platform.anonKey), { all, own: "42501" });
  });

  await step("the guide's fetch of a postgres: URL fails with what to use instead", async () => {
    await platform.deploy(
      "nonsense",
      `async function handler(req) {
// Database client is available via env
const dbUrl = Deno.env.get("DATABASE_URL");
// Use pg client or any PostgreSQL library
const result = await fetch(\`\${dbUrl}/users\`);
return {
status: 200,
body: JSON.stringify(result),
};
}`,
    );
    const response = await platform.call("nonsense");
    assert.equal(response.status, 500);
    assert.match((await response.json()).error, /Cannot fetch a postgres: URL.*npm:pg.*SDK/);
  });

  await step("no other role, no other database, not too many connections, none without the network", async () => {
    await platform.deploy(
      "hostile",
      `import pg from "npm:pg@8.16.3";
      const url = new URL(Deno.env.get("DATABASE_URL"));
      const outcome = async (change) => {
        const other = new URL(url);
        change(other);
        const client = new pg.Client(other.href);
        try { await client.connect(); return "connected"; } catch (error) { return error.code ?? error.message; } finally { await client.end().catch(() => {}); }
      };
      export default async () => {
        const clients = Array.from({ length: 12 }, () => new pg.Client(url.href));
        const many = await Promise.all(clients.map((client) => client.connect().then(() => "ok", (error) => error.code)));
        await Promise.all(clients.map((client) => client.end().catch(() => {})));
        return {
          many: many.filter((one) => one === "ok").length, refused: many.find((one) => one !== "ok"),
          role: await outcome((u) => { u.username = "postgres"; }),
          database: await outcome((u) => { u.pathname = "/postgres"; }),
          password: await outcome((u) => { u.password = "wrong"; }),
          again: await outcome(() => {}),
        };
      };`,
    );
    assert.deepEqual(await answer("hostile"), {
      many: 10,
      refused: "53300",
      role: "28000",
      database: "28000",
      // It is the server that logs in: no password is known here, and none is asked for.
      password: "connected",
      again: "connected",
    });
    await platform.deploy("cut-off", `export default () => Deno.env.get("DATABASE_URL") ?? null;`, {
      allow_net: false,
    });
    const { status } = await platform.call("cut-off").then(async (response) => {
      await response.body?.cancel();
      return response;
    });
    assert.equal(status, 204);
  });
});

Deno.test("which database users' tables are in is a setting", async (test) => {
  const NAME_OF_DATABASE = "select current_database() as name";
  const nameSeenBy = async ({ api }: TestPlatform): Promise<string> =>
    (await api("POST", "/admin/database/query", { sql: NAME_OF_DATABASE })).body.rows[0].name;
  const nameIn = (url: Secret) => new URL(url.reveal()).pathname.slice(1);
  const look = "export default () => Deno.env.get('DATABASE_URL') ?? 'none';";

  await test.step("beside the platform's", () =>
    withTestPlatform(async (platform) => {
      assert.equal(await nameSeenBy(platform), `${nameIn(platform.databaseUrl)}_app`);
    }));

  await test.step("one that is named", async () => {
    await using other = await createTestDatabase({ template: "template0" });
    await withTestPlatform(async (platform) => {
      assert.equal(await nameSeenBy(platform), nameIn(other.url));
      await platform.deploy("look", look);
      const seen = await (await platform.call("look")).json();
      assert.match(seen, new RegExp(`^postgres://fluxbase_ns_[0-9]+_default@[a-z.]+:5432/${nameIn(other.url)}$`));
    }, { FLUXBASE_APP_DATABASE_URL: other.url.reveal() });
  });

  await test.step("the platform's, without DATABASE_URL in functions", () =>
    withTestPlatform(async (platform) => {
      assert.equal(await nameSeenBy(platform), nameIn(platform.databaseUrl));
      await platform.deploy("look", look);
      assert.equal(await (await platform.call("look")).json(), "none");
      assert.ok(platform.logLines.some((line) => /share the platform's database/.test(line)));
      assert.equal((await platform.api("GET", "/health/ready")).body.users_database, "shared");
      const denied = await platform.api("POST", "/admin/database/query", { sql: "select * from fluxbase.keys" });
      assert.deepEqual([denied.status, denied.body.code], [403, "42501"]);
    }, { FLUXBASE_DATABASE_SHARED: "true" }));
});

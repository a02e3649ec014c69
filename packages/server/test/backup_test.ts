/**
 * The restore drill: everything that a platform keeps goes into a file while it runs, and comes back elsewhere.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sql } from "kysely";
import pg from "pg";
import type { Secret } from "../src/core/secret.ts";
import { administer, appUrlOf, createTestDatabase, testServerUrl } from "./support/database.ts";
import { eventually, type TestPlatform, withTestPlatform } from "./support/platform.ts";
import { withoutLeakedProcesses } from "./support/processes.ts";

const MAINTENANCE = fileURLToPath(new URL("../src/maintenance.ts", import.meta.url));
const PASSWORD = "a long password";
/** A connection of its own, in a namespace of its own: the table belongs to that namespace's role. */
const COUNTS = `import pg from "npm:pg@8.16.3";
export default async () => {
  const client = new pg.Client(Deno.env.get("DATABASE_URL"));
  await client.connect();
  try {
    await client.query("create table if not exists calls (id serial primary key, at timestamptz default now())");
    await client.query("insert into calls default values");
    const { rows: [row] } = await client.query("select max(id) as id, count(*)::int as count from calls");
    return row;
  } finally {
    await client.end();
  }
};`;

/** What users make, of every kind that is easily lost. */
const USERS_SCHEMA = `
  create type public.mood as enum ('glad', 'sad');
  create table public.notes (
    id bigint generated always as identity primary key, owner uuid, text text not null check (text <> ''),
    mood public.mood default 'glad', length int generated always as (char_length(text)) stored);
  alter table public.notes enable row level security;
  create policy "TO postgres" on public.notes to authenticated, fluxbase_ns_<id>_default using (owner is not null);
  grant select, insert on public.notes to authenticated;
  create index notes_text on public.notes (lower(text)) where mood = 'glad';
  create function public.shout() returns trigger language plpgsql as $$
  begin
    new.text := upper(new.text);
    return new;
  end $$;
  create trigger shout before insert on public.notes for each row execute function public.shout();
  create view public.glad as select id, text from public.notes where mood = 'glad';
  create materialized view public.totals as select count(*) as count from public.notes;
  create materialized view public.about_totals as select count + 1 as more from public.totals;
  create table public.parts (day date, what text) partition by range (day);
  create table public.parts_2026 partition of public.parts for values from ('2026-01-01') to ('2027-01-01');
  comment on table public.notes is 'It''s "theirs"';
  insert into public.notes (owner, text) select gen_random_uuid(), 'a tab ' || chr(9) || ', a line end ' || chr(10) || n
    from generate_series(1, 2000) n;
  insert into public.parts values ('2026-05-01', null), ('2026-06-01', '\\N');
  refresh materialized view public.totals;
  refresh materialized view public.about_totals;`;

/** All that can be seen of the users' database, whatever its roles are called. */
async function seen({ appDb }: TestPlatform): Promise<unknown> {
  const { rows } = await sql`
    select (select array_agg(n order by n.id) from notes n) as notes, (select array_agg(p) from parts p) as parts,
      (select more from about_totals) as more, (select count(*) from glad) as glad,
      obj_description('notes'::regclass) as comment,
      (select array_agg(pg_get_indexdef(indexrelid) order by 1) from pg_index where indrelid = 'notes'::regclass) as indexes,
      (select array_agg(pg_get_triggerdef(oid)) from pg_trigger where tgrelid = 'notes'::regclass) as triggers,
      (select array_agg(regexp_replace(r::text, '_[0-9]+_', '_') order by 1) from pg_policies, unnest(roles) r) as roles,
      (select array_agg(regexp_replace(coalesce(c.relacl, '{}')::text, '_[0-9]+_', '_', 'g') order by c.relname)
        from pg_class c where relnamespace = 'public'::regnamespace) as rights,
      (select array_agg(regexp_replace(tableowner, '_[0-9]+_', '_') || ' ' || tablename order by tablename) from pg_tables
        where schemaname ~ '^(public|ns_.*)$') as tables,
      (select array_agg(evtname order by evtname) from pg_event_trigger) as "eventTriggers"`.execute(appDb);
  return rows[0];
}

async function maintain(env: Record<string, string>, ...args: string[]) {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAINTENANCE, ...args],
    env: { FLUXBASE_AUTH_JWT_SECRET: "x".repeat(40), FLUXBASE_ENCRYPTION_KEY: "0".repeat(64), ...env },
  }).output();
  return { success, said: new TextDecoder().decode(stderr) };
}

Deno.test("the restore drill", async (test) => {
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-backup-" });
  const file = join(dir, "everything.tar.gz");
  const step = (name: string, fn: () => Promise<void>) =>
    test.step({ name, fn, sanitizeOps: false, sanitizeResources: false });
  const scheduled = join(dir, "scheduled");
  await Deno.mkdir(scheduled);
  await Deno.writeTextFile(join(scheduled, "fluxbase-2000-01-01T00-00-00Z.tar.gz"), "");
  await using other = await createTestDatabase({ template: "template1" });
  const at = (url: Secret) => ({ DATABASE_URL: url.reveal() });
  let before: unknown;
  let version: unknown;
  await withoutLeakedProcesses(async () => {
    await withTestPlatform(async (platform) => {
      const { api, databaseUrl } = platform;
      await platform.deploy(
        "reads",
        `export default () => new Response(secrets.getSystem("token") + Deno.env.get("GREETING"));`,
        {
          env: { GREETING: "hello" },
        },
      );
      await platform.deploy("counts", COUNTS, {
        namespace: "team-with-a-name-that-is-too-long-for-a-role-of-postgres",
      });
      await api("POST", "/admin/settings/custom/secret", { key: "token", value: "s3cret" });
      await api("POST", "/auth/signup", { email: "ada@example.com", password: PASSWORD }, null);
      const { rows: [place] } = await sql<{ id: string }>`
        select oid::text as id from pg_database where datname = current_database()`.execute(platform.appDb);
      await sql.raw(USERS_SCHEMA.replaceAll("<id>", place?.id ?? "")).execute(platform.appDb);
      assert.equal(
        (await (await platform.call("team-with-a-name-that-is-too-long-for-a-role-of-postgres/counts")).json()).count,
        1,
      );
      assert.equal(await (await platform.call("reads")).text(), "s3crethello");
      await eventually(async () => (await platform.executions("reads")).length === 1);
      before = await seen(platform);
      version = (await api("GET", "/functions/reads")).body;

      await step("a backup is made while the server runs; one is not overwritten", async () => {
        const { success, said } = await maintain(at(databaseUrl), "backup", file);
        assert.ok(success, said);
        assert.match(said, /Wrote .+ tables.+\nIt has no keys: keep FLUXBASE_ENCRYPTION_KEY/);
        assert.equal(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o600);
        assert.match((await maintain(at(databaseUrl), "backup", file)).said, /is there already; --force replaces it/);
      });

      await step("what an upgrade needs is said, and done by nobody", async () => {
        const check = async () => await maintain(at(databaseUrl), "upgrade-check");
        assert.match(
          (await check()).said,
          /^Installed: release (\S+)\n.*release \1\nRuns: \S+, release \1\nNothing to do/,
        );
        const { rows: [last] } = await sql<{ name: string }>`
          select name from fluxbase.kysely_migration order by name desc limit 1`.execute(platform.db);
        const rename = (from: string, to: string) =>
          sql`update fluxbase.kysely_migration set name = ${to} where name = ${from}`.execute(platform.db);
        await rename(last?.name ?? "", "9999_of_tomorrow");
        const refused = await check();
        assert.ok(!refused.success);
        assert.match(refused.said, /Cannot use the database: .*migration 9999_of_tomorrow/);
        await rename("9999_of_tomorrow", last?.name ?? "");
        await sql`delete from fluxbase.kysely_migration where name = ${last?.name}`.execute(platform.db);
        const { success, said } = await check();
        assert.ok(success, said);
        assert.match(said, new RegExp(`applies 1 migrations: ${last?.name}\nMake a backup first`));
        await sql`insert into fluxbase.kysely_migration (name, timestamp) values (${last?.name}, '')`
          .execute(platform.db);
      });

      await step("backups come by themselves into a folder, and the newest are kept", async () => {
        const names = () => [...Deno.readDirSync(scheduled)].map(({ name }) => name);
        await eventually(() => names().length === 1 && !names()[0]?.startsWith("fluxbase-2000"));
        assert.match(names()[0] ?? "", /^fluxbase-20\d\d-\d\d-\d\dT\d\d-\d\d-\d\dZ\.tar\.gz$/);
        assert.ok((await Deno.stat(join(scheduled, names()[0] ?? ""))).size > 1_000);
        const [before] = names();
        const begun = await api("POST", "/admin/backups");
        assert.deepEqual([begun.status, begun.body.running], [202, true]);
        assert.equal((await api("POST", "/admin/backups")).body.code, "ALREADY_RUNNING");
        await eventually(async () => {
          const { body } = await api("GET", "/admin/backups");
          return !body.running && body.backups.length === 1 && body.backups[0].name !== before;
        });
        const { schedule, last_error } = (await api("GET", "/admin/backups")).body;
        assert.deepEqual([schedule, last_error], [{ dir: scheduled, every_hours: 24, keep: 1 }, null]);
      });

      await step(
        "with another key, a backup that nobody could use is refused, and so is a running target",
        async () => {
          const wrong = { ...at(databaseUrl), FLUXBASE_ENCRYPTION_KEY: "1".repeat(64) };
          assert.match((await maintain(wrong, "backup", join(dir, "b"))).said, /encrypted under another key/);
          assert.match(
            (await maintain(at(databaseUrl), "restore", file, "--replace")).said,
            /servers use the database/,
          );
          assert.match(
            (await maintain(at(databaseUrl), "move", "--to", other.url.reveal())).said,
            /servers use the data/,
          );
        },
      );
    }, { FLUXBASE_BACKUP_DIR: scheduled, FLUXBASE_BACKUP_KEEP_COUNT: "1" });

    await step("what is damaged, needs another key, or would overwrite changes nothing", async () => {
      const bytes = await Deno.readFile(file);
      const cut = join(dir, "cut");
      await Deno.writeFile(cut, bytes.slice(0, bytes.length - 2000));
      assert.match((await maintain(at(other.url), "restore", cut)).said, /^Cannot read the backup: /);
      const wrong = { ...at(other.url), FLUXBASE_ENCRYPTION_KEY: "1".repeat(64) };
      assert.match((await maintain(wrong, "restore", file)).said, /is encrypted under the key/);
      const { success, said } = await maintain(at(other.url), "restore", file);
      assert.ok(success, said);
      assert.match((await maintain(at(other.url), "restore", file)).said, /is not empty; --replace/);
      assert.ok((await maintain(at(other.url), "restore", file, "--replace")).success);
    });

    await withTestPlatform(async (platform) => {
      const { api } = platform;
      await step("everything is back: rows and their schema, versions, executions", async () => {
        assert.deepEqual(await seen(platform), before);
        assert.deepEqual((await api("GET", "/functions/reads")).body, version);
        assert.equal((await platform.executions("reads")).length, 1);
      });
      await step("functions answer, secrets are readable, users sign in, sequences go on", async () => {
        assert.equal(await (await platform.call("reads")).text(), "s3crethello");
        const { status } = await api("POST", "/auth/signin", { email: "ada@example.com", password: PASSWORD }, null);
        assert.equal(status, 200);
        const answer = await platform.call("team-with-a-name-that-is-too-long-for-a-role-of-postgres/counts");
        assert.deepEqual(await answer.json(), { id: 2, count: 2 });
        await sql`insert into notes (text) values ('x')`.execute(platform.appDb);
        const { rows } = await sql`select text from notes where id = 2001`.execute(platform.appDb);
        assert.deepEqual(rows, [{ text: "X" }]);
        assert.ok(!platform.logLines.some((line) => line.includes("set right")), "a role had to be mended");
      });
    }, at(other.url));

    await step(
      "a move takes everything to another database, whose owner is no superuser, and says what to set",
      async () => {
        await using third = await createTestDatabase({ template: "template1" });
        const owner = `owner_${crypto.randomUUID().slice(0, 8)}`;
        await administer(testServerUrl(), `create role ${owner} login createdb createrole bypassrls password 'x'`);
        await administer(
          testServerUrl(),
          `alter database ${new URL(third.url.reveal()).pathname.slice(1)} owner to ${owner}`,
        );
        const target = new URL(third.url.reveal());
        [target.username, target.password] = [owner, "x"];
        const dataDir = { FLUXBASE_DATA_DIR: dir };
        const { success, said } = await maintain({ ...at(other.url), ...dataDir }, "move", "--to", target.href);
        assert.ok(success, said);
        const settings = await Deno.readTextFile(join(dir, "moved.env"));
        assert.ok(settings.startsWith(`DATABASE_URL=${target.href}\nFLUXBASE_ENCRYPTION_KEY=`), settings);
        const client = new pg.Client({ connectionString: appUrlOf(third.url).reveal() });
        await client.connect();
        const { rows } = await client.query("select count(*)::int as count, max(id)::int as id from notes");
        await client.end();
        assert.deepEqual(rows, [{ count: 2001, id: 2001 }]);
      },
    );
  });
  await Deno.remove(dir, { recursive: true });
});

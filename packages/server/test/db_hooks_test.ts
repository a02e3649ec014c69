/**
 * Functions that are called when rows of tables change.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { eventually, platformTest, withTestPlatform } from "./support/platform.ts";

/** Runs statements in one session as the role of its namespace. */
const RUNNER = `import pg from "npm:pg@8.16.3";
export default async (req) => {
  const client = new pg.Client(Deno.env.get("DATABASE_URL"));
  await client.connect();
  const said = [];
  for (const text of JSON.parse(req.body)) {
    said.push(await client.query(text).then(() => "done", ({ code, message }) => code ?? message));
  }
  await client.end();
  return said;
};`;

platformTest("hooks of tables", async (platform, step) => {
  const { api, appDb } = platform;
  const run = (text: string) => sql.raw(text).execute(appDb);
  /** What the function logged for each event, the oldest first. */
  const events = async (name: string, count: number) => {
    const executions = await platform.executions(name, count);
    return executions.toReversed().map(({ logs }: { logs: string }) =>
      JSON.parse(logs.slice(logs.indexOf("{"), logs.lastIndexOf("}") + 1))
    );
  };
  const receiver = (name: string, answer = "return {};") =>
    platform.deploy(
      name,
      `export default async (req) => {
      const text = await req.text();
      console.log("got", JSON.stringify({ text, role: req.user_role, key: req.headers.get("idempotency-key"),
        attempt: req.headers.get("x-fluxbase-attempt") }));
      ${answer}
    };`,
    );
  const hook = async (fields: Record<string, unknown>) => {
    const { status, body } = await api("POST", "/admin/hooks/database", fields);
    assert.equal(status, 201, JSON.stringify(body));
    return body;
  };
  const read = async (id: string) => (await api("GET", `/admin/hooks/database/${id}`)).body;
  const drained = (id: string) => eventually(async () => (await read(id)).waiting === 0);
  const triggersOn = async (table: string) => {
    const { rows } = await sql<{ count: number }>`select count(*)::int as count from pg_trigger
      where tgrelid = ${table}::regclass and tgname like 'fluxbase_hook_%'`.execute(appDb);
    return rows[0]?.count;
  };
  await run("create table public.orders (id bigint primary key, status text, amount numeric, note text)");

  await step("inserts, updates and deletes arrive in Supabase's shape, with all digits, and only once", async () => {
    await receiver("orders");
    const made = await hook({
      function: "orders",
      table: "orders",
      events: ["INSERT", "UPDATE", "DELETE"],
      ordered: true,
    });
    assert.deepEqual([made.table, made.function, made.problem], ["public.orders", "default/orders", null]);
    await run("insert into public.orders values (9007199254740993, 'new', 12345678901234567890.123, 'żółć')");
    await run("update public.orders set status = 'paid'");
    await run("delete from public.orders");
    const got = await events("orders", 3);
    assert.deepEqual(got.map(({ text }: { text: string }) => JSON.parse(text).type), ["INSERT", "UPDATE", "DELETE"]);
    const [inserted, updated, deleted] = got.map(({ text }: { text: string }) => text);
    assert.match(inserted, /"table":"orders","schema":"public"/);
    assert.match(inserted, /"record":\{.*"id": 9007199254740993/);
    assert.match(inserted, /12345678901234567890\.123/);
    assert.match(inserted, /żółć/);
    assert.deepEqual([JSON.parse(inserted).old_record, JSON.parse(deleted).record], [null, null]);
    assert.deepEqual([JSON.parse(updated).old_record.status, JSON.parse(updated).record.status], ["new", "paid"]);
    assert.deepEqual([got[0].role, got[0].attempt], ["service_role", "1"]);
    assert.equal(new Set(got.map(({ key }: { key: string }) => key)).size, 3);
    await drained(made.id);
    await api("DELETE", `/admin/hooks/database/${made.id}`);
    assert.equal(await triggersOn("public.orders"), 0);
  });

  await step("what is rolled back never happened; TRUNCATE is no event", async () => {
    await receiver("rolled");
    const made = await hook({ function: "rolled", table: "public.orders", events: ["INSERT", "DELETE"] });
    await appDb.transaction().execute(async (trx) => {
      await sql`insert into public.orders values (1, 'lost')`.execute(trx);
      throw new Error("no");
    }).catch(() => {});
    await run("insert into public.orders values (2, 'kept')");
    await run("truncate public.orders");
    await run("insert into public.orders values (3, 'after')");
    const got = await events("rolled", 2);
    await drained(made.id);
    assert.deepEqual(got.map(({ text }: { text: string }) => JSON.parse(text).record.id).sort(), [2, 3]);
    await api("DELETE", `/admin/hooks/database/${made.id}`);
  });

  await step("conditions and columns decide which rows count; wrong ones are refused with a reason", async () => {
    await receiver("paid");
    const made = await hook({
      function: "paid",
      table: "orders",
      events: ["UPDATE", "INSERT"],
      columns: ["status"],
      where: "status=eq.paid&amount=gt.10&note=is.null",
    });
    await run("truncate public.orders");
    await run("insert into public.orders values (1, 'new', 20), (2, 'paid', 5), (3, 'paid', 30), (4, 'x''); drop', 1)");
    await run("update public.orders set amount = 40 where id = 3");
    await run("update public.orders set status = 'paid' where id = 1");
    const got = await events("paid", 2);
    await drained(made.id);
    assert.deepEqual(
      got.map(({ text }: { text: string }) => [JSON.parse(text).type, JSON.parse(text).record.id]).sort(),
      [
        ["INSERT", 3],
        ["UPDATE", 1],
      ],
    );
    for (
      const [fields, says] of [
        [{ where: "status=paid" }, /must be such as status=eq\.paid; the operators are eq/],
        [{ where: "nothing=eq.1" }, /column new\.nothing does not exist/],
        [{ where: "amount=is.'; drop table x" }, /wrong value/],
        [{ columns: ["nothing"] }, /nothing/],
        [{ events: [] }, /"events" must not be empty/],
        [{ events: ["TRUNCATE"] }, /"events/],
        [{ table: "public.none" }, /Table "public\.none" not found/],
        [{ table: "fluxbase.outbox" }, /not found/],
        [{ table: "pg_catalog.pg_class" }, /not found/],
        [{ function: "none" }, /"none" not found/],
      ] as const
    ) {
      const { status, body } = await api("POST", "/admin/hooks/database", {
        function: "paid",
        table: "orders",
        events: ["UPDATE"],
        ...fields,
      });
      assert.ok(status === 400 || status === 404, JSON.stringify(body));
      assert.match(body.error, says);
    }
    await api("DELETE", `/admin/hooks/database/${made.id}`);
    assert.equal(await triggersOn("public.orders"), 0);
  });

  await step("a failing function is tried again, then its event is dead until somebody retries it", async () => {
    await receiver("failing", `return new Response("no", { status: text.includes("final") ? 422 : 500 });`);
    const made = await hook({ function: "failing", table: "orders", events: ["INSERT"] });
    await run("truncate public.orders");
    await run("insert into public.orders values (1, 'final'), (2, 'again')");
    await eventually(async () => (await read(made.id)).dead === 1);
    const shown = await read(made.id);
    assert.deepEqual([shown.waiting, shown.dead], [1, 1]);
    assert.match(shown.last_error, /the function answered (422|500)/);
    for (let attempt = 2; attempt <= 4; attempt += 1) {
      await run("update fluxbase.outbox set due_at = now() where not is_running");
      await run("select pg_notify('fluxbase_outbox', '')");
      await eventually(async () => (await platform.executions("failing")).length === 1 + attempt);
    }
    await eventually(async () => (await read(made.id)).dead === 2);
    await api("PUT", "/functions/failing", { code: `export default () => ({});` });
    const { body } = await api("POST", `/admin/hooks/database/${made.id}/retry`);
    assert.deepEqual(body, { retried: 2 });
    await eventually(async () => {
      const { waiting, dead } = await read(made.id);
      return waiting === 0 && dead === 0;
    });
    await api("DELETE", `/admin/hooks/database/${made.id}`);
  });

  await step("partitioned tables, renamed ones, and those that are dropped and made again", async () => {
    await receiver("parts");
    await run("create table public.parts (id int, day int) partition by range (day)");
    await run("create table public.parts_1 partition of public.parts for values from (0) to (10)");
    const made = await hook({ function: "parts", table: "parts", events: ["INSERT"], ordered: true });
    await run("create table public.parts_2 partition of public.parts for values from (10) to (20)");
    await run("insert into public.parts values (1, 5), (2, 15)");
    await run("alter table public.parts rename to pieces");
    await run("insert into public.pieces values (3, 5)");
    await run("alter table public.pieces add column more text default 'm'");
    await run("insert into public.pieces values (4, 5)");
    await drained(made.id);
    const tables = (await events("parts", 4)).map(({ text }: { text: string }) => JSON.parse(text));
    assert.deepEqual(tables.map(({ record }: { record: { id: number } }) => record.id), [1, 2, 3, 4]);
    assert.equal(tables[3].record.more, "m");
    await eventually(async () => (await read(made.id)).table === "public.pieces");
    await run("drop table public.pieces");
    await eventually(async () => /no table public\.pieces/.test((await read(made.id)).problem ?? ""));
    await run("create table public.pieces (id int)");
    await eventually(async () => (await read(made.id)).problem === null);
    await run("insert into public.pieces values (5)");
    await events("parts", 5);
    await run("alter table public.pieces disable trigger all");
    await eventually(async () => {
      await api("POST", "/admin/hooks/database/" + made.id + "/retry");
      await run("comment on table public.pieces is 'looked at'");
      const { rows } = await sql<{ on: boolean }>`select bool_and(tgenabled = 'O') as on from pg_trigger
        where tgrelid = 'public.pieces'::regclass`.execute(appDb);
      return rows[0]?.on === true;
    });
    await api("DELETE", `/admin/hooks/database/${made.id}`);
  });

  await step("two servers share the events, and one that stops or dies loses none", async () => {
    await receiver("twoservers", "await new Promise((resolve) => setTimeout(resolve, 50));\n return {};");
    const made = await hook({ function: "twoservers", table: "orders", events: ["INSERT"] });
    const handled = async () => {
      const all = await platform.executions("twoservers", 0);
      const good = all.filter(({ status }: { status: string }) => status === "success");
      const keys = good.map(({ logs }: { logs: string }) =>
        JSON.parse(logs.slice(logs.indexOf("{"), logs.lastIndexOf("}") + 1)).key
      );
      return { count: good.length, keys: new Set(keys).size };
    };
    await withTestPlatform(async () => {
      await run("insert into public.orders (id) select n from generate_series(1000, 1199) n");
      await eventually(async () => (await handled()).count > 40);
    }, { DATABASE_URL: platform.databaseUrl.reveal() });
    await drained(made.id);
    await eventually(async () => (await handled()).count >= 200);
    assert.deepEqual(await handled(), { count: 200, keys: 200 });
    await api("PUT", "/functions/twoservers", { enabled: false });
    await run("insert into public.orders (id) values (2000)");
    await sql`update fluxbase.outbox set is_running = true, attempts = 1, due_at = now() - interval '1 second'
      where hook_id = ${made.id}`.execute(appDb);
    await api("PUT", "/functions/twoservers", { enabled: true });
    await run("select pg_notify('fluxbase_outbox', '')");
    await drained(made.id);
    const [{ logs }] = (await platform.executions("twoservers", 201)).slice(0, 1);
    assert.match(logs, /"attempt":"2"/);
    await api("DELETE", `/admin/hooks/database/${made.id}`);
  });

  await step("rows that anybody writes over HTTP count, and so do accounts in auth.users", async () => {
    await receiver("anybody");
    await run("create table public.mails (id int, note text)");
    await run("alter table public.mails enable row level security");
    await run("create policy all_of_them on public.mails for insert to anon with check (true)");
    await run("grant insert on public.mails to anon");
    const ofMails = await hook({ function: "anybody", table: "mails", events: ["INSERT"] });
    const ofUsers = await hook({ function: "anybody", table: "auth.users", events: ["INSERT"] });
    const sent = await fetch(`${platform.url}/rest/v1/mails`, {
      method: "POST",
      headers: { apikey: platform.anonKey, "content-type": "application/json", prefer: "return=minimal" },
      body: JSON.stringify([{ id: 1, note: "a" }, { id: 2, note: "b" }]),
    });
    assert.equal(sent.status, 201, await sent.text());
    const { status } = await api(
      "POST",
      "/auth/signup",
      { email: "new@example.com", password: "a long password" },
      null,
    );
    assert.equal(status, 201);
    const got = (await events("anybody", 3)).map(({ text }: { text: string }) => JSON.parse(text));
    const [user] = got.filter(({ schema }: { schema: string }) => schema === "auth");
    assert.deepEqual([user.table, user.record.email], ["users", "new@example.com"]);
    assert.deepEqual(
      got.filter(({ table }: { table: string }) => table === "mails").map(({ record }: { record: { id: number } }) =>
        record.id
      ).sort(),
      [1, 2],
    );
    for (const { id } of [ofMails, ofUsers]) await api("DELETE", `/admin/hooks/database/${id}`);
  });

  await step("the example does what it says", async () => {
    const code = await Deno.readTextFile(new URL("../../../examples/functions/order_paid.ts", import.meta.url));
    await platform.deploy("order_paid", code);
    await run("create table public.sales (id int, email text, status text)");
    const made = await hook({
      function: "order_paid",
      table: "sales",
      events: ["INSERT", "UPDATE"],
      columns: ["status"],
      where: "status=eq.paid",
    });
    await run("insert into public.sales values (7, 'ada@example.com', 'new')");
    await run("update public.sales set status = 'paid'");
    const [{ logs, status_code }] = await platform.executions("order_paid");
    assert.match(logs, /Thank you, ada@example\.com, for order 7/);
    assert.equal(status_code, 200);
    assert.equal((await platform.call("order_paid", { method: "POST", body: "{}" })).status, 403);
    await api("DELETE", `/admin/hooks/database/${made.id}`);
  });

  await step("a column that a condition needs cannot be dropped by accident", async () => {
    await receiver("columns");
    const made = await hook({ function: "columns", table: "orders", events: ["INSERT"], where: "status=eq.paid" });
    await assert.rejects(run("alter table public.orders drop column status"), /depend on it/);
    await run("alter table public.orders drop column status cascade");
    await eventually(async () => /status/.test((await read(made.id)).problem ?? ""));
    await run("alter table public.orders add column status text");
    await eventually(async () => (await read(made.id)).problem === null);
    await run("truncate public.orders");
    await run("insert into public.orders (id, status) values (1, 'paid')");
    await events("columns", 1);
    await api("DELETE", `/admin/hooks/database/${made.id}`);
  });

  await step("a function that is disabled keeps its events; one that is deleted takes its triggers along", async () => {
    await receiver("gone");
    const made = await hook({ function: "gone", table: "orders", events: ["INSERT"] });
    await api("PUT", "/functions/gone", { enabled: false });
    await run("insert into public.orders (id) values (100)");
    assert.equal((await read(made.id)).waiting, 1);
    await api("PUT", "/functions/gone", { enabled: true });
    await run("insert into public.orders (id) values (101)");
    await drained(made.id);
    await api("DELETE", "/functions/gone");
    await eventually(async () => await triggersOn("public.orders") === 0);
    assert.match((await read(made.id)).problem, /its function was deleted/);
    await api("POST", "/functions/gone/restore");
    await eventually(async () => await triggersOn("public.orders") === 2);
    await api("DELETE", `/admin/hooks/database/${made.id}`);
  });

  await step("100,000 rows of one COPY are one transaction's events, and a server takes them bit by bit", async () => {
    await receiver("copied");
    const made = await hook({ function: "copied", table: "orders", events: ["INSERT"] });
    await api("PUT", "/functions/copied", { enabled: false });
    await run("truncate public.orders");
    await run("insert into public.orders (id, note) select n, 'copied' from generate_series(1, 100000) n");
    assert.equal((await read(made.id)).waiting, 100_000);
    await sql`delete from fluxbase.outbox where hook_id = ${made.id} and id % 1000 <> 0`.execute(appDb);
    await api("PUT", "/functions/copied", { enabled: true });
    await run("select pg_notify('fluxbase_outbox', '')");
    await drained(made.id);
    assert.equal((await platform.executions("copied", 100)).length, 100);
    await api("DELETE", `/admin/hooks/database/${made.id}`);
  });

  await step(
    "functions neither read, write nor forge events, and code in types runs with no rights but their own",
    async () => {
      await receiver("guarded");
      for (const namespace of ["default", "evil"]) await platform.deploy("runner", RUNNER, { namespace });
      const as = async (namespace: string, ...statements: string[]) => {
        const response = await platform.call(`runner/invoke?namespace=${namespace}`, {
          method: "POST",
          body: JSON.stringify(statements),
        });
        return await response.json();
      };
      const made = await as(
        "evil",
        "create type mood as enum ('fine')",
        "create function tell(mood) returns json language sql as $$ select to_json(current_user::text) $$",
        "create cast (mood as json) with function tell(mood)",
        "create function to_jsonb(anyelement) returns jsonb language sql as $$ select '{\"forged\": true}'::jsonb $$",
        "create table moods (id int, mood mood)",
      );
      assert.deepEqual(made, ["done", "done", "done", "done", "done"]);
      const ofMoods = await hook({ function: "guarded", table: "ns_evil.moods", events: ["INSERT"], ordered: true });
      const ofOrders = await hook({ function: "guarded", table: "orders", events: ["INSERT"] });
      const forging = ["set search_path = ns_evil, pg_catalog", "set fluxbase.record = '{\"forged\": true}'"];
      assert.deepEqual(await as("evil", ...forging, "insert into moods values (1, 'fine')"), ["done", "done", "done"]);
      const [got] = await events("guarded", 1);
      const { record } = JSON.parse(got.text);
      assert.equal(record.id, 1);
      assert.match(record.mood, /^fluxbase_ns_\d+_evil$/, "the cast ran as who inserted");
      for (const namespace of ["default", "evil"]) {
        const refused = await as(
          namespace,
          "select * from fluxbase.outbox",
          `insert into fluxbase.outbox (hook_id, type, is_cut) values ('${ofOrders.id}', 'INSERT', false)`,
          "delete from fluxbase.outbox",
          "create table mine_too (id int)",
          `create trigger forged after insert on mine_too for each row execute function fluxbase.put_event('${ofOrders.id}')`,
          `alter table public.orders disable trigger "fluxbase_hook_${ofOrders.id}_insert_1"`,
          `drop trigger "fluxbase_hook_${ofOrders.id}_insert_1" on public.orders`,
          "select pg_notify('fluxbase_outbox', repeat('x', 7000))",
        );
        assert.deepEqual(refused, ["42501", "42501", "42501", "done", "42501", "42501", "42501", "done"], namespace);
      }
      assert.equal((await read(ofOrders.id)).waiting, 0);
      for (const { id } of [ofMoods, ofOrders]) await api("DELETE", `/admin/hooks/database/${id}`);
    },
  );
});

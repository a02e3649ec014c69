/**
 * No half of a change is ever seen: what one request changes becomes visible at one moment.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { platformTest } from "./support/platform.ts";

const answering = (text: string) => `export default () => ${JSON.stringify(text)};`;

interface State {
  readonly name: string;
  readonly enabled: boolean;
  readonly live_version: number | null;
}

platformTest("code and settings of a function change in one transaction", async (platform, step) => {
  const { db, api } = platform;
  // Keeps what each transaction left: the last row of each is what others could see.
  await sql`create table public.seen (at bigint generated always as identity, txid xid8 default pg_current_xact_id(),
    name text, enabled boolean, live_version int)`.execute(db);
  await sql`create function public.see() returns trigger language plpgsql as $$ begin
    insert into public.seen (name, enabled, live_version) values (new.name, new.enabled, new.live_version);
    return null; end $$`.execute(db);
  await sql`create trigger see after insert or update on fluxbase.functions
    for each row execute function public.see()`.execute(db);
  const statesOf = async (name: string) => {
    const { rows } = await sql<State>`select distinct on (txid) name, enabled, live_version from public.seen
      where name = ${name} order by txid, at desc`.execute(db);
    return rows.map(({ enabled, live_version }) => [enabled, live_version]);
  };

  await step("a new version that comes disabled is never callable", async () => {
    await platform.deploy("off", answering("one"));
    const { status, body } = await api("PUT", "/functions/off", { code: answering("two"), enabled: false });
    assert.deepEqual([status, body.enabled, body.live_version], [200, false, 2]);
    assert.deepEqual(await statesOf("off"), [[true, 1], [false, 2]]);
    assert.equal((await (await platform.call("off")).json()).code, "FUNCTION_DISABLED");
  });

  await step("an old version is not enabled before the new one is there", async () => {
    const { body } = await api("PUT", "/functions/off", {
      code: answering("three"),
      enabled: true,
      description: "third",
    });
    assert.deepEqual([body.enabled, body.live_version, body.description], [true, 3, "third"]);
    assert.deepEqual(await statesOf("off"), [[true, 1], [false, 2], [true, 3]]);
    assert.equal(await (await platform.call("off")).json(), "three");
  });

  await step("a function that is created disabled was never enabled", async () => {
    await api("POST", "/functions", { name: "born-off", code: answering("one"), enabled: false });
    assert.deepEqual(await statesOf("born-off"), [[false, 1]]);
  });

  await step("the same by sync", async () => {
    await platform.deploy("synced", answering("one"));
    const { status, body } = await api("POST", "/admin/functions/sync", {
      namespace: "default",
      functions: [{ name: "synced", code: answering("two"), enabled: false }],
      options: { delete_missing: false },
    });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(await statesOf("synced"), [[true, 1], [false, 2]]);
  });

  await step("delete and restore keep whether it was enabled", async () => {
    await api("DELETE", "/functions/born-off");
    const { body } = await api("POST", "/functions/default/born-off/restore");
    assert.equal(body.enabled, false, JSON.stringify(body));
    assert.deepEqual([...new Set((await statesOf("born-off")).map(String))], ["false,1"]);
  });

  await step("callers who hammer it never get an answer of code that was never enabled", async () => {
    await platform.deploy("hammered", answering("enabled"));
    let isOver = false;
    const seen = new Set<string>();
    const callers = Array.from({ length: 4 }, async () => {
      while (!isOver) seen.add(await (await platform.call("hammered")).text().then((text) => text.slice(0, 30)));
    });
    for (let round = 0; round < 8; round += 1) {
      await api("PUT", "/functions/hammered", { code: answering(`secret ${round}`), enabled: false });
      await api("PUT", "/functions/hammered", { code: answering("enabled"), enabled: true });
    }
    isOver = true;
    await Promise.all(callers);
    assert.deepEqual([...seen].filter((text) => text.includes("secret")), []);
    assert.ok(seen.has('"enabled"'));
  });
});

/**
 * The server behind a connection pooler in transaction mode: refused with a sentence, or told the database's own address.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { hasPgBouncer, startPgBouncer, type TestPgBouncer } from "./support/pgbouncer.ts";
import { eventually, withTestPlatform } from "./support/platform.ts";
import { withoutLeakedProcesses } from "./support/processes.ts";
import type { Secret } from "../src/core/secret.ts";

const DROPS_SETTINGS = ["extra_float_digits", "options", "statement_timeout"];

const through = ({ port }: TestPgBouncer, databaseUrl: Secret) => {
  const url = new URL(databaseUrl.reveal());
  url.port = String(port);
  return url.href;
};

// It needs the program: `apt-get install pgbouncer`.
const options = { ignore: !await hasPgBouncer(), sanitizeOps: false, sanitizeResources: false };

Deno.test("PgBouncer in transaction mode without a direct address is refused with a sentence", options, async () => {
  for (const ignored of [["extra_float_digits"], DROPS_SETTINGS]) {
    await using bouncer = await startPgBouncer({ ignored });
    await assert.rejects(
      withTestPlatform(() => Promise.resolve(), (url) => ({ DATABASE_URL: through(bouncer, url) })),
      /Cannot .* the database.*pooler.*; set DATABASE_DIRECT_URL to an address of the database itself$/,
    );
  }
});

Deno.test("PgBouncer in transaction mode with a direct address: everything works", options, async () => {
  await using bouncer = await startPgBouncer({ ignored: ["extra_float_digits"] });
  await withoutLeakedProcesses(() =>
    withTestPlatform(async (platform) => {
      const key = await platform.mintKey(["functions:*"]);
      await platform.deploy("hello", `export default () => secrets.get("word") ?? "none";`);
      await platform.api("POST", "/admin/settings/custom/secret", { key: "word", value: "told" });
      await eventually(async () => await (await platform.call("hello")).text() === `"told"`);
      await Promise.all(
        Array.from({ length: 20 }, (_, index) => platform.deploy(`f${index}`, "export default () => 1")),
      );
      assert.equal((await platform.executions("hello", 1)).length >= 1, true);
      await sql`update fluxbase.keys set revoked_at = now() where name = 'test'`.execute(platform.db);
      await eventually(async () => (await platform.api("GET", "/functions", undefined, key)).status === 401);
      await sql`create table public.things (id int primary key)`.execute(platform.appDb);
      await sql`grant select on public.things to anon`.execute(platform.appDb);
      await eventually(async () => {
        const response = await fetch(`${platform.url}/rest/v1/things`, { headers: { apikey: platform.anonKey } });
        return response.status === 200 && (await response.json()).length === 0;
      });
    }, (url) => ({ DATABASE_URL: through(bouncer, url), DATABASE_DIRECT_URL: url.reveal() }))
  );
});

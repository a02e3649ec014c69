import assert from "node:assert/strict";
import { sql } from "kysely";
import { administer, appUrlOf, createTestDatabase } from "../../test/support/database.ts";
import { systemClock } from "../core/clock.ts";
import { silentLog } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import { type AppDatabaseOptions, findAppDatabase } from "./app_database.ts";
import { connectDatabase } from "./db.ts";
import { setUpRoles } from "./roles.ts";

const log = silentLog;

function options(platformUrl: Secret, given: Partial<AppDatabaseOptions> = {}): AppDatabaseOptions {
  return { platformUrl, givenUrl: null, isShared: false, isEmbedded: false, schemas: ["public"], log, ...given };
}

async function rolesIn(platformUrl: Secret, appUrl: Secret) {
  await using platform = await connectDatabase({ url: platformUrl, maxConnectionsCount: 2, log });
  await using app = await connectDatabase({ url: appUrl, maxConnectionsCount: 2, log });
  return await setUpRoles({
    platform: platform.db,
    app: app.db,
    isShared: false,
    schemas: ["public"],
    passwordOf: (_, name) => Promise.resolve(`password of ${name}`),
    limits: { namespaceConnectionsCount: 5, sessionTempFileMiB: 10 },
    onRepair: () => {},
    clock: systemClock,
    log,
  });
}

Deno.test("servers that start at once make one database for users' tables, and the same roles", async () => {
  await using platform = await createTestDatabase();
  const found = await Promise.all(Array.from({ length: 4 }, () => findAppDatabase(options(platform.url))));
  const url = appUrlOf(platform.url);
  assert.deepEqual(found.map((one) => one?.reveal()), Array(4).fill(url.reveal()));
  const roles = await Promise.all(Array.from({ length: 4 }, () => rolesIn(platform.url, url)));
  for (const one of roles) assert.deepEqual(one?.placeOf("default").schemas, ["public"]);
});

Deno.test("the embedded database's tables of before move along, with their rows, owners and rights", async () => {
  await using platform = await createTestDatabase();
  const former = `fluxbase_functions_${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  await administer(
    platform.url.reveal(),
    `create role ${former} login;
     create role ${former}_reader;
     create table public.made (id int primary key, text text);
     insert into public.made values (1, 'kept');
     create function public.made_too() returns int language sql as 'select 1';
     alter table public.made owner to ${former};
     grant select on public.made to ${former}_reader`,
  );
  try {
    const [first, second] = await Promise.all([
      findAppDatabase(options(platform.url, { isEmbedded: true })),
      findAppDatabase(options(platform.url, { isEmbedded: true })),
    ]);
    const url = appUrlOf(platform.url);
    assert.deepEqual([first?.reveal(), second?.reveal()], [url.reveal(), url.reveal()]);
    await rolesIn(platform.url, url);
    await using app = await connectDatabase({ url, maxConnectionsCount: 1, log });
    const { rows } = await sql`
      select text, public.made_too() as too, to_regnamespace('fluxbase') as platform,
        has_table_privilege(${former + "_reader"}, 'public.made', 'select') as granted,
        (select tableowner ~ '^fluxbase_ns_[0-9]+_default$' from pg_tables where tablename = 'made') as "isTheirs"
      from public.made`.execute(app.db);
    assert.deepEqual(rows, [{ text: "kept", too: 1, platform: null, granted: true, isTheirs: true }]);
    await using before = await connectDatabase({ url: platform.url, maxConnectionsCount: 1, log });
    assert.equal((await sql`select from public.made`.execute(before.db)).rows.length, 1, "nothing is taken away");
  } finally {
    for (const url of [platform.url, appUrlOf(platform.url)]) {
      await administer(url.reveal(), `drop owned by ${former}, ${former}_reader cascade`);
    }
    await administer(platform.url.reveal(), `drop role ${former}, ${former}_reader`);
  }
});

Deno.test("tables in a Postgres of somebody else's are never left behind in silence", async () => {
  await using platform = await createTestDatabase();
  await administer(platform.url.reveal(), "create table public.made (id int)");
  await assert.rejects(
    findAppDatabase(options(platform.url)),
    /Cannot start: .*\(made\)[\s\S]*create database ".*_app" template[\s\S]*FLUXBASE_APP_DATABASE_URL[\s\S]*FLUXBASE_DATABASE_SHARED/,
  );
  await assert.rejects(findAppDatabase(options(platform.url, { givenUrl: platform.url })), /must name another one/);
  assert.equal(await findAppDatabase(options(platform.url, { isShared: true })), platform.url);
  // As somebody would who made a copy, and forgot the platform's part in it.
  await using copy = await createTestDatabase();
  await assert.rejects(rolesIn(platform.url, copy.url), /it has a platform's own schema.*drop schema fluxbase cascade/);
});

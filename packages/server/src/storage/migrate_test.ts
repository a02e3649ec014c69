/**
 * Servers of several releases on one database.
 *
 * @module
 */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { sql } from "kysely";
import { createTestDatabase } from "../../test/support/database.ts";
import { silentLog } from "../core/log.ts";
import { connectDatabase, type Database } from "./db.ts";
import { migrate } from "./migrate.ts";
import { compareVersions, RELEASE, type Release } from "./release.ts";
import { StartError } from "./start_error.ts";

const NEXT: Release = { version: "0.2.0", serversFrom: RELEASE.version };
const AFTER: Release = { version: "0.10.0", serversFrom: "0.2.0" };
const ADDED = { "9000_next": "create table fluxbase.added_next (a int)" };
const AFTERWARDS = { ...ADDED, "9001_after": "drop table fluxbase.added_next" };

/** What a release brings: the files of this one and some more. */
async function filesOf(more: Readonly<Record<string, string>>): Promise<URL> {
  const dir = await Deno.makeTempDir();
  const own = new URL("../../migrations/", import.meta.url);
  for await (const { name } of Deno.readDir(own)) await Deno.copyFile(new URL(name, own), `${dir}/${name}`);
  for (const [name, text] of Object.entries(more)) await Deno.writeTextFile(`${dir}/${name}.sql`, text);
  return pathToFileURL(`${dir}/`);
}

async function withDatabase(run: (db: Database["db"]) => Promise<void>): Promise<void> {
  await using test = await createTestDatabase();
  await using database = await connectDatabase({ url: test.url, maxConnectionsCount: 4, log: silentLog });
  await run(database.db);
}

Deno.test("a server starts again beside the next release, and not beside the one after it", () =>
  withDatabase(async (db) => {
    await migrate(db, silentLog);
    await migrate(db, silentLog, { folder: await filesOf(ADDED), release: NEXT });
    await migrate(db, silentLog);
    // The older one has taken nothing back.
    await migrate(db, silentLog, { folder: await filesOf(ADDED), release: NEXT });
    await migrate(db, silentLog, { folder: await filesOf(AFTERWARDS), release: AFTER });
    await migrate(db, silentLog, { folder: await filesOf(ADDED), release: NEXT });
    await assert.rejects(migrate(db, silentLog), (error) => {
      assert.ok(error instanceof StartError);
      assert.match(
        error.message,
        /release 0\.10\.0 has changed its schema \(migration 9001_after\), and this is 0\.1\.0/,
      );
      assert.match(error.message, /start release 0\.2\.0 or newer/);
      return true;
    });
  }));

Deno.test("a schema whose maker has said nothing is refused with a sentence", () =>
  withDatabase(async (db) => {
    await migrate(db, silentLog, { folder: await filesOf(ADDED), release: NEXT });
    for (const comment of ["null", "'of somebody else'", `'{"version": 7}'`]) {
      await sql.raw(`comment on schema fluxbase is ${comment}`).execute(db);
      await assert.rejects(migrate(db, silentLog), /a newer release has changed its schema .*start that release/);
    }
  }));

Deno.test("servers of two releases that start at once", () =>
  withDatabase(async (db) => {
    const folder = await filesOf(ADDED);
    const starts = [{}, { folder, release: NEXT }, {}, { folder, release: NEXT }];
    await Promise.all(starts.map((options) => migrate(db, silentLog, options)));
    await migrate(db, silentLog);
    await assert.rejects(migrate(db, silentLog, { release: { version: "0.0.9", serversFrom: "0.0.9" } }), StartError);
  }));

Deno.test("a migration with a number in between comes late, once", () =>
  withDatabase(async (db) => {
    await migrate(db, silentLog, { folder: await filesOf(ADDED), release: NEXT });
    const folder = await filesOf({ ...ADDED, "0019_z_mended": "create table fluxbase.mended (a int)" });
    await migrate(db, silentLog, { folder, release: NEXT });
    await migrate(db, silentLog, { folder, release: NEXT });
    await sql`select from fluxbase.mended`.execute(db);
    await sql`select from fluxbase.added_next`.execute(db);
  }));

Deno.test("versions are compared by their numbers", () => {
  const ordered = ["0.1.0", "0.1.1", "0.2", "0.10.0", "1.0.0"];
  assert.deepEqual([...ordered].reverse().sort(compareVersions), ordered);
  assert.equal(compareVersions("0.2", "0.2.0"), 0);
});

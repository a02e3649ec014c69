/**
 * Statements against a real Postgres: migrations, versions, executions.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DEFAULT_SETTINGS } from "@fluxbase/contract";
import { sql } from "kysely";
import { createTestDatabase } from "../../test/support/database.ts";
import { executionRecord } from "../../test/support/executions.ts";
import { silentLog } from "../core/log.ts";
import { connectDatabase, type Database, type Db } from "./db.ts";
import {
  countExecutions,
  ensurePartitions,
  type ExecutionRecord,
  insertBatch,
  listExecutions,
  listLogLines,
} from "./executions.ts";
import {
  createFunction,
  deleteFunction,
  findFunction,
  listLiveFunctions,
  makeLive,
  type StoredFunction,
  updateFunction,
} from "./functions.ts";
import { migrate } from "./migrate.ts";
import { type NewVersion, readBundle } from "./versions.ts";

function databaseTest(name: string, run: (db: Database["db"]) => Promise<void>): void {
  Deno.test(name, async () => {
    await using test = await createTestDatabase();
    await using database = await connectDatabase({ url: test.url, maxConnectionsCount: 4, log: silentLog });
    await run(database.db);
  });
}

const FUNCTION = {
  namespace: "default",
  name: "a",
  description: null,
  enabled: true,
  source: "api",
  createdBy: null,
} as const;
const version = (bundle: string | null): NewVersion => ({
  entry: "a.ts",
  files: { "a.ts": "source" },
  settings: DEFAULT_SETTINGS,
  given: {},
  annotations: {},
  warnings: [],
  dependencies: {},
  envNames: [],
  envSealed: null,
  bundle,
  problems: [],
  contentHash: bundle ?? "none",
  createdBy: null,
});

async function stored(db: Db): Promise<StoredFunction> {
  const found = await findFunction(db, "default", "a");
  assert.ok(found);
  return found.function;
}

Deno.test("several servers that start at once on an empty database all find the schema ready", async () => {
  await using test = await createTestDatabase({ template: "template1" });
  const start = async () => {
    await using database = await connectDatabase({ url: test.url, maxConnectionsCount: 2, log: silentLog });
    await migrate(database.db, silentLog);
    assert.deepEqual(await listLiveFunctions(database.db), []);
  };
  await Promise.all([start(), start(), start(), start()]);
});

databaseTest("a failed build leaves the live version alone; an outdated deployment is told so", async (db) => {
  const id = await createFunction(db, FUNCTION, version("one"));
  const before = await stored(db);
  assert.equal(await updateFunction(db, before, { version: version(null), change: {} }), true);
  assert.equal(await updateFunction(db, before, { version: version("late"), change: {} }), false);
  const found = await findFunction(db, "default", "a");
  assert.deepEqual([found?.function.liveVersion, found?.function.latestVersion], [1, 2]);
  assert.equal(await readBundle(db, id, 1), "one");
  assert.equal(await readBundle(db, id, 2), undefined);
  assert.equal(await makeLive(db, id, 2), false);
  assert.equal(await makeLive(db, id, 1), true);
});

databaseTest(
  "a change of a function that has changed since is refused, and so is that of a deleted one",
  async (db) => {
    const id = await createFunction(db, FUNCTION, version("one"));
    const before = await stored(db);
    assert.equal(await updateFunction(db, before, { change: { enabled: false } }), true);
    assert.equal(await updateFunction(db, before, { version: version("late"), change: {} }), false);
    const now = await stored(db);
    assert.deepEqual([now.enabled, now.latestVersion], [false, 1]);
    await deleteFunction(db, id);
    assert.equal(await updateFunction(db, now, { change: { enabled: true } }), false);
  },
);

databaseTest("versions are immutable, and the last 20 and the live one are kept", async (db) => {
  const id = await createFunction(db, FUNCTION, version("one"));
  await assert.rejects(
    db.updateTable("fluxbase.versions").set({ bundle: "other" }).where("function_id", "=", id).execute(),
    /versions are immutable/,
  );
  for (let number = 1; number < 30; number += 1) {
    assert.ok(await updateFunction(db, await stored(db), { version: version(null), change: {} }));
  }
  const kept = await db.selectFrom("fluxbase.versions").select("number").orderBy("number").execute();
  assert.deepEqual(kept.map(({ number }) => number), [1, ...Array.from({ length: 20 }, (_, index) => index + 11)]);
});

databaseTest("a deleted function frees its name and has no row in the catalog", async (db) => {
  const id = await createFunction(db, FUNCTION, version("one"));
  await assert.rejects(createFunction(db, FUNCTION, version("two")), /functions_name_idx/);
  assert.equal(await deleteFunction(db, id), true);
  assert.equal(await deleteFunction(db, id), false);
  assert.deepEqual(await listLiveFunctions(db, [id]), []);
  assert.notEqual(await createFunction(db, FUNCTION, version("two")), id);
});

databaseTest("executions keep odd text, are filtered, counted and listed newest first", async (db) => {
  const functionId = crypto.randomUUID();
  const nowMs = Date.now();
  const record = (fields: Partial<ExecutionRecord>) => executionRecord({ functionId, startedAtMs: nowMs, ...fields });
  await ensurePartitions(db, new Date(nowMs - 86_400_000), 2);
  const odd = 'nul \0, half \ud800, whole \u{1F600}, escape \\u0000, slash \\, quote "';
  const records = [
    record({ id: "old", startedAtMs: nowMs - 1_000 }),
    record({
      id: "odd",
      status: "error",
      errorMessage: odd,
      logs: [{ atMs: nowMs, level: "warn", message: odd, fields: { key: "\0" } }, {
        atMs: nowMs,
        level: "info",
        message: "second",
        fields: null,
      }],
    }),
  ];
  const lines = [{ functionId, atMs: nowMs, level: "error", message: "outside any request", fields: null }] as const;
  const key = { functionId, version: 1, triggerType: "http", minuteMs: nowMs - nowMs % 60_000 } as const;
  const minutes = [{ ...key, counts: { calls: 2, ms: 1.5 }, memoryMiB: 3 }];
  const batch = { id: "batch", records, lines, minutes };
  await insertBatch(db, batch);
  await insertBatch(db, batch);
  const more = [{ ...key, counts: { calls: 3, ms: 0.25, cold: 1 }, memoryMiB: 2 }];
  await insertBatch(db, { id: "counts", records: [], lines: [], minutes: more });
  for (const table of ["fluxbase.execution_minutes", "fluxbase.execution_hours"] as const) {
    assert.deepEqual(
      await db.selectFrom(table).select(["counts", "memory_mib"]).execute(),
      [{ counts: { calls: 5, ms: 1.75, cold: 1 }, memory_mib: 3 }],
      "a batch counts once, however often it comes",
    );
  }
  const listed = await listExecutions(db, { functionId, limit: 10, offset: 0 });
  assert.deepEqual(listed.map(({ id }) => id), ["odd", "old"]);
  const kept = odd.replace("\0", "\ufffd").replace("\ud800", "\ufffd");
  assert.equal(listed[0]?.errorMessage, kept);
  assert.equal(listed[0]?.logText, `${kept}\nsecond`);
  assert.equal(await countExecutions(db, { functionId, status: "error" }), 1);
  assert.deepEqual(
    await listExecutions(db, { functionId, since: new Date(nowMs - 10), status: "success", limit: 10, offset: 0 }),
    [],
  );
  const warnings = await listLogLines(db, { functionId, level: "warn", limit: 10 });
  assert.deepEqual(warnings.map(({ message, fields }) => [message, fields]), [[kept, { key: "\ufffd" }]]);
  const outside = await listLogLines(db, { functionId, level: "error", limit: 10 });
  assert.deepEqual(outside.map(({ executionId, message }) => [executionId, message]), [[null, "outside any request"]]);
});

databaseTest("a connection that is lost inside a transaction fails that alone, and the process lives", async (db) => {
  const lost = db.transaction().execute(async (trx) => {
    const { rows: [own] } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
    await sql`select pg_terminate_backend(${own?.pid})`.execute(db);
    // Nothing is asked of it when it breaks: nobody waits for an answer that could fail.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await sql`select 1`.execute(trx);
  });
  await assert.rejects(lost, /terminat|connection|ECONNRESET/i);
  assert.deepEqual(await listLiveFunctions(db), []);
});

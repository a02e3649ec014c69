/**
 * The record of executions against a real Postgres that is slow, away, or has a reader in the way.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sql } from "kysely";
import pg from "pg";
import { createTestDatabase } from "../../test/support/database.ts";
import { executionRecord } from "../../test/support/executions.ts";
import { eventually } from "../../test/support/platform.ts";
import { systemClock } from "../core/clock.ts";
import { createLog, type Log, silentLog } from "../core/log.ts";
import { connectDatabase, type Database } from "../storage/db.ts";
import { ensurePartitions, type ExecutionRecord } from "../storage/executions.ts";
import { startExecutionLog } from "./execution_log.ts";
import { openSpool } from "./spool.ts";

interface Place {
  readonly db: Database["db"];
  readonly url: string;
  readonly dir: string;
}

function logTest(name: string, run: (place: Place) => Promise<void>): void {
  Deno.test(name, async () => {
    const dir = await Deno.makeTempDir({ prefix: "fluxbase-spool-" });
    try {
      await using test = await createTestDatabase();
      await using database = await connectDatabase({ url: test.url, maxConnectionsCount: 4, log: silentLog });
      await run({ db: database.db, url: test.url.reveal(), dir });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

const FUNCTION_ID = crypto.randomUUID();

const record = (id: string, fields: Partial<ExecutionRecord> = {}) =>
  executionRecord({ id, functionId: FUNCTION_ID, ...fields });

const start = ({ db, dir }: Place, log: Log = silentLog, rowsPerSec = 1_000_000) =>
  startExecutionLog({ db, clock: systemClock, log, spoolDir: dir, rowsPerSec, retentionDays: 30, node: "n" });

async function rowsOf({ db }: Place): Promise<{ rows: number; ids: number }> {
  const { rows } = await sql<{ rows: number; ids: number }>`
    select count(*)::int4 as rows, count(distinct id)::int4 as ids from fluxbase.executions`.execute(db);
  return rows[0] ?? { rows: 0, ids: 0 };
}

const filesIn = async (dir: string) => {
  const { stdout } = await new Deno.Command("find", { args: [dir, "-type", "f"] }).output();
  return new TextDecoder().decode(stdout).split("\n").filter((path) => path !== "");
};

logTest("a process that dies leaves what it recorded to the next one, which writes each row once", async (place) => {
  const COUNT = 100_000;
  const BATCH_COUNT = 250;
  {
    // As a process leaves it that was killed: the lock goes with it.
    await using spool = await openSpool(place.dir);
    for (let first = 0; first < COUNT; first += BATCH_COUNT) {
      const entries = Array.from({ length: BATCH_COUNT }, (_, index) => record(`r${first + index}`));
      assert.ok(await spool.append([{ id: `batch-${first}`, entries }]));
    }
  }
  const [left] = (await filesIn(place.dir)).filter((path) => !path.endsWith("lock"));
  const text = await Deno.readTextFile(left ?? "");
  await Deno.writeTextFile(left ?? "", text.slice(0, -40));
  const lines: string[] = [];
  {
    await using _ = await start(place, createLog({ level: "info", format: "text", write: (line) => lines.push(line) }));
    // Whatever is under way is cut several times: nobody knows then whether it has been written.
    for (let count = 0; count < 8; count += 1) {
      // The question may be what is cut.
      await eventually(() => rowsOf(place).then(({ rows }) => rows > count * 4_000, () => false));
      await sql`select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid()`.execute(place.db).catch(() => {});
    }
    await eventually(() => rowsOf(place).then(({ ids }) => ids === COUNT - 1, () => false));
  }
  assert.deepEqual(await rowsOf(place), { rows: COUNT - 1, ids: COUNT - 1 }, "all but the line that was cut short");
  assert.deepEqual(await filesIn(place.dir), []);
});

logTest("what a living process keeps is left alone by another one on the same folder", async (place) => {
  await using spool = await openSpool(place.dir);
  await spool.append([{ id: "mine", entries: [record("mine")] }]);
  {
    await using other = await start(place);
    other.record(record("other"));
    await other.flush();
  }
  assert.deepEqual(await rowsOf(place), { rows: 1, ids: 1 });
  spool.cut()?.setAside();
  let isDrained = false;
  await spool.drain(({ id }) => {
    assert.equal(id, "mine");
    isDrained = true;
    return Promise.resolve();
  });
  assert.ok(isDrained);
});

logTest("rows and counts are exact over an absence of the database, in bounded files", async (place) => {
  const name = new URL(place.url).pathname.slice(1);
  const server = new URL(place.url);
  server.pathname = "/postgres";
  const admin = new pg.Client({ connectionString: server.href });
  await admin.connect();
  try {
    await using log = await start(place, silentLog, 10);
    const second = Math.floor(Date.now() / 1000) * 1000;
    const recordMany = (from: number) => {
      for (let index = from; index < from + 500; index += 1) log.record(record(`r${index}`, { startedAtMs: second }));
      for (let index = from; index < from + 50; index += 1) {
        log.record(record(`e${index}`, { status: "error", startedAtMs: second }));
      }
    };
    recordMany(0);
    // In every turn of a flush: what comes after it has taken its part must not go with the file of that part.
    const TURNS_COUNT = 30;
    const flushed = log.flush();
    for (let index = 0; index < TURNS_COUNT; index += 1) {
      log.record(record(`t${index}`, { status: "error", startedAtMs: second }));
      await Promise.resolve();
    }
    await flushed;
    // All the time, so that some come while others are on their way to the disk or the database.
    let meanwhileCount = 0;
    const timer = setInterval(() => {
      meanwhileCount += 1;
      log.record(record(`m${meanwhileCount}`, { status: "error", startedAtMs: second }));
    }, 1);
    await admin.query(`alter database ${name} allow_connections false`);
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
    for (let round = 1; round <= 4; round += 1) {
      recordMany(round * 1_000);
      await log.flush();
    }
    assert.ok((await filesIn(place.dir)).length >= 2);
    await admin.query(`alter database ${name} allow_connections true`);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    clearInterval(timer);
    await log.flush();
    const countsOf = async () => {
      const { rows } = await sql<{ counted: number }>`
        select coalesce(sum((counts ->> 'calls')::int4), 0)::int4 as counted
          from fluxbase.execution_minutes where function_id = ${FUNCTION_ID}`.execute(place.db);
      return { counted: rows[0]?.counted, ...await rowsOf(place) };
    };
    await eventually(() =>
      countsOf().then(
        ({ counted }) => (counted ?? 0) >= 5 * 550 + TURNS_COUNT + meanwhileCount,
        () => false,
      )
    );
    const rowsCount = 5 * 50 + 10 + TURNS_COUNT + meanwhileCount;
    assert.deepEqual(await countsOf(), { counted: 5 * 500 - 10 + rowsCount, rows: rowsCount, ids: rowsCount });
  } finally {
    await admin.end();
  }
});

logTest("a row that the database refuses is left out, and holds up nothing", async (place) => {
  await using log = await start(place);
  log.record(record("good"));
  log.record(record("bad", { functionId: "no uuid" }));
  log.record(record("better"));
  await log.flush();
  assert.deepEqual(await rowsOf(place), { rows: 2, ids: 2 });
});

logTest("somebody reads an old day: the start and others do not wait for it, and it goes later", async (place) => {
  const old = new Date(Date.now() - 40 * 86_400_000);
  await ensurePartitions(place.db, old, 1);
  const day = old.toISOString().slice(0, 10).replaceAll("-", "");
  const reader = new pg.Client({ connectionString: place.url });
  await reader.connect();
  try {
    await reader.query("begin");
    await reader.query(`select count(*) from fluxbase.executions_${day}`);
    const lines: string[] = [];
    {
      await using log = await start(
        place,
        createLog({ level: "info", format: "text", write: (line) => lines.push(line) }),
      );
      log.record(record("at once"));
      await log.flush();
      assert.equal((await rowsOf(place)).rows, 1);
      await eventually(() => lines.some((line) => line.includes("being read")));
      assert.equal((await rowsOf(place)).rows, 1);
    }
    await reader.query("commit");
    await using _ = await start(place);
    await eventually(async () => {
      const { rows } = await sql`select to_regclass(${`fluxbase.executions_${day}`}) as t`.execute(place.db);
      return Object.values(rows[0] ?? {})[0] === null;
    });
  } finally {
    await reader.end();
  }
});

logTest("a day without a partition gets one", async (place) => {
  await using log = await start(place);
  log.record(record("late", { startedAtMs: Date.now() - 400 * 86_400_000 }));
  await log.flush();
  assert.deepEqual(await rowsOf(place), { rows: 1, ids: 1 });
});

logTest(
  "two servers that count the same functions at the same time wait for each other, and lose nothing",
  async (place) => {
    const said: string[] = [];
    const log = createLog({ level: "warn", format: "text", write: (line) => void said.push(line) });
    const ids = Array.from({ length: 50 }, () => crypto.randomUUID());
    const ROUNDS_COUNT = 40;
    {
      await using one = await start(place, log);
      await using two = await start(place, log);
      await Promise.all([one, two].map(async (server, which) => {
        for (let round = 0; round < ROUNDS_COUNT; round += 1) {
          for (const functionId of which === 0 ? ids : ids.toReversed()) {
            server.record(record(crypto.randomUUID(), { functionId, version: 1 + round % 2 }));
          }
          await server.flush();
        }
      }));
    }
    for (const step of ["minutes", "hours"]) {
      const { rows } = await sql<{ functions: number; least: number; most: number }>`
      select count(*)::int4 as functions, min(calls)::int4 as least, max(calls)::int4 as most
        from (select sum((counts ->> 'calls')::int4) as calls from ${sql.table(`fluxbase.execution_${step}`)}
               where function_id = any (${ids}) group by function_id) as sums`.execute(place.db);
      assert.deepEqual(rows[0], { functions: 50, least: 2 * ROUNDS_COUNT, most: 2 * ROUNDS_COUNT }, step);
    }
    assert.deepEqual(said, []);
  },
);

/**
 * Following the log, search among many executions and lines, what counts of many functions cost, and what a call pays
 * to be told of.
 *
 * FLUXBASE_BENCH_ROWS says how many rows of each there are: 500,000 without, 5,000,000 is what the targets are for.
 *
 * @module
 */
import { join } from "node:path";
import { cpuUsage } from "node:process";
import { type KyselyPlugin, sql } from "kysely";
import pg from "pg";
import { prometheusRoutes } from "../packages/server/src/api/prometheus_routes.ts";
import { PLATFORM } from "../packages/server/src/auth/caller.ts";
import { delay, systemClock } from "../packages/server/src/core/clock.ts";
import { silentLog } from "../packages/server/src/core/log.ts";
import { startExecutionLog } from "../packages/server/src/executions/execution_log.ts";
import { connectDatabase, type Db } from "../packages/server/src/storage/db.ts";
import { startEmbeddedPostgres } from "../packages/server/src/storage/embedded/embedded_postgres.ts";
import { ensurePartitions, listExecutions, listLogLines } from "../packages/server/src/storage/executions.ts";
import { migrate } from "../packages/server/src/storage/migrate.ts";
import { executionRecord } from "../packages/server/test/support/executions.ts";

import { percentile, type Row, type Suite, timeOf } from "./suite.ts";
import { tailing } from "./tailing.ts";
import { telemetry } from "./telemetry.ts";

const ROWS_COUNT = Number(Deno.env.get("FLUXBASE_BENCH_ROWS") ?? 500_000);
const CHUNK_COUNT = 250_000;
const FUNCTIONS_COUNT = 1_000;
const ACTIVE_COUNT = 10_000;
const COUNTED_PER_SEC = 2_000;
const ASKED_COUNT = 20;
const SEARCH_MAX_MS = 300;
const PAGE_MAX_MS = 200;
/** Executions that a server writes one by one at most, each of another function: that many in ten seconds. */
const WRITE_MAX_MS = 10_000;

export const observability: Suite = {
  name: "observability",
  async run(dir) {
    await using postgres = await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silentLog });
    await using database = await connectDatabase({ url: postgres.url, maxConnectionsCount: 2, log: silentLog });
    const { db } = database;
    await migrate(db, silentLog);
    await ensurePartitions(db, new Date(), 1);
    const tailed = await tailing(postgres.url.reveal(), dir);
    const counted = await counting(db, dir);
    await fill(postgres.url.reveal());
    return [...tailed, ...counted, ...await searching(db), ...await telemetry(dir)];
  },
};

async function counting(db: Db, dir: string): Promise<Row[]> {
  const ids = Array.from({ length: ACTIVE_COUNT }, () => crypto.randomUUID());
  await using log = await startExecutionLog({
    db: db as never,
    clock: systemClock,
    log: silentLog,
    spoolDir: join(dir, "spool"),
    rowsPerSec: ACTIVE_COUNT,
    retentionDays: 30,
    node: "bench",
  });
  const writeMs = await timeOf(async () => {
    for (const functionId of ids) log.record(executionRecord({ id: crypto.randomUUID(), functionId }));
    await log.flush();
  });
  const [route] = prometheusRoutes({
    catalog: { findById: (id) => ({ id, namespace: "bench", name: id }) as never },
    executions: log,
    version: "0",
    server: () => Promise.resolve([]),
  });
  const call = { caller: PLATFORM } as never;
  let bytes = 0;
  const pageMs = await cpuTimeOf(async () => bytes = String((await route?.handle(call))?.text).length);
  return [
    await statementsThatCount(db, dir, ids),
    row(`executions of ${ACTIVE_COUNT} functions are written and counted`, writeMs, WRITE_MAX_MS),
    row(
      `processor time of /metrics after calls of ${ACTIVE_COUNT} functions, ${Math.round(bytes / 1_000)} kB`,
      pageMs,
      PAGE_MAX_MS,
    ),
  ];
}

/** Of all threads of this process: others may use the machine at the same time. */
async function cpuTimeOf(work: () => Promise<unknown>): Promise<number> {
  const before = cpuUsage();
  await work();
  const { user, system } = cpuUsage(before);
  return (user + system) / 1_000;
}

/** With calls that get no row of their own, which counts could go along with. */
async function statementsThatCount(db: Db, dir: string, ids: readonly string[]): Promise<Row> {
  let countingCount = 0;
  const noting: KyselyPlugin = {
    transformQuery({ node }) {
      const text = JSON.stringify(node);
      if (text.includes("minutes as (") && !text.includes("executions as (")) countingCount += 1;
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  };
  await using log = await startExecutionLog({
    db: db.withPlugin(noting) as never,
    clock: systemClock,
    log: silentLog,
    spoolDir: join(dir, "spool-counting"),
    rowsPerSec: 0,
    retentionDays: 30,
    node: "bench",
  });
  const startedMs = performance.now();
  for (let made = 0; made < ids.length;) {
    const due = Math.min(ids.length, Math.ceil((performance.now() - startedMs) * COUNTED_PER_SEC / 1_000));
    for (const functionId of ids.slice(made, due)) {
      log.record(executionRecord({ id: crypto.randomUUID(), functionId }));
    }
    made = due;
    await delay(10);
  }
  await log.flush();
  const rate = countingCount / ((performance.now() - startedMs) / 1_000);
  return {
    what: `statements a second for counts alone, ${ACTIVE_COUNT} functions active, ${COUNTED_PER_SEC} calls/s`,
    target: "≤ 1",
    measured: rate.toFixed(1),
    isMet: rate <= 1,
  };
}

async function searching(db: Db): Promise<Row[]> {
  const { rows: [some] } = await sql<{ id: string }>`select function_id as id from fluxbase.executions limit 1`.execute(
    db,
  );
  const functionId = some?.id ?? "";
  const page = { limit: 50, offset: 0 };
  const far = String(Date.parse(new Date().toISOString().slice(0, 10)) * 1_000 + ROWS_COUNT * 500);
  const questions: Readonly<Record<string, () => Promise<unknown>>> = {
    "executions of all": () => listExecutions(db, page),
    "executions of all, the page after half of them": () =>
      listExecutions(db, { ...page, after: { startedAtUs: far, id: "" } }),
    "executions of a function": () => listExecutions(db, { ...page, functionId }),
    "executions of a function that failed": () => listExecutions(db, { ...page, functionId, status: "error" }),
    "executions of a user": () => listExecutions(db, { ...page, userId: "user 77" }),
    "executions with a rare error code": () => listExecutions(db, { ...page, errorCode: "MEMORY_LIMIT" }),
    "executions with a rare text": () => listExecutions(db, { ...page, text: "needle 500000" }),
    "lines of all": () => listLogLines(db, { limit: 50 }),
    "lines of a function that are errors": () => listLogLines(db, { limit: 50, functionId, level: "error" }),
    "lines with a rare text": () => listLogLines(db, { limit: 50, text: "line 1234567 of" }),
    "lines with a text that many have": () => listLogLines(db, { limit: 50, text: "of many" }),
    "lines with a text that none has": () => listLogLines(db, { limit: 50, text: "nobody wrote this" }),
  };
  const rows: Row[] = [];
  for (const [what, ask] of Object.entries(questions)) {
    await ask();
    const times: number[] = [];
    for (let count = 0; count < ASKED_COUNT; count += 1) times.push(await timeOf(ask));
    rows.push(row(`${what}, of ${ROWS_COUNT / 1_000_000} million: p95`, percentile(times, 95), SEARCH_MAX_MS));
  }
  return rows;
}

/** One in 100 fails, one in a million for want of memory; one in 1,000 is of a certain user. */
async function fill(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (let first = 1; first <= ROWS_COUNT; first += CHUNK_COUNT) {
      const last = Math.min(ROWS_COUNT, first + CHUNK_COUNT - 1);
      await client.query(`
        insert into fluxbase.executions (id, function_id, function_name, namespace, version, trigger_type, status, status_code,
                                         duration_ms, method, path, user_id, error_code, error_message, started_at)
        select 'e' || i, md5((i % ${FUNCTIONS_COUNT})::text)::uuid, 'f' || i % ${FUNCTIONS_COUNT}, 'n' || i % 20, 1, 'http',
               case when i % 100 = 0 then 'error' else 'success' end, case when i % 100 = 0 then 500 else 200 end, 1, 'GET', '',
               'user ' || i % 1000, case when i % 1000000 = 0 then 'MEMORY_LIMIT' when i % 100 = 0 then 'FUNCTION_ERROR' end,
               case when i % 100 = 0 then 'needle ' || i end, date_trunc('day', now(), 'UTC') + i * interval '1 millisecond'
          from generate_series(${first}, ${last}) i`);
      await client.query(`
        insert into fluxbase.execution_logs (execution_id, function_id, started_at, line_number, logged_at, level, message)
        select 'e' || i, md5((i % ${FUNCTIONS_COUNT})::text)::uuid, date_trunc('day', now(), 'UTC') + i * interval '1 millisecond',
               1, date_trunc('day', now(), 'UTC') + i * interval '1 millisecond',
               case when i % 500 = 0 then 'error' else 'info' end, 'line ' || i || ' of many'
          from generate_series(${first}, ${last}) i`);
    }
    await client.query("vacuum analyze fluxbase.executions");
    await client.query("vacuum analyze fluxbase.execution_logs");
  } finally {
    await client.end();
  }
}

function row(what: string, ms: number, mostMs: number): Row {
  return { what, target: `≤ ${mostMs} ms`, measured: `${Math.round(ms * 10) / 10} ms`, isMet: ms <= mostMs };
}

/**
 * Executions and log lines are found by what is known of them, page by page, and by indexes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { CompiledQuery, Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { systemClock } from "../src/core/clock.ts";
import { silentLog } from "../src/core/log.ts";
import type { Secret } from "../src/core/secret.ts";
import { startExecutionLog } from "../src/executions/execution_log.ts";
import { ensurePartitions, type ExecutionFilter, listExecutions, listLogLines } from "../src/storage/executions.ts";
import type { Schema } from "../src/storage/schema.ts";
import { migrate } from "../src/storage/migrate.ts";
import { connectDatabase, type Db } from "../src/storage/db.ts";
import { createTestDatabase } from "./support/database.ts";
import { executionRecord } from "./support/executions.ts";
import { platformTest } from "./support/platform.ts";

const ECHO = `export default (req) => {
  const { say, fail, status } = req.params;
  if (say) console.log(say);
  if (fail) throw new Error(fail);
  return { status: Number(status ?? 200), body: "" };
}`;

platformTest("executions and lines are found by what is known of them", async (platform, step) => {
  const { api } = platform;
  await platform.deploy("echo", ECHO);
  await platform.deploy("echo", ECHO, { namespace: "else" });
  const call = async (query: string, name = "echo") => {
    const response = await platform.call(`${name}/invoke?${query}`);
    await response.body?.cancel();
    return response.headers.get("x-request-id") ?? "";
  };
  const first = await call("say=A%20100%25%20sure%20line");
  const failed = await call("fail=The%20Quick_brown%20fox");
  const missing = await call("status=404");
  const elsewhere = await call("say=from%20elsewhere", "else/echo");
  await api("PUT", "/functions/echo", { code: ECHO.replace("200", "201") });
  const second = await call("say=again");
  await platform.executions("echo", 4);
  await platform.executions("else/echo", 1);

  const found = async (path: string): Promise<string[]> => {
    const { status, body } = await api("GET", path);
    assert.equal(status, 200, JSON.stringify(body));
    return (body.executions ?? body).map(({ id, execution_id, message }: Record<string, string>) =>
      message === undefined ? id : execution_id
    );
  };

  await step("executions", async () => {
    const cases: Readonly<Record<string, readonly string[]>> = {
      "version=1": [missing, failed, first],
      "version=2": [second],
      "status=error": [failed],
      "status_code=404": [missing],
      "code=FUNCTION_ERROR": [failed],
      "text=qUICK_": [failed],
      "text=k%25n": [],
      "text=%5C": [],
      "trigger=http&limit=2": [second, missing],
      "trigger=cron": [],
      "user_id=nobody": [],
      [`request_id=${first}`]: [first],
      "until=2020-01-01T00:00:00Z": [],
      "since=2020-01-01T00:00:00Z&limit=1&offset=3": [first],
    };
    for (const [query, ids] of Object.entries(cases)) {
      assert.deepEqual(await found(`/functions/echo/executions?${query}`), ids, query);
      assert.deepEqual(
        await found(`/admin/functions/executions?namespace=default&function_name=echo&${query}`),
        ids,
        query,
      );
    }
    assert.deepEqual(await found("/admin/functions/executions?namespace=else"), [elsewhere]);
  });

  await step("lines", async () => {
    assert.deepEqual(await found("/functions/echo/logs?text=100%25%20SURE"), [first]);
    assert.deepEqual(await found("/functions/echo/logs?text=100_"), []);
    assert.deepEqual(await found("/admin/functions/logs"), [second, elsewhere, failed, first]);
    assert.deepEqual(await found("/admin/functions/logs?namespace=else"), [elsewhere]);
    assert.deepEqual(await found("/admin/functions/logs?function_name=echo&text=again"), [second]);
    assert.deepEqual(await found("/admin/functions/logs?level=error"), [failed]);
    const [line] = (await api("GET", "/admin/functions/logs?namespace=else")).body;
    assert.deepEqual([line.namespace, line.function_name, line.message], ["else", "echo", "from elsewhere"]);
    assert.deepEqual((await api("GET", `/admin/functions/executions/${first}/logs`)).body.count, 1);
  });

  await step("pages by cursor have each entry once, whatever comes meanwhile", async () => {
    for (const path of ["/functions/echo/executions", "/admin/functions/executions", "/admin/functions/logs"]) {
      const all = await found(path);
      const seen: string[] = [];
      for (let cursor = ""; seen.length < all.length;) {
        const { body } = await api("GET", `${path}?limit=1&cursor=${cursor}`);
        const [entry] = body.executions ?? body;
        assert.ok(entry !== undefined, path);
        seen.push(entry.execution_id ?? entry.id);
        cursor = entry.cursor;
        await call("say=meanwhile");
      }
      assert.deepEqual(seen, all, path);
    }
  });

  await step("what is no cursor, version or instant is refused with what would be", async () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ["cursor=x", /"cursor" must be the "cursor" of an entry of the page before/],
      [`cursor=${btoa('["1", 2]').replaceAll("=", "")}`, /"cursor" must be/],
      [`cursor=${btoa('["99999999999999999999","a"]').replaceAll("=", "")}`, /"cursor" must be/],
      ["offset=10001", /from 0 to 10000/],
      ["version=0", /must be the number of a version/],
      ["status_code=1000", /must be a status of HTTP/],
      ["code=NONSENSE", /"code" must be one of/],
      ["text=%00", /must not contain NUL/],
      [`text=${"x".repeat(201)}`, /at most 200/],
    ];
    for (const [query, says] of cases) {
      const { status, body } = await api("GET", `/admin/functions/executions?${query}`);
      assert.deepEqual([status, body.code], [400, "INVALID_ARGUMENT"], query);
      assert.match(body.error, says, query);
    }
  });
});

/** What must not take longer the more there is, by how it is asked for. */
const QUESTIONS: Readonly<Record<string, ExecutionFilter>> = {
  "of a function": { functionId: "F" },
  "of a function, by status": { functionId: "F", status: "killed" },
  "of a version": { functionId: "F", version: 7 },
  "of all": {},
  "of a namespace": { namespace: "rare" },
  "of a name": { functionName: "rare" },
  "by status": { status: "killed" },
  "by error code": { errorCode: "MEMORY_LIMIT" },
  "by status of HTTP": { statusCode: 418 },
  "by user": { userId: "u-rare" },
  "by text": { text: "needle" },
  "by request": { requestId: "nobody" },
};

Deno.test("every question is answered by an index, and reads no more than it shows", async (test) => {
  await using place = await createTestDatabase();
  await using database = await connectDatabase({ url: place.url, maxConnectionsCount: 2, log: silentLog });
  const { db } = database;
  await migrate(db, silentLog);
  const now = new Date();
  await ensurePartitions(db, now, 1);
  const functionId = crypto.randomUUID();
  const other = crypto.randomUUID();
  await sql`
    insert into fluxbase.executions (id, function_id, function_name, namespace, version, trigger_type, status, status_code, duration_ms,
                                     method, path, started_at)
    select 'e' || i, case when i % 2 = 0 then ${functionId}::uuid else ${other}::uuid end, 'common', 'common', 1, 'http', 'success',
           200, 1, 'GET', '', date_trunc('day', now(), 'UTC') + i * interval '1 millisecond'
      from generate_series(1, 60000) i`.execute(db);
  const rare = {
    functionId,
    functionName: "rare",
    namespace: "rare",
    version: 7,
    status: "killed",
    statusCode: 418,
    errorCode: "MEMORY_LIMIT",
    errorMessage: "a needle in hay",
    userId: "u-rare",
    startedAtMs: Math.floor(now.getTime() / 86_400_000) * 86_400_000,
    logs: [{ atMs: now.getTime(), level: "error", message: "a needle in hay", fields: null }],
  } as const;
  const dir = await Deno.makeTempDir();
  {
    await using log = await startExecutionLog({
      db,
      clock: systemClock,
      log: silentLog,
      spoolDir: dir,
      rowsPerSec: 1_000,
      retentionDays: 30,
      node: "n",
    });
    log.record(executionRecord({ id: "rare", ...rare }));
  }
  await Deno.remove(dir, { recursive: true });
  await sql`
    insert into fluxbase.execution_logs (execution_id, function_id, started_at, line_number, logged_at, level, message)
    select 'e' || i, case when i % 2 = 0 then ${functionId}::uuid else ${other}::uuid end, date_trunc('day', now(), 'UTC'), 1,
           date_trunc('day', now(), 'UTC') + i * interval '1 millisecond', 'info', 'common words of a line ' || i
      from generate_series(1, 60000) i`.execute(db);
  await sql`analyze fluxbase.executions`.execute(db);
  await sql`analyze fluxbase.execution_logs`.execute(db);

  for (const [name, question] of Object.entries(QUESTIONS)) {
    await test.step(`executions ${name}`, async () => {
      const filter = "functionId" in question ? { ...question, functionId } : question;
      const { rows, scanned } = await explained(
        place.url,
        (explaining) => listExecutions(explaining, { ...filter, limit: 50, offset: 0 }),
      );
      assert.ok(scanned <= 200, `${scanned} rows were looked at\n${rows}`);
    });
  }
  const lines = {
    "of a function": { functionId },
    "of a function, by level": { functionId, level: "error" },
    "of all": {},
    "by level": { level: "error" },
    "by text": { text: "needle" },
  } as const;
  for (const [name, question] of Object.entries(lines)) {
    await test.step(`lines ${name}`, async () => {
      const { rows, scanned } = await explained(
        place.url,
        (explaining) => listLogLines(explaining, { ...question, limit: 50 }),
      );
      assert.ok(scanned <= 200, `${scanned} rows were looked at\n${rows}`);
    });
  }
});

interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly "Plans"?: readonly PlanNode[];
}

/** How Postgres answers the statement that `ask` sends, and how many rows it looks at for that. */
async function explained(
  url: Secret,
  ask: (db: Db) => Promise<unknown>,
): Promise<{ readonly rows: string; readonly scanned: number }> {
  const asked: CompiledQuery[] = [];
  const pool = new pg.Pool({ connectionString: url.reveal(), max: 1, options: "-c search_path=pg_catalog" });
  // Its database may be dropped before the goodbye of the last connection has arrived.
  pool.on("error", () => {});
  const db = new Kysely<Schema>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query }) => void asked.push(CompiledQuery.raw(query.sql, [...query.parameters])),
  });
  try {
    await ask(db);
    const [query] = asked;
    assert.ok(query !== undefined && asked.length === 1);
    const { rows } = await db.executeQuery<{ "QUERY PLAN": readonly [{ readonly Plan: PlanNode }] }>(
      CompiledQuery.raw(`explain (analyze, format json) ${query.sql}`, [...query.parameters]),
    );
    const nodes = rows.flatMap((row) => nodesOf(row["QUERY PLAN"][0].Plan));
    const scans = nodes.filter((node) => node["Node Type"].includes("Scan") && node["Relation Name"] !== undefined);
    const scanned = scans.reduce(
      (sum, node) =>
        sum + node["Actual Loops"] * (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0) +
            (node["Rows Removed by Index Recheck"] ?? 0)),
      0,
    );
    return { rows: nodes.map((node) => `${node["Node Type"]} on ${node["Relation Name"] ?? "-"}`).join("\n"), scanned };
  } finally {
    await db.destroy();
  }
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

/**
 * Several servers with one queue, in a real database, that crash and lose the database at any moment.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { sql } from "kysely";
import { createChance } from "../../test/chaos/chance.ts";
import { createTestDatabase } from "../../test/support/database.ts";
import { eventually } from "../../test/support/platform.ts";
import { systemClock } from "../core/clock.ts";
import { silentLog } from "../core/log.ts";
import { connectDatabase, type Database } from "../storage/db.ts";
import { migrate } from "../storage/migrate.ts";
import {
  type AttemptOutcome,
  type ClaimedTask,
  claimTasks,
  insertTask,
  nextTaskMs,
  renewLeases,
  settleAttempts,
} from "../storage/tasks.ts";
import { startTaskRunner, type TaskStore } from "./task_runner.ts";

const LEASE_MS = 600;
const FUNCTIONS_COUNT = 3;
const CONCURRENCY = 2;
const RUNS_COUNT = Number(Deno.env.get("FLUXBASE_TEST_QUEUE_RUNS") ?? 2);

async function makeFunctions({ db }: Database): Promise<string[]> {
  const ids = Array.from({ length: FUNCTIONS_COUNT }, () => crypto.randomUUID());
  for (const [index, id] of ids.entries()) {
    await sql`insert into fluxbase.functions (id, namespace, name, source, live_version, latest_version, current_version)
      values (${id}, 'default', ${`f${index}`}, 'api', 1, 1, 1)`.execute(db);
    await sql`insert into fluxbase.versions (function_id, number, entry, files, settings, env_names, content_hash, problems,
        annotations, warnings, dependencies)
      values (${id}, 1, 'index.ts', '{}', ${JSON.stringify({ taskConcurrency: CONCURRENCY })}, '{}', 'hash', '[]', '{}',
        '[]', '{}')`.execute(db);
  }
  return ids;
}

function enqueue(db: Database["db"], functionId: string): Promise<string> {
  return insertTask(db, {
    id: crypto.randomUUID(),
    functionId,
    triggerType: "task",
    sourceId: null,
    caller: { kind: "service", role: "service_role", userId: null, keyId: null, facts: {} },
    method: "POST",
    url: "/",
    path: "",
    headers: {},
    body: null,
    dedupeKey: null,
    runAt: null,
    retries: 5,
    createdBy: null,
  });
}

/** What a whole run did, as the functions see it. */
interface Seen {
  readonly running: Map<string, number>;
  readonly answered: Map<string, number>;
  readonly doubled: string[];
  readonly crowded: string[];
}

interface Server {
  readonly name: string;
  isDead: boolean;
  readonly stop: AbortController;
}

/** Anything that a server awaits may be the moment at which it is gone, or at which the database is away. */
function frail(db: Database["db"], server: Server, chance: () => number): TaskStore {
  async function at<T>(work: () => Promise<T>): Promise<T> {
    await crash();
    if (chance() < 0.05) throw new Error("the database is away");
    const result = await work();
    await crash();
    if (chance() < 0.05) throw new Error("the connection broke before the answer");
    return result;
  }
  async function crash(): Promise<void> {
    if (chance() < 0.01) server.isDead = true;
    // A dead server never goes on.
    if (server.isDead) await new Promise(() => {});
  }
  const node = server.name;
  return {
    claim: (roomCount, leaseSec) => at(() => claimTasks(db, { node, roomCount, leaseSec, concurrency: CONCURRENCY })),
    nextMs: () => at(() => nextTaskMs(db)),
    renew: (ids, leaseSec) => at(() => renewLeases(db, { node, ids, leaseSec })),
    settle: (outcomes) => at(() => settleAttempts(db, node, outcomes)),
  };
}

function startServer(db: Database["db"], seen: Seen, chance: () => number) {
  const server: Server = { name: crypto.randomUUID(), isDead: false, stop: new AbortController() };

  async function attempt(task: ClaimedTask, signal: AbortSignal): Promise<AttemptOutcome | null> {
    const { id, functionId } = task;
    if ((seen.running.get(id) ?? 0) > 0) seen.doubled.push(id);
    const ofFunction = [...seen.running].filter(([key, count]) => count > 0 && key.startsWith(functionId)).length;
    if (ofFunction >= CONCURRENCY) seen.crowded.push(id);
    seen.running.set(id, 1).set(`${functionId} ${id}`, 1);
    const until = performance.now() + chance() * 120;
    while (performance.now() < until && !signal.aborted && !server.isDead) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    seen.running.set(id, 0).delete(`${functionId} ${id}`);
    if (server.isDead) return await new Promise(() => {});
    if (signal.aborted) return null;
    seen.answered.set(id, (seen.answered.get(id) ?? 0) + 1);
    const isFailure = chance() < 0.2;
    return {
      id,
      attempt: task.attempt,
      executionId: null,
      state: isFailure ? (task.attempt > task.retries ? "dead" : "waiting") : "done",
      inSec: chance() * 0.1,
      isUncounted: false,
      statusCode: isFailure ? 500 : 200,
      answerType: null,
      answer: null,
      isCut: false,
      error: isFailure ? "the function answered 500" : null,
      errorCode: null,
    };
  }

  const runner = startTaskRunner({
    store: frail(db, server, chance),
    clock: systemClock,
    log: silentLog,
    roomCount: 3,
    attempt,
    stopping: server.stop.signal,
    leaseMs: LEASE_MS,
  });
  return { server, runner };
}

Deno.test({
  name: "no task is lost, runs twice at once, or starves, whatever servers do",
  // Servers that died leave promises and timers behind, as they do.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using platform = await createTestDatabase();
    await using database = await connectDatabase({ url: platform.url, maxConnectionsCount: 8, log: silentLog });
    await migrate(database.db, silentLog);
    const functions = await makeFunctions(database);
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const chance = createChance(seed).next;
        const seen: Seen = { running: new Map(), answered: new Map(), doubled: [], crowded: [] };
        await sql`delete from fluxbase.tasks`.execute(database.db);
        const servers = Array.from({ length: 3 }, () => startServer(database.db, seen, chance));
        const ids: string[] = [];
        for (let index = 0; index < 40; index += 1) {
          ids.push(
            await enqueue(database.db, functions[index % FUNCTIONS_COUNT] ?? ""),
          );
        }
        const deadline = Date.now() + 60_000;
        for (;;) {
          for (const [index, { server }] of servers.entries()) {
            if (server.isDead) servers[index] = startServer(database.db, seen, chance);
          }
          const { rows } = await sql<{ left: number }>`
            select count(*)::int as left from fluxbase.tasks where state in ('waiting', 'running')`.execute(
            database.db,
          );
          if (rows[0]?.left === 0) break;
          assert.ok(Date.now() < deadline, `${rows[0]?.left} tasks are still not done`);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        for (const { server } of servers) {
          server.isDead = true;
          server.stop.abort();
        }
        const { rows } = await sql<{ id: string; state: string; attempts: number }>`
          select id, state, attempts from fluxbase.tasks`.execute(database.db);
        assert.equal(rows.length, ids.length, "a task is lost");
        assert.deepEqual(seen.doubled, [], "a task ran twice at once");
        assert.deepEqual(seen.crowded, [], "a function had more attempts at once than it may");
        for (const { id, state, attempts } of rows) {
          assert.ok(state === "dead" || (seen.answered.get(id) ?? 0) > 0, `${id} is ${state} and was never answered`);
          assert.ok(attempts <= 6, `${id} was tried ${attempts} times`);
        }
      }),
      { numRuns: RUNS_COUNT },
    );
  },
});

Deno.test("a server that stops lets what it runs be done, so that nobody begins it a second time meanwhile", async () => {
  await using platform = await createTestDatabase();
  await using database = await connectDatabase({ url: platform.url, maxConnectionsCount: 8, log: silentLog });
  const [functionId = ""] = await makeFunctions(database);
  const seen: Seen = { running: new Map(), answered: new Map(), doubled: [], crowded: [] };
  const { server, runner } = startServer(database.db, seen, () => 0.9);
  const id = await enqueue(database.db, functionId);
  runner.wake();
  await eventually(() => seen.running.get(id) === 1);
  server.stop.abort();
  await runner.finish(performance.now() + 60_000);
  assert.equal(seen.answered.get(id), 1);
  assert.equal(runner.runningCount, 0);
  await runner[Symbol.asyncDispose]();
});

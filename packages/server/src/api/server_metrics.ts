/**
 * Metrics of the server itself, and of the tasks and schedules that all servers share.
 *
 * @module
 */
import type { AuditLog } from "../audit/audit_log.ts";
import type { BuildCounts } from "../bundler/counted_builds.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { withDeadline } from "../core/clock.ts";
import type { EventLoopLag } from "../core/event_loop_lag.ts";
import type { ExecutionLogStats } from "../executions/execution_log.ts";
import type { PoolStats } from "../sandbox/sandbox_pool.ts";
import type { Database } from "../storage/db.ts";
import type { ScheduleLag } from "../storage/schedules.ts";
import type { TaskCounts } from "../storage/tasks.ts";
import { labelled, type MetricFamily, type Point, single } from "../telemetry/metric_family.ts";

export interface ServerParts {
  readonly catalog: Pick<Catalog, "findById">;
  readonly sandboxes: { stats(): PoolStats };
  readonly executions: { stats(): ExecutionLogStats };
  readonly audit: Pick<AuditLog, "refusals">;
  readonly builds: { counts(): BuildCounts };
  readonly database: Pick<Database, "connections">;
  readonly lag: EventLoopLag;
  readonly tasks: { readonly runningCount: number };
  countTasks(): Promise<readonly TaskCounts[]>;
  scheduleLags(): Promise<readonly ScheduleLag[]>;
}

const MIB = 1024 * 1024;
/** Metrics are asked for most of all when the database is slow. */
const DATABASE_MAX_MS = 1_000;
const FUNCTIONS_MAX_COUNT = 1_000;
const OTHERS = { namespace: "other", function: "other" };

export async function serverMetrics(parts: ServerParts): Promise<MetricFamily[]> {
  return [...ofSandboxes(parts), ...ofRecords(parts), ...ofServer(parts), ...await ofShared(parts)];
}

function ofSandboxes({ sandboxes }: ServerParts): MetricFamily[] {
  const { doing, startedCount, evictedCount, waitingCount } = sandboxes.stats();
  const states = Object.entries(doing).filter(([state]) => state !== "dead");
  return [
    labelled(
      "fluxbase_sandboxes",
      "Sandboxes by what they do",
      states.map(([state, { count }]) => ({ labels: { state }, value: count })),
    ),
    labelled(
      "fluxbase_sandboxes_memory_bytes",
      "Memory of sandboxes by what they do",
      states.map(([state, { memoryMiB }]) => ({ labels: { state }, value: Math.round(memoryMiB * MIB) })),
    ),
    single("fluxbase_sandbox_starts_total", "Sandboxes that were started", startedCount),
    single("fluxbase_sandbox_evictions_total", "Sandboxes that gave way to others", evictedCount),
    single("fluxbase_requests_waiting", "Requests that wait for a sandbox", waitingCount),
  ];
}

function ofRecords({ executions, sandboxes }: ServerParts): MetricFamily[] {
  const { recordedCount, foldedCount, waitingCount, droppedLinesCount } = executions.stats();
  return [
    single("fluxbase_executions_recorded_total", "Executions that were recorded", recordedCount),
    single("fluxbase_executions_folded_total", "Executions that were only counted", foldedCount),
    single("fluxbase_executions_waiting", "Executions that wait to be written", waitingCount),
    labelled("fluxbase_log_lines_dropped_total", "Lines of functions that were left out", [
      { labels: { reason: "rate" }, value: sandboxes.stats().droppedLinesCount },
      { labels: { reason: "waiting" }, value: droppedLinesCount },
    ]),
  ];
}

function ofServer({ audit, builds, database, lag }: ServerParts): MetricFamily[] {
  const { total, idle, waiting } = database.connections();
  const { succeededCount, failedCount, runningCount, tookMs } = builds.counts();
  return [
    labelled(
      "fluxbase_requests_refused_total",
      "Requests to functions and to the API that were refused for who sent them, or for how many",
      Object.entries(audit.refusals()).map(([code, value]) => ({ labels: { code }, value })),
    ),
    labelled("fluxbase_builds_total", "Builds of functions by how they ended", [
      { labels: { result: "success" }, value: succeededCount },
      { labels: { result: "failure" }, value: failedCount },
    ]),
    single("fluxbase_build_time_seconds_total", "Time that builds took", tookMs / 1_000),
    single("fluxbase_builds_running", "Builds that run or wait", runningCount),
    single("fluxbase_database_connections", "Connections to the platform's database", total),
    single("fluxbase_database_connections_idle", "Connections that nobody uses", idle),
    single("fluxbase_database_statements_waiting", "Statements that wait for a connection", waiting),
    single(
      "fluxbase_event_loop_lag_seconds",
      "The longest that the event loop made a timer wait, of the last 15 to 30 seconds",
      lag.longestMs() / 1_000,
    ),
    single("fluxbase_server_memory_bytes", "Memory of the server's process", Deno.memoryUsage().rss),
  ];
}

/** Without those of the database when it does not answer. */
async function ofShared({ tasks, countTasks, scheduleLags, catalog }: ServerParts): Promise<MetricFamily[]> {
  const running = single("fluxbase_tasks_attempts_running", "Tasks that run on this server", tasks.runningCount);
  const asking = Promise.all([countTasks(), scheduleLags()]);
  try {
    const [counts, lags] = await withDeadline(asking, DATABASE_MAX_MS, () => new Error("The database is slow"));
    return [running, ...ofTasks(counts, catalog), ofSchedules(lags, catalog)];
  } catch {
    return [running];
  }
}

function ofTasks(counts: readonly TaskCounts[], catalog: ServerParts["catalog"]): MetricFamily[] {
  const rows = withLabels(counts.toSorted((a, b) => b.count - a.count), catalog);
  const waiting = rows.filter(({ state }) => state === "waiting");
  return [
    labelled(
      "fluxbase_tasks",
      "Tasks of all servers together by function and state",
      merged(rows.map(({ labels, state, count }) => ({ labels: { ...labels, state }, value: count })), (a, b) => a + b),
    ),
    labelled(
      "fluxbase_tasks_due_seconds",
      "How long the oldest task has been due that nobody runs",
      merged(waiting.map(({ labels, oldestSec }) => ({ labels, value: oldestSec })), Math.max),
    ),
  ];
}

function ofSchedules(lags: readonly ScheduleLag[], catalog: ServerParts["catalog"]): MetricFamily {
  const rows = withLabels(lags.toSorted((a, b) => b.lagSec - a.lagSec), catalog);
  return labelled(
    "fluxbase_schedule_lag_seconds",
    "How long an instant of a schedule has been due that no server has seen to",
    merged(rows.map(({ labels, lagSec }) => ({ labels, value: lagSec })), Math.max),
  );
}

/** Of the first ones their function's, of all others those that they share. */
function withLabels<T extends { readonly functionId: string }>(rows: readonly T[], catalog: ServerParts["catalog"]) {
  return rows.map((row, index) => {
    const fn = index < FUNCTIONS_MAX_COUNT ? catalog.findById(row.functionId) : undefined;
    return { ...row, labels: fn === undefined ? OTHERS : { namespace: fn.namespace, function: fn.name } };
  });
}

/** Those of the same labels become one. */
function merged(points: readonly Point[], join: (a: number, b: number) => number): Point[] {
  const found = new Map<string, Point>();
  for (const { labels, value } of points) {
    const key = JSON.stringify(labels);
    const before = found.get(key);
    found.set(key, { labels, value: before === undefined ? value : join(before.value, value) });
  }
  return [...found.values()];
}

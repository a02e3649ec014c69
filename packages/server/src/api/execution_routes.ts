/**
 * Routes that show what happened: executions and their logs. Whoever asks sees what this server has answered before.
 *
 * @module
 */
import { type ErrorCode, ERRORS, EXECUTION_STATUSES, LOG_LEVELS, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import type { Catalog } from "../catalog/catalog.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import { assertAdmin } from "../auth/permissions.ts";
import { UNBUFFERED } from "../core/event_stream.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import type { LogTail } from "../executions/log_tail.ts";
import type { Database } from "../storage/db.ts";
import {
  COUNTED_MAX_COUNT,
  countExecutions,
  findExecution,
  listExecutions,
  listLinesOfExecution,
  listLogLines,
  type LogFilter,
  type LogMark,
  type StoredLogLine,
} from "../storage/executions.ts";
import { cursorParam, executionMark, logMark } from "./cursor.ts";
import { followLogs } from "./followed_logs.ts";
import { placeFor } from "./function_routes.ts";
import { choiceParam, instantParam, integerParam, parseQuery, textParam } from "./query.ts";
import { type ApiCall, authorOf, type Route } from "./route.ts";
import { executionView, logView } from "./execution_view.ts";
import { executionSchema, logEntrySchema } from "./schemas.ts";

const PAGE_MAX_COUNT = 1_000;
/** Lines of the past are read in pages, since each may be long. */
const PAST_PAGE_COUNT = 250;
const limitParam = (otherwise: number) => integerParam({ min: 1, max: PAGE_MAX_COUNT, otherwise });
/** The database goes through everything before it: pages far away have cursors. */
const OFFSET_MAX_COUNT = 10_000;

const executionFilter = {
  request_id: textParam,
  version: z.coerce.number().int().min(1, "must be the number of a version").max(2_147_483_647).optional(),
  status: choiceParam(EXECUTION_STATUSES),
  status_code: z.coerce.number().int().min(100, "must be a status of HTTP").max(599, "must be a status of HTTP")
    .optional(),
  code: choiceParam(Object.keys(ERRORS) as ErrorCode[]),
  user_id: textParam,
  trigger: textParam,
  trace_id: textParam,
  captured: choiceParam(["true", "false"]),
  text: textParam,
  since: instantParam,
  until: instantParam,
  cursor: cursorParam(executionMark),
  offset: integerParam({ min: 0, max: OFFSET_MAX_COUNT, otherwise: 0 }),
};
const executionsQuery = z.object({ namespace: textParam, limit: limitParam(50), ...executionFilter });
const allExecutionsQuery = z.object({
  namespace: textParam,
  function_name: textParam,
  limit: limitParam(25),
  ...executionFilter,
});
const logFilter = {
  namespace: textParam,
  limit: limitParam(50),
  level: choiceParam(LOG_LEVELS),
  since: instantParam,
  until: instantParam,
  text: textParam,
  execution_id: textParam,
  cursor: cursorParam(logMark),
};
const following = {
  follow: choiceParam(["true", "false"]),
  /** So many of the past come first. */
  tail: integerParam({ min: 0, max: PAGE_MAX_COUNT, otherwise: PAGE_MAX_COUNT }),
};
const logsQuery = z.object({ ...logFilter, ...following });
const allLogsQuery = z.object({ ...logFilter, function_name: textParam, ...following });
const linesQuery = z.object({ after_line: integerParam({ min: 0, max: 1_000_000_000, otherwise: 0 }) });

export interface ExecutionRouteParts {
  readonly db: Database["db"];
  readonly catalog: Catalog;
  readonly executions: ExecutionLog;
  readonly tail: LogTail;
  /** The server ends: nobody follows any longer. */
  readonly stopping: AbortSignal;
}

export function executionRoutes({ db, catalog, executions: log, tail, stopping }: ExecutionRouteParts): Route[] {
  function functionId(call: ApiCall): string {
    const { namespace, name } = placeFor(call, "functions:read");
    const fn = catalog.find(namespace, name);
    if (fn === undefined) throw functionNotFound(namespace, name);
    return fn.id;
  }

  async function executionsOfFunction(call: ApiCall) {
    const { namespace: _, ...query } = parseQuery(executionsQuery, call.query);
    const filter = { functionId: functionId(call), ...executionFilterOf(query) };
    await log.flush();
    return { status: 200, body: (await listExecutions(db, filter)).map(executionView) };
  }

  async function logsOfFunction(call: ApiCall) {
    const { namespace: _, follow, tail: count, ...query } = parseQuery(logsQuery, call.query);
    const filter = { functionId: functionId(call), ...logFilterOf(query) };
    if (follow === "true") {
      // A key that was revoked or limited meanwhile, or a function that is gone, ends it.
      return await followed(call, { ...filter, limit: count }, (now) => {
        if (functionId(now) !== filter.functionId) throw gone();
      });
    }
    await log.flush();
    return { status: 200, body: (await listLogLines(db, filter)).map(logView) };
  }

  async function allLogs(call: ApiCall) {
    const { namespace, function_name, follow, tail: count, ...query } = parseQuery(allLogsQuery, call.query);
    const filter = { ...given({ namespace, functionName: function_name }), ...logFilterOf(query) };
    if (follow === "true") {
      return await followed(call, { ...filter, limit: count }, ({ caller }) => assertAdmin(caller));
    }
    await log.flush();
    return { status: 200, body: (await listLogLines(db, filter)).map(logView) };
  }

  async function followed(call: ApiCall, asked: LogFilter, assertStillMay: (now: ApiCall) => void) {
    // What is still on its way to the database is the past, too.
    const filter = asked.limit === 0 ? { since: new Date(), ...asked } : asked;
    async function* past() {
      await log.flush();
      let after: LogMark | undefined;
      for (let left = filter.limit; left > 0; left -= PAST_PAGE_COUNT) {
        const limit = Math.min(left, PAST_PAGE_COUNT);
        const lines = await listLogLines(db, { ...filter, limit, after });
        yield lines;
        const last = lines.at(-1);
        if (last === undefined || lines.length < limit) return;
        after = { ...last, executionId: last.executionId ?? "" };
      }
    }
    const text = await followLogs({
      tail,
      functionId: filter.functionId,
      who: authorOf(call) ?? "",
      wants: (line) => matches(filter, line),
      view: logView,
      past,
      async assertStillMay() {
        assertStillMay({ ...call, caller: await call.callerNow() });
      },
      signal: stopping,
    });
    const headers = [["content-type", "text/event-stream"], ["cache-control", "no-store"], UNBUFFERED] as const;
    return { status: 200, headers, text };
  }

  async function allExecutions(call: ApiCall) {
    const { namespace, function_name, ...query } = parseQuery(allExecutionsQuery, call.query);
    const filter = { ...given({ namespace, functionName: function_name }), ...executionFilterOf(query) };
    await log.flush();
    const [executions, found] = await Promise.all([listExecutions(db, filter), countExecutions(db, filter)]);
    const count = Math.min(found, COUNTED_MAX_COUNT);
    return { status: 200, body: { executions: executions.map(executionView), count, has_more: found > count } };
  }

  async function logsOfExecution(call: ApiCall) {
    const { after_line } = parseQuery(linesQuery, call.query);
    const id = call.params["id"] ?? "";
    await log.flush();
    const execution = id.includes("\0") ? undefined : await findExecution(db, id);
    if (execution === undefined) {
      throw new PlatformError("EXECUTION_NOT_FOUND", `Execution "${id.slice(0, 80)}" not found`);
    }
    const lines = await listLinesOfExecution(db, { ...execution, afterLine: after_line, limit: PAGE_MAX_COUNT });
    const entries = lines.map(logView);
    return { status: 200, body: { entries, count: entries.length } };
  }

  const routes: Route[] = [
    {
      method: "GET",
      path: "/admin/functions/executions",
      summary: "List executions of all functions, newest first; pass `cursor` of the last one for the next page",
      access: "admin",
      query: allExecutionsQuery,
      answer: {
        status: 200,
        schema: z.object({ executions: z.array(executionSchema), count: z.int(), has_more: z.boolean() }),
      },
      handle: allExecutions,
    },
    {
      method: "GET",
      path: "/admin/functions/logs",
      summary: "List log lines of all functions, newest first; follow=true streams new ones as server-sent events",
      access: "admin",
      query: allLogsQuery,
      answer: { status: 200, schema: z.array(logEntrySchema) },
      handle: allLogs,
    },
    {
      method: "GET",
      path: "/admin/functions/executions/{id}/logs",
      summary: "List the log lines of an execution in order",
      access: "admin",
      query: linesQuery,
      answer: { status: 200, schema: z.object({ entries: z.array(logEntrySchema), count: z.int() }) },
      handle: logsOfExecution,
    },
    {
      method: "GET",
      path: "/admin/functions/namespaces",
      summary: "List namespaces that have functions",
      access: "admin",
      answer: { status: 200, schema: z.object({ namespaces: z.array(z.string()) }) },
      handle: () => ({ status: 200, body: { namespaces: namespacesOf(catalog) } }),
    },
  ];
  for (const base of ["/functions/{name}", "/functions/{namespace}/{name}"]) {
    routes.push(
      {
        method: "GET",
        path: `${base}/executions`,
        summary: "List executions of a function, newest first; pass `cursor` of the last one for the next page",
        access: "functions:read",
        query: executionsQuery,
        answer: { status: 200, schema: z.array(executionSchema) },
        handle: executionsOfFunction,
      },
      {
        method: "GET",
        path: `${base}/logs`,
        summary: "List log lines of a function, newest first; follow=true streams new ones as server-sent events",
        access: "functions:read",
        query: logsQuery,
        answer: { status: 200, schema: z.array(logEntrySchema) },
        handle: logsOfFunction,
      },
    );
  }
  return routes;
}

function namespacesOf(catalog: Catalog): string[] {
  return [...new Set(["default", ...catalog.all().map(({ namespace }) => namespace)])].sort();
}

function gone(): PlatformError {
  return new PlatformError("FUNCTION_NOT_FOUND", "Function not found: it has been deleted");
}

/** What `listLogLines` asks the database for. */
function matches(filter: LogFilter, line: StoredLogLine): boolean {
  const { functionId, namespace, functionName, level, since, until, text, executionId } = filter;
  const asked = [
    [functionId, line.functionId],
    [namespace, line.namespace],
    [functionName, line.functionName],
    [level, line.level],
    [executionId, line.executionId],
  ];
  return asked.every(([wanted, found]) => wanted === undefined || wanted === found) &&
    (since === undefined || line.loggedAt >= since) && (until === undefined || line.loggedAt < until) &&
    (text === undefined || line.message.toLowerCase().includes(text.toLowerCase()));
}

/** Leaves out what is undefined, as exact optional properties want it. */
function given<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const kept: { [Key in keyof T]?: Exclude<T[Key], undefined> } = {};
  for (const [key, value] of Object.entries(values)) if (value !== undefined) Reflect.set(kept, key, value);
  return kept;
}

type ExecutionsQuery = Omit<z.output<typeof executionsQuery>, "namespace">;

function executionFilterOf({ limit, offset, cursor, ...query }: ExecutionsQuery) {
  const { request_id, status_code, code, user_id, trigger, trace_id, captured, since, until, version, status, text } =
    query;
  return {
    limit,
    offset,
    ...given({
      after: cursor,
      requestId: request_id,
      version,
      status,
      statusCode: status_code,
      errorCode: code,
      userId: user_id,
      triggerType: trigger,
      traceId: trace_id,
      isCaptured: captured === undefined ? undefined : captured === "true",
      text,
      since: dateOf(since),
      until: dateOf(until),
    }),
  };
}

type LogsQuery = Omit<z.output<typeof logsQuery>, "namespace" | "follow" | "tail">;

function logFilterOf({ limit, cursor, level, since, until, text, execution_id }: LogsQuery) {
  return {
    limit,
    ...given({
      after: cursor,
      level,
      text,
      executionId: execution_id,
      since: dateOf(since),
      until: dateOf(until),
    }),
  };
}

function dateOf(instant: string | undefined): Date | undefined {
  return instant === undefined ? undefined : new Date(instant);
}

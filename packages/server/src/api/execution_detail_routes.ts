/**
 * Routes about one execution: everything that is known of it, and running it again.
 *
 * @module
 */
import { type CapturedRequestView, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import { reaches } from "../auth/permissions.ts";
import { pairsOf } from "../core/header_pairs.ts";
import { shownBody } from "../core/shown_body.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import { replay, type ReplayParts } from "../invoke/replay.ts";
import {
  type ExecutionFilter,
  listExecutions,
  listLinesOfExecution,
  type StoredExecution,
} from "../storage/executions.ts";
import { listTasksMadeBy } from "../storage/tasks.ts";
import { detailsView } from "./execution_view.ts";
import { placeFor } from "./function_routes.ts";
import type { ApiCall, Route } from "./route.ts";
import { capturedRequestSchema, executionDetailsSchema, replaySchema } from "./schemas.ts";

const CALLS_MAX_COUNT = 100;
const LINES_MAX_COUNT = 1_000;

export interface ExecutionDetailParts extends ReplayParts {
  readonly executions: ExecutionLog;
  readonly stopping: AbortSignal;
}

const replayBody = z.strictObject({ version: z.int().min(1).max(2_147_483_647).optional() });

export function executionDetailRoutes(parts: ExecutionDetailParts): Route[] {
  const { db, captures, executions: log, stopping } = parts;

  async function details(call: ApiCall, filter: ExecutionFilter = {}) {
    const stored = await findExecution(call.params["id"] ?? "", filter);
    const [parent] = stored.parentId ? await found({ id: stored.parentId }, 1) : [];
    const calls = await found({ parentId: stored.id }, CALLS_MAX_COUNT);
    const tasks = await listTasksMadeBy(db, stored.id, CALLS_MAX_COUNT);
    const isShown = ({ namespace }: { readonly namespace: string }) => reaches(call.caller, namespace);
    const lines = await listLinesOfExecution(db, {
      functionId: stored.functionId,
      executionId: stored.id,
      startedAt: stored.startedAt,
      afterLine: 0,
      limit: LINES_MAX_COUNT,
    });
    const body = detailsView(stored, {
      parent: parent !== undefined && isShown(parent) ? parent : undefined,
      isCaptured: await captures.has(stored.id),
      calls: calls.filter(isShown).toReversed(),
      tasks: tasks.filter(isShown),
      lines,
    });
    return { status: 200, body };
  }

  /** Newest first. */
  function found(filter: ExecutionFilter, limit: number): Promise<StoredExecution[]> {
    return listExecutions(db, { ...filter, limit, offset: 0 });
  }

  async function findExecution(id: string, filter: ExecutionFilter): Promise<StoredExecution> {
    await log.flush();
    const [stored] = id.includes("\0") ? [] : await found({ ...filter, id }, 1);
    if (stored === undefined) {
      throw new PlatformError("EXECUTION_NOT_FOUND", `Execution "${id.slice(0, 80)}" not found`);
    }
    return stored;
  }

  async function replayed(call: ApiCall) {
    const { data } = replayBody.safeParse(await call.body() ?? {});
    if (data === undefined) {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        'Cannot run the execution again: the body must be such as {"version": 3}, or empty for the live version',
      );
    }
    const stored = await findExecution(call.params["id"] ?? "", {});
    const body = await replay(
      { executionId: stored.id, functionId: stored.functionId, version: data.version, signal: stopping },
      parts,
    );
    return { status: 200, body };
  }

  async function capturedRequest(call: ApiCall) {
    const id = call.params["id"] ?? "";
    const captured = id.includes("\0") ? undefined : await captures.find(id);
    if (captured === undefined) throw nothingCaptured(id);
    const { method, target, headers, body, isCut, removed } = captured;
    const view: CapturedRequestView = {
      execution_id: id,
      method,
      target,
      headers: pairsOf(headers),
      body: shownBody(body, { isCut, maxBytes: body.length }),
      removed,
    };
    return { status: 200, body: view };
  }

  async function deleteCaptured(call: ApiCall) {
    const id = call.params["id"] ?? "";
    if (id.includes("\0") || !await captures.delete(id)) throw nothingCaptured(id);
    return { status: 204 };
  }

  const answer = { status: 200, schema: executionDetailsSchema };
  const audit = {
    target: ({ id }: Readonly<Record<string, unknown>>) => `execution ${id}`,
    withoutChanges: true,
  } as const;
  const summary =
    "Shows one execution: its phases, sandbox, caller, failure, lines, and the executions that it made by calling the platform";
  return [
    {
      method: "GET",
      path: "/admin/functions/executions/{id}",
      summary,
      access: "admin",
      answer,
      handle: (call) => details(call),
    },
    {
      method: "POST",
      path: "/admin/functions/executions/{id}/replay",
      summary: "Replay a captured request on the live version or another, and compare the responses",
      access: "admin",
      body: replayBody,
      answer: { status: 200, schema: replaySchema },
      // What the function answered is nobody's to keep.
      audit,
      handle: replayed,
    },
    {
      method: "GET",
      path: "/admin/functions/executions/{id}/request",
      summary: "Get a captured request: headers and body, without credentials",
      access: "admin",
      answer: { status: 200, schema: capturedRequestSchema },
      audit,
      handle: capturedRequest,
    },
    {
      method: "DELETE",
      path: "/admin/functions/executions/{id}/request",
      summary: "Delete a captured request; the execution stays",
      access: "admin",
      answer: { status: 204 },
      audit,
      handle: deleteCaptured,
    },
    ...["/functions/{name}", "/functions/{namespace}/{name}"].map((base): Route => ({
      method: "GET",
      path: `${base}/executions/{id}`,
      summary,
      access: "functions:read",
      answer,
      handle(call) {
        const { namespace, name } = placeFor(call, "functions:read");
        return details(call, { namespace, functionName: name });
      },
    })),
  ];
}

function nothingCaptured(id: string): PlatformError {
  return new PlatformError(
    "NOT_CAPTURED",
    `Cannot find the request of execution "${id.slice(0, 80)}": it was not kept, or has been deleted`,
  );
}

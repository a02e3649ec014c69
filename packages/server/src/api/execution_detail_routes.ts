/**
 * Routes about one execution: everything that is known of it.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { Caller } from "../auth/caller.ts";
import { reaches } from "../auth/permissions.ts";
import type { ExecutionLog } from "../executions/execution_log.ts";
import type { Db } from "../storage/db.ts";
import {
  type ExecutionFilter,
  listExecutions,
  listLinesOfExecution,
  type StoredExecution,
} from "../storage/executions.ts";
import { detailsView } from "./execution_view.ts";
import { placeFor } from "./function_routes.ts";
import type { ApiCall, Route } from "./route.ts";
import { executionDetailsSchema } from "./schemas.ts";

const CALLS_MAX_COUNT = 100;
const LINES_MAX_COUNT = 1_000;

export interface ExecutionDetailParts {
  readonly db: Db;
  readonly executions: ExecutionLog;
}

export function executionDetailRoutes({ db, executions: log }: ExecutionDetailParts): Route[] {
  async function details(call: ApiCall, filter: ExecutionFilter = {}) {
    const stored = await findExecution(call.params["id"] ?? "", filter);
    const [parent] = stored.parentId ? await found({ id: stored.parentId }, 1) : [];
    const calls = await found({ parentId: stored.id }, CALLS_MAX_COUNT);
    const isShown = (one: StoredExecution) => reachesIt(call.caller, one);
    const lines = await listLinesOfExecution(db, {
      functionId: stored.functionId,
      executionId: stored.id,
      startedAt: stored.startedAt,
      afterLine: 0,
      limit: LINES_MAX_COUNT,
    });
    const body = detailsView(stored, {
      parent: parent !== undefined && isShown(parent) ? parent : undefined,
      calls: calls.filter(isShown).toReversed(),
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

  const answer = { status: 200, schema: executionDetailsSchema };
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

function reachesIt(caller: Caller, { namespace }: StoredExecution): boolean {
  return reaches(caller, namespace);
}

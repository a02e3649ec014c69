/**
 * Routes that show tasks, and cancel, retry and delete them.
 *
 * Who made a task may ask about it and cancel it; everything else takes a right in the function's namespace.
 *
 * @module
 */
import {
  DEFAULT_NAMESPACE,
  PlatformError,
  type Task,
  TASK_STATES,
  type TaskBody,
  type TaskDetails,
  type TaskState,
} from "@fluxbase/contract";
import { z } from "zod";
import { assertMay, concealed, isAdmin, may, reaches, type Scope } from "../auth/permissions.ts";
import type { Caller } from "../auth/caller.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { functionNotFound } from "../catalog/function_not_found.ts";
import type { Db } from "../storage/db.ts";
import {
  cancelTask,
  deleteTask,
  findTask,
  listTasks,
  retryTasks,
  type StoredTask,
  type StoredTaskDetails,
} from "../storage/tasks.ts";
import { cursorOf, cursorParam, taskMark } from "./cursor.ts";
import { placeFor } from "./function_routes.ts";
import { choiceParam, integerParam, parseQuery, textParam } from "./query.ts";
import type { ApiCall, Audit, Route } from "./route.ts";
import { taskDetailsSchema, taskSchema } from "./schemas.ts";

export interface TaskRouteParts {
  readonly db: Db;
  readonly catalog: Catalog;
  /** Tasks wait again: whoever has room begins. */
  readonly announce: () => void;
}

const PAGE_MAX_COUNT = 1_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const listQuery = z.object({
  namespace: textParam,
  function: textParam,
  state: choiceParam(TASK_STATES),
  trigger: textParam,
  source_id: textParam,
  cursor: cursorParam(taskMark),
  limit: integerParam({ min: 1, max: PAGE_MAX_COUNT, otherwise: 50 }),
});

export function taskRoutes({ db, catalog, announce }: TaskRouteParts): Route[] {
  /** What the caller may not know of does not exist. */
  async function find(call: ApiCall, mayToo: (caller: Caller, task: StoredTask) => boolean, scope: Scope) {
    const id = call.params["id"] ?? "";
    const task = UUID.test(id) ? await findTask(db, id) : undefined;
    if (task === undefined) throw taskNotFound(id);
    const { caller } = call;
    if (mayToo(caller, task) || may(caller, scope, task.namespace)) return task;
    // Who may not even read it is not told that it is there.
    if (!may(caller, "functions:read", task.namespace)) throw concealed(taskNotFound(id));
    assertMay(caller, scope, task.namespace);
    return task;
  }
  const findToShow = (call: ApiCall) => find(call, isMakers, "functions:read");
  const findToCancel = (call: ApiCall) => find(call, isMakers, "functions:write");
  const findToChange = (call: ApiCall) => find(call, () => false, "functions:write");

  async function list(call: ApiCall) {
    const { caller } = call;
    const { namespace, function: name, trigger, source_id, cursor, limit, state } = parseQuery(listQuery, call.query);
    if (namespace !== undefined && !reaches(caller, namespace)) assertMay(caller, "functions:read", namespace);
    const tasks = await listTasks(db, {
      namespaces: namespace === undefined ? caller.namespaces : [namespace],
      functionId: name === undefined ? undefined : idOf(namespace ?? DEFAULT_NAMESPACE, name),
      state,
      triggerType: trigger,
      sourceId: source_id,
      before: cursor,
      limit,
    });
    return { status: 200, body: tasks.map(taskView) };
  }

  function idOf(namespace: string, name: string): string {
    const fn = catalog.find(namespace, name);
    if (fn === undefined) throw functionNotFound(namespace, name);
    return fn.id;
  }

  async function cancel(call: ApiCall) {
    const task = await findToCancel(call);
    if (!await cancelTask(db, task.id)) throw wrongState(await again(task), "cancel", "it is over");
    return { status: 200, body: taskView(await again(task)) };
  }

  async function retry(call: ApiCall) {
    const task = await findToChange(call);
    if (await retryTasks(db, { id: task.id, states: ENDED }) === 0) {
      throw wrongState(await again(task), "retry", "it is on its way already");
    }
    announce();
    return { status: 200, body: taskView(await again(task)) };
  }

  async function retryDead(call: ApiCall) {
    const { namespace, name } = placeFor(call, "functions:write");
    const retried = await retryTasks(db, { functionId: idOf(namespace, name), states: ["dead"] });
    announce();
    return { status: 200, body: { retried } };
  }

  async function remove(call: ApiCall) {
    const task = await findToChange(call);
    if (!await deleteTask(db, task.id)) throw wrongState(await again(task), "delete", "cancel it first");
    return { status: 204 };
  }

  async function again({ id }: StoredTask): Promise<StoredTask> {
    const task = await findTask(db, id);
    if (task === undefined) throw taskNotFound(id);
    return task;
  }

  const audit = (find: (call: ApiCall) => Promise<StoredTask>): Audit => ({
    before: async (call) => taskView(await find(call)),
    target: ({ id, namespace, function_name: name }) =>
      typeof id !== "string"
        ? undefined
        : typeof name === "string"
        ? `task ${id} of ${namespace}/${name}`
        : `task ${id.slice(0, 80)}`,
  });
  const one = { status: 200, schema: taskSchema };
  const retried = { status: 200, schema: z.object({ retried: z.int() }) };
  const ofFunction: Audit = {
    target: ({ namespace, name }) => typeof name === "string" ? `tasks of ${namespace}/${name}` : undefined,
  };
  return [
    {
      method: "GET",
      path: "/tasks",
      summary: "List tasks, newest first; pass `cursor` of the last one for the next page",
      access: "functions:read",
      query: listQuery,
      answer: { status: 200, schema: z.array(taskSchema) },
      handle: list,
    },
    {
      method: "GET",
      path: "/tasks/{id}",
      summary: "Get a task with its request and response",
      access: "public",
      answer: { status: 200, schema: taskDetailsSchema },
      handle: async (call) => ({ status: 200, body: detailsView(await findToShow(call)) }),
    },
    {
      method: "DELETE",
      path: "/tasks/{id}",
      summary: "Delete a task that is not running",
      access: "functions:write",
      audit: audit(findToChange),
      answer: { status: 204 },
      handle: remove,
    },
    {
      method: "POST",
      path: "/tasks/{id}/cancel",
      summary: "Cancel a task; a running attempt is aborted",
      access: "credential",
      audit: audit(findToCancel),
      answer: one,
      handle: cancel,
    },
    {
      method: "POST",
      path: "/tasks/{id}/retry",
      summary: "Retry a finished task with all its attempts",
      access: "functions:write",
      audit: audit(findToChange),
      answer: one,
      handle: retry,
    },
    ...["/functions/{name}", "/functions/{namespace}/{name}"].map((path): Route => (
      {
        method: "POST",
        path: `${path}/tasks/retry`,
        summary: "Retry all dead tasks of a function",
        access: "functions:write",
        audit: ofFunction,
        answer: retried,
        handle: retryDead,
      }
    )),
  ];
}

const ENDED: readonly TaskState[] = ["done", "dead", "cancelled"];

/** As far as credentials tell callers apart. */
function isMakers(caller: Caller, { caller: maker, namespace }: StoredTask): boolean {
  if (isAdmin(caller)) return true;
  if (maker.userId !== null) return caller.userId === maker.userId && reaches(caller, namespace);
  return caller.kind === maker.kind && caller.keyId === maker.keyId && reaches(caller, namespace);
}

function taskView(task: StoredTask): Task {
  return {
    id: task.id,
    cursor: cursorOf(task.createdAtUs, task.id),
    function_id: task.functionId,
    function_name: task.functionName,
    namespace: task.namespace,
    state: task.state,
    trigger_type: task.triggerType,
    source_id: task.sourceId,
    method: task.method,
    url: task.url,
    run_at: task.runAt.toISOString(),
    attempts: task.attempts,
    retries: task.retries,
    execution_id: task.executionId,
    status_code: task.statusCode,
    error: task.error,
    error_code: task.errorCode,
    created_at: task.createdAt.toISOString(),
    created_by: task.createdBy,
    finished_at: task.finishedAt?.toISOString() ?? null,
  };
}

function detailsView(task: StoredTaskDetails): TaskDetails {
  const { headers, body, answer, answerType, answerIsCut } = task;
  return {
    ...taskView(task),
    answer: answer === null ? null : bodyView(answer, { type: answerType, isCut: answerIsCut }),
    payload: {
      headers,
      body: body === null ? null : bodyView(body, { type: headers["content-type"] ?? null, isCut: false }),
    },
  };
}

function bodyView(bytes: Uint8Array, { type, isCut }: { type: string | null; isCut: boolean }): TaskBody {
  const facts = { content_type: type, is_cut: isCut };
  try {
    // A cut may be in the middle of a character.
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: isCut });
    return { content: text, encoding: "utf-8", ...facts };
  } catch {
    return { content: new Uint8Array(bytes).toBase64(), encoding: "base64", ...facts };
  }
}

function taskNotFound(id: string): PlatformError {
  return new PlatformError("TASK_NOT_FOUND", `Task "${id.slice(0, 80).replaceAll("\0", "")}" not found`);
}

function wrongState({ id, state }: StoredTask, what: string, why: string): PlatformError {
  return new PlatformError("TASK_STATE", `Cannot ${what} task "${id}": its state is ${state}, ${why}`, {
    details: { state },
  });
}

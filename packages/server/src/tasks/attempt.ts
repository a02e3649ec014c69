/**
 * One attempt of a task: an invocation like any other, and what is kept of its answer.
 *
 * @module
 */
import { type Caller, type CallerKind, heldCaller } from "../auth/caller.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { headerIn } from "../core/header_pairs.ts";
import { internalCall } from "../invoke/internal_call.ts";
import { type InvokeParts, runFor } from "../invoke/invoke.ts";
import { readAnswer } from "../invoke/read_answer.ts";
import type { SandboxResponse } from "../sandbox/exchange.ts";
import type { TaskCaller } from "../storage/schema.ts";
import type { AttemptOutcome, ClaimedTask } from "../storage/tasks.ts";
import { type Failure, failureOfAnswer, failureOfError, pauseSec } from "./retry_rules.ts";
import { LeaseLost, ServerEnds } from "./task_runner.ts";

export interface AttemptParts {
  readonly catalog: Catalog;
  readonly place: { readonly baseUrl: string };
  readonly invokeParts: InvokeParts;
}

const ANSWER_KEPT_BYTES = 64 * 1024;
const ERROR_MAX_CHARACTERS = 2_000;
const GONE_PAUSE_SEC = 1;

/** Null: the task is somebody else's by now. Never rejects. */
export async function attemptTask(
  task: ClaimedTask,
  signal: AbortSignal,
  { catalog, place, invokeParts }: AttemptParts,
): Promise<AttemptOutcome | null> {
  const executionId = crypto.randomUUID();
  const fn = catalog.findById(task.functionId);
  const nothing = { statusCode: null, answerType: null, answer: null, isCut: false };
  const base = { id: task.id, attempt: task.attempt, executionId, inSec: 0, isUncounted: false, ...nothing };
  // It was disabled or deleted since it was taken, or this server does not know it yet.
  if (fn === undefined || !fn.enabled) {
    return failed({ ...base, executionId: null }, task, {
      error: "the function is not there, or switched off",
      code: null,
      isFinal: false,
      isUncounted: true,
      inSec: GONE_PAUSE_SEC,
    });
  }
  try {
    const call = internalCall({
      fn,
      executionId,
      trigger: task.triggerType,
      task: { id: task.id, attempt: task.attempt },
      parentId: task.parentId,
      method: task.method,
      url: new URL(place.baseUrl).origin + task.url,
      path: task.path,
      headers: { ...task.headers, "idempotency-key": task.id, "x-fluxbase-attempt": String(task.attempt) },
      body: task.body ?? new Uint8Array(),
      timeoutMs: fn.settings.timeoutMs,
      signal,
    });
    const response = await runFor(call, callerOf(task), invokeParts);
    const { bytes, isCut } = await readAnswer(response, { maxBytes: ANSWER_KEPT_BYTES, rest: "take" });
    const statusCode = response.status;
    const answered = {
      ...base,
      statusCode,
      answerType: typeOf(response),
      answer: bytes.subarray(0, ANSWER_KEPT_BYTES),
      isCut,
    };
    const failure = failureOfAnswer(statusCode, response.headers, invokeParts.clock.epochMs());
    if (failure !== undefined) return failed(answered, task, failure);
    return { ...answered, state: "done", error: null, errorCode: null };
  } catch (error) {
    if (signal.reason instanceof LeaseLost) return null;
    const failure = failureOfError(error);
    if (signal.reason instanceof ServerEnds) {
      return failed(base, task, { ...failure, isFinal: false, isUncounted: true, inSec: 0 });
    }
    return failed(base, task, failure);
  }
}

type Begun = Omit<AttemptOutcome, "state" | "error" | "errorCode">;

function failed(base: Begun, { attempt, retries }: ClaimedTask, failure: Failure): AttemptOutcome {
  const { error, code, isFinal, isUncounted, inSec } = failure;
  const isLast = isFinal || (attempt > retries && !isUncounted);
  return {
    ...base,
    isUncounted,
    state: isLast ? "dead" : "waiting",
    inSec: inSec ?? pauseSec(attempt),
    error: error.slice(0, ERROR_MAX_CHARACTERS).replaceAll("\0", "").toWellFormed(),
    errorCode: code,
  };
}

/** Facts about whoever made the task; its token is not kept. */
function callerOf({ id, attempt, triggerType, sourceId, caller, runAt }: ClaimedTask): Caller {
  const { kind, role, userId, keyId, facts } = caller;
  const trigger = {
    // What whoever made the task has to say of it.
    ...typeof facts["trigger"] === "object" ? facts["trigger"] : {},
    type: triggerType,
    task_id: id,
    attempt,
    source_id: sourceId,
    run_at: runAt.toISOString(),
  };
  return heldCaller({ kind: kind as CallerKind, role, userId, keyId, facts: { ...facts, trigger } });
}

export function taskCallerOf({ kind, role, userId, keyId, factsJson }: Caller): TaskCaller {
  return { kind, role, userId, keyId, facts: factsJson === "" ? {} : JSON.parse(factsJson) };
}

const TYPE_MAX_CHARACTERS = 200;

function typeOf({ headers }: SandboxResponse): string | null {
  if (headers === null) return "application/json";
  return headerIn(headers, "content-type")?.slice(0, TYPE_MAX_CHARACTERS).toWellFormed() ?? null;
}

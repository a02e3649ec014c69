/**
 * Calls that are answered later: 202 as soon as a task is stored, which runs the function (../tasks/).
 *
 * Owns: how a client asks for it, what of its request is kept.
 *
 * @module
 */
import { PlatformError, type QueuedTask, type TriggerType } from "@fluxbase/contract";
import { CREDENTIAL_HEADERS } from "../auth/credential_headers.ts";
import type { Caller } from "../auth/caller.ts";
import type { LiveFunction } from "../catalog/catalog.ts";
import type { HeaderLookup } from "../core/header_list.ts";
import type { SandboxResponse } from "../sandbox/exchange.ts";
import type { Delivery } from "../webhooks/webhooks.ts";
import type { AsyncWish, Invocation } from "./invocation.ts";

/** A request to run a function later, and until it is answered. */
export interface TaskRequest {
  readonly fn: LiveFunction;
  readonly caller: Caller;
  readonly triggerType: TriggerType;
  /** Of the schedule or hook. */
  readonly sourceId?: string;
  /** POST without. */
  readonly method?: string;
  /** Path and query as the function sees them; its own path without. */
  readonly url?: string;
  /** What of the path follows the function's own. */
  readonly path?: string;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | null;
  readonly dedupeKey?: string | null;
  /** At once without. */
  readonly runAt?: Date | null;
  /** Attempts after the first; as the function has them without. */
  readonly retries?: number;
  readonly createdBy?: string | null;
  /** The execution that makes it. */
  readonly parentId?: string | undefined;
}

export interface TaskQueue {
  /**
   * @returns the id of the task, or of the one before it with the same key
   * @throws {PlatformError} QUEUE_FULL
   */
  enqueue(task: TaskRequest): Promise<string>;
  /** Tasks were stored: whoever has room begins. */
  announce(): void;
}

const TASK_BODY_MAX_BYTES = 1024 * 1024;
const RETRIES_MAX = 100;
const KEY_MAX_CHARACTERS = 255;
const DELAY_MAX_DAYS = 366;
const MS_PER_DAY = 86_400_000;
const PREFERS_ASYNC = /(?:^|[\s,])respond-async(?=$|[\s,;])/i;
const UNITS_MS: Readonly<Record<string, number>> = {
  "": 1_000,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: MS_PER_DAY,
};

export function prefersAsync(headers: HeaderLookup): boolean {
  const prefer = headers.get("prefer");
  return prefer !== null && PREFERS_ASYNC.test(prefer);
}

/**
 * From the headers as the client sent them, those that functions never see included.
 *
 * @throws {PlatformError} INVALID_ARGUMENT
 */
export function readAsyncWish(headers: HeaderLookup, nowEpochMs: number): AsyncWish {
  const delay = headers.get("x-fluxbase-delay");
  const retries = headers.get("x-fluxbase-retries");
  const key = headers.get("idempotency-key");
  if (key !== null && (key === "" || key.length > KEY_MAX_CHARACTERS || key.includes("\0"))) {
    throw refused(`Idempotency-Key must have 1 to ${KEY_MAX_CHARACTERS} characters`);
  }
  return {
    runAt: delay === null ? null : instantOf(delay, nowEpochMs),
    retries: retries === null ? undefined : retriesOf(retries),
    key,
  };
}

function retriesOf(text: string): number {
  const retries = Number(text);
  if (/^\d{1,3}$/.test(text) && retries <= RETRIES_MAX) return retries;
  throw refused(`X-Fluxbase-Retries is ${shown(text)}: it must be a whole number from 0 to ${RETRIES_MAX}`);
}

function instantOf(text: string, nowEpochMs: number): Date {
  const [, number, unit = ""] = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)?$/.exec(text.trim()) ?? [];
  const instantMs = number !== undefined
    ? nowEpochMs + Number(number) * (UNITS_MS[unit] ?? NaN)
    : /^\d{4}-\d\d-\d\dT/.test(text)
    ? Date.parse(text)
    : NaN;
  if (Number.isNaN(instantMs)) {
    throw refused(
      `X-Fluxbase-Delay is ${
        shown(text)
      }: it must be a time such as 90s, 15m or 2h, or an instant such as 2026-01-31T12:00:00Z`,
    );
  }
  if (instantMs > nowEpochMs + DELAY_MAX_DAYS * MS_PER_DAY) {
    throw refused(`X-Fluxbase-Delay is ${shown(text)}: it must be at most ${DELAY_MAX_DAYS} days from now`);
  }
  return new Date(instantMs);
}

const shown = (text: string) => JSON.stringify(text.slice(0, 80));

function refused(why: string): PlatformError {
  return new PlatformError("INVALID_ARGUMENT", `Cannot queue the call: ${why}`);
}

export interface LaterParts {
  readonly tasks: TaskQueue;
  readonly place: { readonly baseUrl: string };
}

/** Stores the call as a task, and answers 202 when that is done. @throws {PlatformError} */
export async function respondLater(
  call: Invocation,
  caller: Caller,
  { tasks, place }: LaterParts,
  delivery: Delivery | undefined,
): Promise<SandboxResponse> {
  const { fn } = call;
  if (call.isUpgrade) throw refused("a WebSocket cannot be answered later");
  const wish = call.asyncWish();
  const body = delivery?.body ?? await call.readWhole(TASK_BODY_MAX_BYTES);
  if (body.length > TASK_BODY_MAX_BYTES) throw tooLarge(body.length);
  const { pathname, search } = new URL(call.url);
  const taskId = await tasks.enqueue({
    fn,
    caller,
    triggerType: "task",
    method: call.method,
    url: pathname + search,
    path: call.path,
    headers: keptHeaders(call, caller),
    body: body.length === 0 ? null : body,
    dedupeKey: wish.key === null ? null : await dedupeKeyOf(caller, wish.key),
    runAt: wish.runAt,
    ...(wish.retries === undefined ? {} : { retries: wish.retries }),
    parentId: call.parentId,
  });
  tasks.announce();
  const statusUrl = `${place.baseUrl}/api/v1/tasks/${taskId}`;
  const answer: QueuedTask = { task_id: taskId, status_url: statusUrl };
  return {
    status: 202,
    headers: ["content-type", "application/json", "preference-applied", "respond-async", "location", statusUrl],
    body: JSON.stringify(answer),
  };
}

/** Callers do not find one another's tasks by guessing keys. */
async function dedupeKeyOf({ kind, userId, keyId }: Caller, key: string): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify([kind, userId, keyId, key]));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", text)).toHex();
}

/** About this one connection, or said anew for each attempt. */
const NOT_KEPT: ReadonlySet<string> = new Set(["prefer", "content-length", "expect", "idempotency-key"]);

/** Who called is kept as facts; what proved it is not, unless it is the function's own business. */
function keptHeaders({ headers: { pairs } }: Invocation, { kind }: Caller): Record<string, string> {
  const kept: [string, string][] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index] ?? "";
    if (NOT_KEPT.has(name) || (kind !== "anonymous" && CREDENTIAL_HEADERS.has(name))) continue;
    kept.push([name, (pairs[index + 1] ?? "").replaceAll("\0", "").toWellFormed()]);
  }
  return Object.fromEntries(kept);
}

function tooLarge(bytes: number): PlatformError {
  return new PlatformError(
    "BODY_TOO_LARGE",
    `Cannot queue the call: its body has ${bytes} bytes, and a task keeps at most ${TASK_BODY_MAX_BYTES}; store it elsewhere and send its address`,
    { details: { limit: TASK_BODY_MAX_BYTES } },
  );
}

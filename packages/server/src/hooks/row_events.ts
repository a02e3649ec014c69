/**
 * Has functions run for events of rows and of accounts, until each event was answered or has no attempt left.
 *
 * Owns: which events this server handles, for how long it may, when one is tried again.
 * Does not own: how events come to be (../storage/outbox.ts), which hooks there are (./db_hooks.ts).
 *
 * At least once: an event is gone when its function has answered with less than 400. A server that takes one holds it for
 * the function's time and a little more; then another one may. The functions get `Idempotency-Key`.
 *
 * @module
 */
import { DEFAULT_RETRIES } from "@fluxbase/contract";
import { PLATFORM } from "../auth/caller.ts";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import type { Log } from "../core/log.ts";
import { internalCall } from "../invoke/internal_call.ts";
import { type InvokeParts, runFor } from "../invoke/invoke.ts";
import type { Database } from "../storage/db.ts";
import type { Listener } from "../storage/listener.ts";
import { type Failure, failureOfAnswer, failureOfError, pauseSec } from "../tasks/retry_rules.ts";
import { claimEvents, failEvent, finishEvent, nextDueMs, OUTBOX_CHANNEL, type OutboxEvent } from "../storage/outbox.ts";

export interface RowEventParts {
  /** The users' database, or the platform's for events of accounts. */
  readonly users: { readonly db: Database["db"]; readonly listener: Listener };
  readonly catalog: Catalog;
  readonly log: Log;
  readonly place: { readonly baseUrl: string };
  readonly invokeParts: InvokeParts;
  /** No more is begun; what runs has the time that the server gives it. */
  readonly stopping: AbortSignal;
}

/** What may have events: a hook of a table, or a function that is told of accounts. */
export interface EventSource {
  readonly id: string;
  readonly functionId: string;
  readonly schema: string;
  readonly table: string;
  readonly ordered: boolean;
}

export interface RowEvents {
  /** These, and no others, may have events. */
  follow(hooks: readonly EventSource[]): void;
  [Symbol.asyncDispose](): Promise<void>;
}

const AT_ONCE_COUNT = 10;
/** After the function's time, for whoever writes down what became of it. */
const GRACE_SEC = 30;
const ERROR_MAX_CHARACTERS = 500;
const LOOK_MIN_MS = 100;
const LOOK_MAX_MS = 30_000;

export async function startRowEvents(parts: RowEventParts): Promise<RowEvents> {
  const { users, catalog, log, stopping } = parts;
  /** The server goes on no longer. */
  const ending = new AbortController();
  let hooks: readonly EventSource[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const running = new Map<string, number>();
  const attempts = new Set<Promise<void>>();
  const busy = new Map<string, { again: boolean }>();

  /** Takes what is due of one hook; asked for meanwhile, once more. */
  async function pump(hook: EventSource): Promise<void> {
    const before = busy.get(hook.id);
    if (before !== undefined) {
      before.again = true;
      return;
    }
    const turn = { again: true };
    busy.set(hook.id, turn);
    try {
      while (turn.again && !stopping.aborted) {
        turn.again = false;
        const fn = catalog.findById(hook.functionId);
        // What is disabled keeps its events.
        if (fn === undefined || !fn.enabled || fn.liveVersion === null) return;
        const atOnce = hook.ordered ? 1 : AT_ONCE_COUNT;
        if ((running.get(hook.id) ?? 0) >= atOnce) return;
        const leaseSec = fn.settings.timeoutMs / 1_000 + GRACE_SEC;
        const events = await claimEvents(users.db, hook.id, { atOnce, leaseSec, ordered: hook.ordered });
        for (const event of events) begin(hook, fn, event);
      }
    } catch (error) {
      log.warn("Cannot take events of a table: trying again", { hook: hook.id, error });
      lookIn(LOOK_MAX_MS);
    } finally {
      busy.delete(hook.id);
    }
  }

  function begin(hook: EventSource, fn: LiveFunction, event: OutboxEvent): void {
    running.set(hook.id, (running.get(hook.id) ?? 0) + 1);
    const attempt = attemptOf(hook, fn, event).catch((error) => {
      // Its lease ends, and then it is tried again.
      log.warn("Cannot write down what became of an event of a table", { hook: hook.id, event: event.id, error });
    }).finally(() => {
      attempts.delete(attempt);
      const left = (running.get(hook.id) ?? 1) - 1;
      if (left > 0) running.set(hook.id, left);
      else running.delete(hook.id);
      void pump(hook).then(() => running.size === 0 ? lookAtNext() : undefined);
    });
    attempts.add(attempt);
  }

  async function attemptOf(hook: EventSource, fn: LiveFunction, event: OutboxEvent): Promise<void> {
    const outcome = await runOnce(hook, fn, event);
    if (outcome === undefined) {
      await finishEvent(users.db, event);
      return;
    }
    const { error, isFinal, inSec } = outcome;
    const isLast = isFinal || event.attempt > (fn.settings.retries ?? DEFAULT_RETRIES);
    await failEvent(users.db, event, {
      error: error.slice(0, ERROR_MAX_CHARACTERS).replaceAll("\0", "").toWellFormed(),
      inSec: isLast ? null : inSec ?? pauseSec(event.attempt),
    });
  }

  async function runOnce(hook: EventSource, fn: LiveFunction, event: OutboxEvent): Promise<Failure | undefined> {
    try {
      const call = internalCall({
        fn,
        trigger: "hook",
        url: `${parts.place.baseUrl}/functions/v1/${fn.name}`,
        headers: {
          "content-type": "application/json",
          "idempotency-key": `${hook.id}-${event.id}`,
          "x-fluxbase-attempt": String(event.attempt),
        },
        body: new TextEncoder().encode(bodyOf(hook, event)),
        timeoutMs: fn.settings.timeoutMs,
        signal: ending.signal,
      });
      const response = await runFor(call, PLATFORM, parts.invokeParts);
      if (response.body instanceof ReadableStream) await response.body.cancel().catch(() => {});
      return failureOfAnswer(response.status, response.headers, parts.invokeParts.clock.epochMs());
    } catch (error) {
      const failure = failureOfError(error);
      // What the server's own end broke off is no fault of the event.
      return ending.signal.aborted ? { ...failure, isFinal: false, inSec: 0 } : failure;
    }
  }

  /** When the next event is due that waits for its time. */
  async function lookAtNext(): Promise<void> {
    if (hooks.length === 0 || stopping.aborted) return;
    const ms = await nextDueMs(users.db, hooks.map(({ id }) => id)).catch(() => LOOK_MAX_MS);
    if (ms !== null) lookIn(ms);
  }

  function lookIn(ms: number): void {
    if (stopping.aborted) return;
    clearTimeout(timer);
    timer = setTimeout(pumpAll, Math.min(LOOK_MAX_MS, Math.max(LOOK_MIN_MS, ms)));
  }

  async function pumpAll(): Promise<void> {
    await Promise.all(hooks.map(pump));
    await lookAtNext();
  }

  await users.listener.follow({ what: "events of tables", channels: [OUTBOX_CHANNEL], read: pumpAll });
  return {
    follow(present) {
      hooks = present;
      if (hooks.length > 0) void pumpAll();
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      hooks = [];
      ending.abort();
      await Promise.all(attempts);
    },
  };
}

/** As Supabase's database webhooks have it. */
function bodyOf({ schema, table }: EventSource, { type, record, oldRecord, isCut }: OutboxEvent): string {
  const facts = JSON.stringify({ type, table, schema, ...(isCut ? { is_cut: true } : {}) });
  return `${facts.slice(0, -1)},"record":${record},"old_record":${oldRecord}}`;
}

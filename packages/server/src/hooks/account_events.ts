/**
 * Functions that are told of accounts: `user_created`, `user_signed_in`, `user_deleted`.
 *
 * Owns: which functions those are, and that old events go.
 * Does not own: how events come to be (triggers on accounts and sessions, which write for each hook that is live), who
 * runs (./row_events.ts).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { ACCOUNT_EVENTS, type AccountEvent, AUTH_HOOKS, type AuthHook, type AuthHookView } from "@fluxbase/contract";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import type { Log } from "../core/log.ts";
import { listHooksOff } from "../storage/auth_hooks.ts";
import type { Database, Db } from "../storage/db.ts";
import { countEvents, dropOldEvents, reviveEvents } from "../storage/outbox.ts";
import { functionsOf } from "./auth_hooks.ts";
import type { EventSource } from "./row_events.ts";

export interface AccountEventParts {
  readonly db: Database["db"];
  readonly catalog: Catalog;
  readonly log: Log;
  /** Told of what may have events, after each change. */
  readonly onSources: (sources: readonly EventSource[]) => void;
}

export interface AccountEvents {
  /** Each event of the authentication, the ones that functions are asked about included. */
  views(): Promise<AuthHookView[]>;
  /** After an event was switched on or off. */
  look(): Promise<void>;
  /** Dead events are tried again; returns how many. */
  retry(event: AccountEvent): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

const DEAD_DAYS = 30;
const LOOK_MS = 30_000;
const LOOKS_PER_PURGE = 120;

export async function startAccountEvents({ db, catalog, log, onSources }: AccountEventParts): Promise<AccountEvents> {
  let looksCount = 0;

  async function look(): Promise<void> {
    try {
      const told = ACCOUNT_EVENTS.flatMap((event) => functionsOf(catalog, event).map((fn) => ({ event, fn })));
      const off = told.length === 0 ? new Set() : await listHooksOff(db);
      onSources(
        told.filter(({ event }) => !off.has(event)).map(({ event, fn }) => ({
          id: sourceIdOf(fn, event),
          functionId: fn.id,
          schema: "auth",
          table: "users",
          ordered: false,
        })),
      );
      if (looksCount++ % LOOKS_PER_PURGE === 0) await dropOldEvents(db, { types: ACCOUNT_EVENTS, deadDays: DEAD_DAYS });
    } catch (error) {
      log.warn("Cannot look at the hooks of accounts yet", { error });
    }
  }

  const unsubscribe = catalog.subscribe(({ before, after }) => {
    if (before?.settings.hooks !== undefined || after?.settings.hooks !== undefined) void look();
  });
  const timer = setInterval(() => void look(), LOOK_MS);
  await look();
  return {
    views: () => authHookViews(db, catalog),
    look,
    async retry(event) {
      const counts = await Promise.all(
        functionsOf(catalog, event).map((fn) => reviveEvents(db, sourceIdOf(fn, event))),
      );
      await look();
      return counts.reduce((sum, count) => sum + count, 0);
    },
    [Symbol.asyncDispose]() {
      clearInterval(timer);
      unsubscribe();
      return Promise.resolve();
    },
  };
}

/** Every event of the authentication, as admins see them. */
async function authHookViews(db: Db, catalog: Catalog): Promise<AuthHookView[]> {
  const off = await listHooksOff(db);
  return await Promise.all([...AUTH_HOOKS, ...ACCOUNT_EVENTS].map(async (event) => {
    const functions = functionsOf(catalog, event);
    return {
      event,
      functions: functions.map(({ namespace, name }) => `${namespace}/${name}`),
      enabled: !off.has(event),
      ...await countsOf(db, isTold(event) ? functions.map((fn) => sourceIdOf(fn, event)) : []),
    };
  }));
}

async function countsOf(db: Db, sourceIds: readonly string[]) {
  const counts = await Promise.all(sourceIds.map((id) => countEvents(db, id)));
  return {
    waiting: counts.reduce((sum, { waiting }) => sum + waiting, 0),
    dead: counts.reduce((sum, { dead }) => sum + dead, 0),
    last_error: counts.find(({ error }) => error !== null)?.error ?? null,
  };
}

function isTold(event: AuthHook | AccountEvent): event is AccountEvent {
  return ACCOUNT_EVENTS.some((one) => one === event);
}

/** As the triggers make it of the same two. */
function sourceIdOf({ id }: Pick<LiveFunction, "id">, event: AccountEvent): string {
  const hash = createHash("md5").update(id + event).digest("hex");
  return hash.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

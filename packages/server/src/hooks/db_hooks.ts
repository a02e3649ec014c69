/**
 * Hooks of tables: that their triggers stand where an admin wants them.
 *
 * Owns: what is installed on which table, and what is said when it cannot be.
 * Does not own: SQL (../storage/outbox.ts), what becomes of events (./row_events.ts).
 *
 * What the platform's database says is held against what stands in the users': after each change of either, and every
 * half minute. So a table that is renamed, dropped and made again, or whose triggers somebody took away, has them again.
 *
 * @module
 */
import { type DbHookView, PlatformError } from "@fluxbase/contract";
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import type { Log } from "../core/log.ts";
import type { Database } from "../storage/db.ts";
import {
  DB_HOOKS_CHANNEL,
  type DbHook,
  type DbHookRule,
  deleteDbHook,
  insertDbHook,
  listDbHooks,
  moveDbHook,
  ROW_EVENTS,
} from "../storage/db_hooks.ts";
import type { Listener } from "../storage/listener.ts";
import {
  countEvents,
  dropEvents,
  dropOldEvents,
  findTable,
  installTriggers,
  listTriggers,
  removeTriggers,
  reviveEvents,
  type RowFilter,
  setUpOutbox,
  type StandingTriggers,
} from "../storage/outbox.ts";
import { SCHEMA_CHANNEL } from "../storage/schema_watch.ts";
import { parseRowFilters } from "./row_filter.ts";

export interface NewDbHook extends DbHookRule {
  readonly fn: LiveFunction;
  readonly where: string | null;
}

export interface DbHooks {
  list(): Promise<DbHookView[]>;
  find(id: string): Promise<DbHookView | undefined>;
  /** @throws {PlatformError} NOT_FOUND without such a table, INVALID_ARGUMENT where the triggers cannot stand */
  add(hook: NewDbHook): Promise<DbHookView>;
  /** With its events. False: there is none. */
  remove(id: string): Promise<boolean>;
  /** Dead events are tried again; returns how many. */
  retry(id: string): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface DbHookParts {
  readonly db: Database["db"];
  readonly listener: Listener;
  /** Of the users' database. */
  readonly users: { readonly db: Database["db"]; readonly listener: Listener };
  readonly catalog: Catalog;
  readonly log: Log;
  /** Told of the hooks that may have events, after each look. */
  readonly onHooks: (hooks: readonly DbHook[]) => void;
}

const DEAD_DAYS = 30;
const PURGE_MS = 3_600_000;

export async function startDbHooks({ db, listener, users, catalog, log, onHooks }: DbHookParts): Promise<DbHooks> {
  const problems = new Map<string, string>();
  let looking: Promise<void> = Promise.resolve();
  let isStopped = false;
  let hooks: readonly DbHook[] = [];

  /** One look at a time: each sees what the one before has done. */
  function look(): Promise<void> {
    return inTurn(async () => {
      if (!isStopped) await lookNow();
    });
  }

  function inTurn(work: () => Promise<void>): Promise<void> {
    const next = looking.catch(() => {}).then(work);
    looking = next;
    return next;
  }

  async function lookNow(): Promise<void> {
    // In this order: the hook is there before its triggers are, so a trigger without a hook is one too many.
    const standing = await listTriggers(users.db);
    const present = await listDbHooks(db);
    if (present.length > 0) await setUpOutbox(users.db);
    const wanted = new Map(present.filter(({ isLive }) => isLive).map((hook) => [hook.id, hook]));
    for (const hook of wanted.values()) await settle(hook, standing.filter(({ hookId }) => hookId === hook.id));
    for (const { hookId, oid } of standing) {
      if (wanted.has(hookId)) continue;
      const table = await findTable(users.db, { oid });
      if (table !== undefined) await removeTriggers(users.db, hookId, table).catch((error) => sayLater(hookId, error));
    }
    for (const id of problems.keys()) if (!wanted.has(id)) problems.delete(id);
    hooks = [...wanted.values()];
    onHooks(hooks);
  }

  async function settle(hook: DbHook, standing: readonly StandingTriggers[]): Promise<void> {
    const table = await findTable(users.db, { oid: hook.oid }) ??
      await findTable(users.db, { schema: hook.schema, name: hook.table });
    if (table === undefined) {
      problems.set(hook.id, `there is no table ${hook.schema}.${hook.table} any more`);
      return;
    }
    const isMoved = table.oid !== hook.oid || table.name !== hook.table || table.schema !== hook.schema;
    if (isMoved) await moveDbHook(db, hook.id, table);
    const isWhole = standing.some(({ oid, count }) => oid === table.oid && count === 2 * hook.events.length);
    if (isWhole) {
      problems.delete(hook.id);
      return;
    }
    try {
      await installTriggers(users.db, hook, { table, filters: filtersOf(hook) });
      problems.delete(hook.id);
    } catch (error) {
      sayLater(hook.id, error);
    }
  }

  function sayLater(hookId: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (problems.get(hookId) !== reason) log.warn("Cannot set the triggers of a hook yet", { hook: hookId, reason });
    problems.set(hookId, reason);
  }

  async function viewOf(hook: DbHook): Promise<DbHookView> {
    const { waiting, dead, error } = await countEvents(users.db, hook.id);
    const fn = catalog.findById(hook.functionId);
    return {
      id: hook.id,
      function: fn === undefined ? "" : `${fn.namespace}/${fn.name}`,
      table: `${hook.schema}.${hook.table}`,
      events: hook.events,
      columns: hook.columns,
      where: hook.filter,
      ordered: hook.ordered,
      problem: hook.isLive ? problems.get(hook.id) ?? null : "its function was deleted",
      waiting,
      dead,
      last_error: error,
      created_at: hook.createdAt.toISOString(),
      created_by: hook.createdBy,
    };
  }

  async function find(id: string): Promise<DbHookView | undefined> {
    const hook = (await listDbHooks(db)).find((one) => one.id === id);
    return hook && await viewOf(hook);
  }

  async function purge(): Promise<void> {
    try {
      const present = await listDbHooks(db);
      if (present.length > 0) {
        await dropOldEvents(users.db, { types: ROW_EVENTS, deadDays: DEAD_DAYS, hookIds: present.map(({ id }) => id) });
      }
    } catch (error) {
      log.warn("Cannot let go of old events of tables yet", { error });
    }
  }

  const followers = [
    await listener.follow({ what: "hooks of tables", channels: [DB_HOOKS_CHANNEL], read: look }),
    await users.listener.follow({ what: "tables with hooks", channels: [SCHEMA_CHANNEL], read: look }),
  ];
  const unsubscribe = catalog.subscribe(({ before, after }) => {
    const id = (before ?? after)?.id;
    const isHooked = hooks.some(({ functionId }) => functionId === id);
    // A function that comes or goes brings or takes its hooks.
    if (before === undefined || (after === undefined && isHooked)) followers[0]?.wake();
  });
  const timer = setInterval(() => void purge(), PURGE_MS);

  return {
    list: async () => await Promise.all((await listDbHooks(db)).map(viewOf)),
    find,
    async add({ fn, schema, table: name, events, columns, where, ordered, createdBy }) {
      const table = await findTable(users.db, { schema, name });
      if (table === undefined) throw noSuchTable(schema, name);
      const hook = {
        id: crypto.randomUUID(),
        functionId: fn.id,
        schema,
        table: name,
        oid: table.oid,
        events,
        columns,
        filter: where,
        ordered,
        createdBy,
      };
      const filters = filtersOf(hook);
      await setUpOutbox(users.db);
      await inTurn(async () => {
        await insertDbHook(db, hook);
        try {
          await installTriggers(users.db, hook, { table, filters });
        } catch (error) {
          await deleteDbHook(db, hook.id);
          throw cannotSet(hook, error);
        }
      });
      await look();
      const made = await find(hook.id);
      if (made === undefined) throw new PlatformError("NOT_FOUND", "The hook was deleted at that moment");
      return made;
    },
    async remove(id) {
      if (!await deleteDbHook(db, id)) return false;
      await look();
      await dropEvents(users.db, id);
      return true;
    },
    async retry(id) {
      const count = await reviveEvents(users.db, id);
      onHooks(hooks);
      return count;
    },
    async [Symbol.asyncDispose]() {
      isStopped = true;
      clearInterval(timer);
      unsubscribe();
      await looking.catch(() => {});
    },
  };
}

/** @throws {PlatformError} INVALID_ARGUMENT */
function filtersOf({ filter }: Pick<DbHook, "filter">): RowFilter[] {
  const filters = filter === null ? [] : parseRowFilters(filter);
  if (typeof filters !== "string") return filters;
  throw new PlatformError("INVALID_ARGUMENT", `Cannot set the hook: "where": ${filters}`);
}

function cannotSet({ schema, table }: Pick<DbHook, "schema" | "table">, cause: unknown): PlatformError {
  const reason = cause instanceof Error ? cause.message : cause;
  return new PlatformError("INVALID_ARGUMENT", `Cannot set the hook on ${schema}.${table}: ${reason}`, { cause });
}

function noSuchTable(schema: string, name: string): PlatformError {
  return new PlatformError(
    "NOT_FOUND",
    `Table "${
      `${schema}.${name}`.slice(0, 140)
    }" not found: hooks stand on tables, partitioned ones included, not on views`,
  );
}

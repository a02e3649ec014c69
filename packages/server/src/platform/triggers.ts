/**
 * Starts what calls functions when something happened: rows of tables, accounts.
 *
 * @module
 */
import type { Catalog } from "../catalog/catalog.ts";
import type { Log } from "../core/log.ts";
import { type AccountEvents, startAccountEvents } from "../hooks/account_events.ts";
import { type DbHooks, startDbHooks } from "../hooks/db_hooks.ts";
import { startRowEvents } from "../hooks/row_events.ts";
import type { InvokeParts } from "../invoke/invoke.ts";
import type { Db } from "../storage/db.ts";
import type { Listener } from "../storage/listener.ts";
import type { UsersDatabase } from "../tables/users_database.ts";
import type { Place } from "./place.ts";

export interface Triggers {
  readonly accountEvents: AccountEvents;
  /** Absent without tables. */
  readonly dbHooks: DbHooks | undefined;
}

interface TriggerParts {
  readonly db: Db;
  readonly listener: Listener;
  readonly catalog: Catalog;
  readonly log: Log;
  readonly place: Place;
  readonly invokeParts: InvokeParts;
  readonly stopping: AbortSignal;
  readonly parts: AsyncDisposableStack;
}

export async function startTriggers(
  usersDatabase: UsersDatabase | undefined,
  { parts, ...given }: TriggerParts,
): Promise<Triggers> {
  const { db, listener, catalog, log } = given;
  const told = parts.use(await startRowEvents({ ...given, users: { db, listener } }));
  const accountEvents = parts.use(await startAccountEvents({ db, catalog, log, onSources: told.follow }));
  if (usersDatabase === undefined) return { accountEvents, dbHooks: undefined };
  const users = usersDatabase.events;
  const rowEvents = parts.use(await startRowEvents({ ...given, users }));
  const dbHooks = parts.use(await startDbHooks({ db, listener, users, catalog, log, onHooks: rowEvents.follow }));
  return { accountEvents, dbHooks };
}

/**
 * Statements about hooks of the authentication that are switched off.
 *
 * @module
 */
import type { AccountEvent, AuthHook } from "@fluxbase/contract";
import { sql } from "kysely";
import type { Db } from "./db.ts";

export async function listHooksOff(db: Db): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ event: string }>`select event from fluxbase.auth_hooks_off`.execute(db);
  return new Set(rows.map(({ event }) => event));
}

export async function switchHookOff(db: Db, event: AuthHook | AccountEvent, author: string | null): Promise<void> {
  await sql`insert into fluxbase.auth_hooks_off (event, switched_by) values (${event}, ${author})
    on conflict (event) do nothing`.execute(db);
}

export async function switchHookOn(db: Db, event: AuthHook | AccountEvent): Promise<void> {
  await sql`delete from fluxbase.auth_hooks_off where event = ${event}`.execute(db);
}

/**
 * Statements about what admins change while servers run.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

/** Undefined: nobody has set it. */
export async function findServerSetting(db: Db, name: string): Promise<unknown> {
  const { rows } = await sql<{ value: unknown }>`
    select value from fluxbase.server_settings where name = ${name}`.execute(db);
  return rows[0]?.value;
}

/** Null: it is as it was before anybody set it. */
export async function setServerSetting(db: Db, name: string, value: string | null): Promise<void> {
  if (value === null) await sql`delete from fluxbase.server_settings where name = ${name}`.execute(db);
  else {
    await sql`
      insert into fluxbase.server_settings (name, value) values (${name}, to_jsonb(${value}::text))
      on conflict (name) do update set value = excluded.value, changed_at = now()`.execute(db);
  }
}

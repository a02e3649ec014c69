/**
 * What the users' database tells and forbids by itself, by event triggers.
 *
 * @module
 */
import { sql } from "kysely";
import pg from "pg";
import type { Database } from "./db.ts";
import { TABLE_ROLES, wasFirst } from "./roles.ts";

export const SCHEMA_CHANNEL = "fluxbase_schema";

/**
 * Tells servers of every change to the schema, and refuses what would take a role's rights away for everybody. False
 * where only a superuser may do that, and we are none.
 */
export async function watchSchema(db: Database["db"]): Promise<boolean> {
  try {
    const { rows } = await sql`
      select from pg_catalog.pg_event_trigger where evtname in ('fluxbase_schema_drop', 'fluxbase_guard')
    `.execute(db);
    if (rows.length === 2) return true;
    const ours = TABLE_ROLES.map((role) => pg.escapeLiteral(role)).join(", ");
    await db.transaction().execute((trx) =>
      sql.raw(`
        create schema if not exists fluxbase;
        create or replace function fluxbase.notify_schema() returns event_trigger language plpgsql
        set search_path = pg_catalog as $$
        begin
          perform pg_notify('${SCHEMA_CHANNEL}', '');
        end
        $$;
        create or replace function fluxbase.guard() returns event_trigger language plpgsql
        set search_path = pg_catalog as $$
        begin
          if current_user in (${ours}) or session_user like 'fluxbase\\_%' then
            raise insufficient_privilege using message = 'DROP OWNED is refused: it takes rights away that others need';
          end if;
        end
        $$;
        drop event trigger if exists fluxbase_schema_change;
        drop event trigger if exists fluxbase_schema_drop;
        drop event trigger if exists fluxbase_guard;
        create event trigger fluxbase_schema_change on ddl_command_end execute function fluxbase.notify_schema();
        create event trigger fluxbase_schema_drop on sql_drop execute function fluxbase.notify_schema();
        create event trigger fluxbase_guard on ddl_command_start when tag in ('DROP OWNED')
          execute function fluxbase.guard();
      `).execute(trx)
    );
    return true;
  } catch (error) {
    return wasFirst(error);
  }
}

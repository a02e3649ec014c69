/**
 * Statements about hooks of tables: what an admin asked for.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

export const DB_HOOKS_CHANNEL = "fluxbase_db_hooks";

export const ROW_EVENTS = ["INSERT", "UPDATE", "DELETE"] as const;
export type RowEvent = (typeof ROW_EVENTS)[number];

export interface DbHook {
  readonly id: string;
  readonly functionId: string;
  readonly schema: string;
  readonly table: string;
  /** Of the table, whatever its name. */
  readonly oid: number;
  readonly events: readonly RowEvent[];
  /** An update counts when one of them changes; null: always. */
  readonly columns: readonly string[] | null;
  readonly filter: string | null;
  /** One event at a time, in their order. */
  readonly ordered: boolean;
  /** False: its function was deleted, and may still be restored. */
  readonly isLive: boolean;
  readonly createdBy: string | null;
  readonly createdAt: Date;
}

/** What is asked for when one is made. */
export type DbHookRule = Pick<DbHook, "schema" | "table" | "events" | "columns" | "ordered" | "createdBy">;

const COLUMNS = sql`id, function_id as "functionId", table_schema as schema, table_name as "table",
  table_oid::int8::float8 as oid, events, columns, filter, ordered, created_by as "createdBy", created_at as "createdAt",
  exists (select from fluxbase.functions f where f.id = function_id and f.deleted_at is null) as "isLive"`;

export async function listDbHooks(db: Db): Promise<DbHook[]> {
  const { rows } = await sql<DbHook>`
    select ${COLUMNS} from fluxbase.db_hooks order by created_at, id`.execute(db);
  return rows;
}

export async function insertDbHook(db: Db, hook: Omit<DbHook, "createdAt" | "isLive">): Promise<void> {
  await sql`
    insert into fluxbase.db_hooks
      (id, function_id, table_schema, table_name, table_oid, events, columns, filter, ordered, created_by)
    values (${hook.id}, ${hook.functionId}, ${hook.schema}, ${hook.table}, ${hook.oid}, ${hook.events}::text[],
      ${hook.columns}::text[], ${hook.filter}, ${hook.ordered}, ${hook.createdBy})`.execute(db);
}

export async function moveDbHook(
  db: Db,
  id: string,
  { schema, name, oid }: { readonly schema: string; readonly name: string; readonly oid: number },
): Promise<void> {
  await sql`update fluxbase.db_hooks set table_schema = ${schema}, table_name = ${name}, table_oid = ${oid}
    where id = ${id}`.execute(db);
}

export async function deleteDbHook(db: Db, id: string): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`delete from fluxbase.db_hooks where id = ${id}`.execute(db);
  return numAffectedRows > 0n;
}

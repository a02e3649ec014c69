/**
 * Statements about requests that are kept, so that they can be run again. What is in them is sealed.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

export interface StoredCapture {
  readonly executionId: string;
  readonly functionId: string;
  readonly startedAt: Date;
  readonly sealed: Uint8Array;
}

export async function insertCapture(
  db: Db,
  { executionId, functionId, startedAt, sealed }: StoredCapture,
): Promise<void> {
  await db.insertInto("fluxbase.execution_captures").values({
    execution_id: executionId,
    function_id: functionId,
    started_at: startedAt,
    sealed,
    bytes: sealed.length,
  }).onConflict((conflict) => conflict.doNothing()).execute();
}

export async function findCapture(db: Db, executionId: string): Promise<StoredCapture | undefined> {
  return await db.selectFrom("fluxbase.execution_captures")
    .select(["execution_id as executionId", "function_id as functionId", "started_at as startedAt", "sealed"])
    .where("execution_id", "=", executionId).executeTakeFirst();
}

export async function hasCapture(db: Db, executionId: string): Promise<boolean> {
  const row = await db.selectFrom("fluxbase.execution_captures").select("execution_id")
    .where("execution_id", "=", executionId).executeTakeFirst();
  return row !== undefined;
}

/** @returns whether there was one */
export async function deleteCapture(db: Db, executionId: string): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.execution_captures")
    .where("execution_id", "=", executionId).executeTakeFirst();
  return numDeletedRows > 0n;
}

export interface CaptureBounds {
  readonly before: Date;
  readonly perFunctionCount: number;
  /** Of all functions. */
  readonly maxBytes: number;
}

/** Keeps the newest. */
export async function pruneCaptures(db: Db, { before, perFunctionCount, maxBytes }: CaptureBounds): Promise<void> {
  await sql`
    delete from fluxbase.execution_captures where execution_id in (
      select execution_id from (
        select execution_id, started_at, row_number() over (partition by function_id order by started_at desc) as place,
               sum(bytes) over (order by started_at desc, execution_id) as total
          from fluxbase.execution_captures) as ranked
       where place > ${perFunctionCount} or total > ${maxBytes} or started_at < ${before})`.execute(db);
}

/**
 * Statements about values that programs of the users keep here. The owner is a user's id, or empty for the server.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

export interface CustomSetting {
  readonly id: string;
  readonly userId: string;
  readonly key: string;
  readonly value: unknown;
  readonly valueType: string;
  readonly description: string | null;
  readonly isPublic: boolean;
  readonly metadata: unknown;
  readonly createdBy: string | null;
  readonly updatedBy: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface SettingPlace {
  readonly userId: string;
  readonly key: string;
}

export interface SettingChange {
  readonly value?: unknown;
  readonly valueType?: string | undefined;
  readonly description?: string | null | undefined;
  readonly isPublic?: boolean | undefined;
  readonly metadata?: unknown;
}

const COLUMNS = [
  "id",
  "user_id as userId",
  "key",
  "value",
  "value_type as valueType",
  "description",
  "is_public as isPublic",
  "metadata",
  "created_by as createdBy",
  "updated_by as updatedBy",
  "created_at as createdAt",
  "updated_at as updatedAt",
] as const;

/** Undefined when it exists. */
export async function insertSetting(
  db: Db,
  { userId, key }: SettingPlace,
  { value, valueType = "json", description = null, isPublic = false, metadata = null }: SettingChange,
  author: string | null,
): Promise<CustomSetting | undefined> {
  return await db.insertInto("fluxbase.custom_settings").values({
    user_id: userId,
    key,
    value: JSON.stringify(value),
    value_type: valueType,
    description,
    is_public: isPublic,
    metadata: metadata === null ? null : JSON.stringify(metadata),
    created_by: author,
    updated_by: author,
  }).onConflict((conflict) => conflict.columns(["user_id", "key"]).doNothing())
    .returning(COLUMNS).executeTakeFirst();
}

/** Undefined when there is none. */
export async function updateSetting(
  db: Db,
  { userId, key }: SettingPlace,
  { value, valueType, description, isPublic, metadata }: SettingChange,
  author: string | null,
): Promise<CustomSetting | undefined> {
  return await db.updateTable("fluxbase.custom_settings").set({
    updated_at: sql<Date>`now()`,
    updated_by: author,
    ...(value === undefined ? {} : { value: JSON.stringify(value) }),
    ...(valueType === undefined ? {} : { value_type: valueType }),
    ...(description === undefined ? {} : { description }),
    ...(isPublic === undefined ? {} : { is_public: isPublic }),
    ...(metadata === undefined ? {} : { metadata: metadata === null ? null : JSON.stringify(metadata) }),
  }).where("user_id", "=", userId).where("key", "=", key).returning(COLUMNS).executeTakeFirst();
}

export async function findSettings(
  db: Db,
  userId: string,
  keys: readonly string[],
): Promise<CustomSetting[]> {
  return await db.selectFrom("fluxbase.custom_settings").select(COLUMNS)
    .where("user_id", "=", userId).where("key", "=", sql<string>`any(${[...keys]}::text[])`)
    .orderBy("key").execute();
}

export async function listSettings(db: Db, userId: string): Promise<CustomSetting[]> {
  return await db.selectFrom("fluxbase.custom_settings").select(COLUMNS).where("user_id", "=", userId)
    .orderBy("key").execute();
}

export async function countSettings(db: Db, userId: string): Promise<number> {
  const { count } = await db.selectFrom("fluxbase.custom_settings")
    .select(({ fn }) => fn.countAll<string>().as("count")).where("user_id", "=", userId).executeTakeFirstOrThrow();
  return Number(count);
}

export async function deleteSetting(db: Db, { userId, key }: SettingPlace): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.custom_settings")
    .where("user_id", "=", userId).where("key", "=", key).executeTakeFirst();
  return numDeletedRows > 0n;
}

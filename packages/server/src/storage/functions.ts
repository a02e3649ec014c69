/**
 * Statements about functions and which of their versions is live.
 *
 * @module
 */
import type { BuildProblem, FunctionSettings, FunctionSource } from "@fluxbase/contract";
import { type Kysely, sql } from "kysely";
import type { Db } from "./db.ts";
import { startSchedules, stopSchedules, syncSchedules } from "./schedules.ts";
import type { Schema } from "./schema.ts";
import {
  insertVersion,
  type NewVersion,
  pruneVersions,
  type StoredVersion,
  toVersion,
  VERSION_COLUMNS,
  type VersionRow,
} from "./versions.ts";

export interface StoredFunction {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly description: string | null;
  readonly enabled: boolean;
  readonly source: FunctionSource;
  readonly liveVersion: number | null;
  readonly latestVersion: number;
  /** The version that is shown and changed: the latest one, or the one that was rolled back to. */
  readonly currentVersion: number;
  /** A version that gets so many of 100 calls over HTTP instead of the live one. */
  readonly canaryVersion: number | null;
  readonly canaryPercent: number | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly createdBy: string | null;
}

/** A function with its current version. */
export interface FunctionWithVersion {
  readonly function: StoredFunction;
  readonly version: StoredVersion;
}

/** What every node keeps in memory of a function: all but source and bundle. */
export interface LiveFunctionRow {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly enabled: boolean;
  readonly liveVersion: number | null;
  readonly latestVersion: number;
  /** Of the live version, else of the latest. */
  readonly settings: FunctionSettings;
  readonly envSealed: Uint8Array | null;
  /** Why it did not build, when none ever did. */
  readonly problems: readonly BuildProblem[];
  /** The same function on another version, which gets so many of 100 calls over HTTP. */
  readonly canary: { readonly percent: number; readonly fn: LiveFunctionRow } | null;
}

const FUNCTION_COLUMNS = [
  "f.id",
  "f.namespace",
  "f.name",
  "f.description",
  "f.enabled",
  "f.source",
  "f.live_version as liveVersion",
  "f.latest_version as latestVersion",
  "f.current_version as currentVersion",
  "f.canary_version as canaryVersion",
  "f.canary_percent as canaryPercent",
  "f.created_at as createdAt",
  "f.updated_at as updatedAt",
  "f.created_by as createdBy",
] as const;

/** What a deployment builds upon and compares with. */
const STATE_COLUMNS = [
  "latestVersion",
  "currentVersion",
  "liveVersion",
  "canaryVersion",
  "canaryPercent",
  "enabled",
  "description",
  "source",
] as const satisfies readonly (keyof StoredFunction)[];

export interface NewFunction {
  readonly namespace: string;
  readonly name: string;
  readonly description: string | null;
  readonly enabled: boolean;
  readonly source: FunctionSource;
  readonly createdBy: string | null;
}

/** Inserts a function with its first version; a unique violation means that the name is taken. */
export function createFunction(db: Kysely<Schema>, fn: NewFunction, version: NewVersion): Promise<string> {
  return db.transaction().execute(async (trx) => {
    const { id } = await trx.insertInto("fluxbase.functions").values({
      namespace: fn.namespace,
      name: fn.name,
      description: fn.description,
      enabled: fn.enabled,
      source: fn.source,
      created_by: fn.createdBy,
      live_version: null,
    }).returning("id").executeTakeFirstOrThrow();
    await storeVersion(trx, { id, version, number: 1, place: { live_version: 1 } });
    return id;
  });
}

/** What one deployment changes: a new version, fields of the function, or both. */
export interface FunctionUpdate {
  readonly version?: NewVersion;
  readonly change: FunctionChange;
  /** The version gets so many of 100 calls, and the live one stays. */
  readonly canaryPercent?: number;
}

/**
 * Stores the next version, makes it live if it built (or has it tried, see placeOf), and changes the function's own fields, all in one transaction: no
 * server ever sees the one without the other.
 *
 * @returns false when another deployment, change or rollback came first, or the function has been deleted
 */
export function updateFunction(
  db: Kysely<Schema>,
  before: StoredFunction,
  { version, change, canaryPercent }: FunctionUpdate,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    // The lock puts two deployments at once in an order; the second finds what it did not build upon.
    const locked = await trx.selectFrom("fluxbase.functions as f").select(FUNCTION_COLUMNS)
      .where("f.id", "=", before.id).where("f.deleted_at", "is", null).forUpdate().executeTakeFirst();
    if (locked === undefined || STATE_COLUMNS.some((name) => locked[name] !== before[name])) return false;
    const number = before.latestVersion + 1;
    const place = placeOf(before, number, canaryPercent);
    if (version !== undefined) await storeVersion(trx, { id: before.id, version, number, place, change });
    else await setFields(trx, before.id, change);
    return true;
  });
}

/**
 * While a version is tried that came after the live one, what is deployed next takes its place; everything else goes
 * live, and nothing is tried any more.
 */
function placeOf(
  { liveVersion, canaryVersion, canaryPercent }: StoredFunction,
  number: number,
  wanted: number | undefined,
): Fields {
  const isTrying = canaryVersion !== null && canaryVersion > (liveVersion ?? 0);
  const percent = wanted ?? (isTrying ? canaryPercent : null);
  return percent === null || liveVersion === null
    ? { live_version: number, ...NO_CANARY }
    : { canary_version: number, canary_percent: percent };
}

const NO_CANARY = { canary_version: null, canary_percent: null } as const;

interface VersionToStore {
  /** Of the function. */
  readonly id: string;
  readonly version: NewVersion;
  readonly number: number;
  /** What becomes of it once it has built. */
  readonly place: Fields;
  readonly change?: FunctionChange;
}

async function storeVersion(trx: Db, { id, version, number, place, change = {} }: VersionToStore): Promise<void> {
  await insertVersion(trx, id, version, number);
  const isBuilt = version.bundle !== null;
  await setFields(trx, id, {
    ...change,
    latest_version: number,
    current_version: number,
    ...(isBuilt ? place : {}),
  });
  if (isBuilt && place.live_version !== undefined) await syncSchedules(trx, id);
  await pruneVersions(trx, id);
}

type Fields = FunctionChange & {
  readonly latest_version?: number;
  readonly current_version?: number;
  readonly live_version?: number;
  readonly canary_version?: number | null;
  readonly canary_percent?: number | null;
};

async function setFields(db: Db, functionId: string, fields: Fields): Promise<void> {
  await db.updateTable("fluxbase.functions").set({ ...fields, updated_at: sql<Date>`now()` })
    .where("id", "=", functionId).execute();
}

export async function findFunction(db: Db, namespace: string, name: string): Promise<FunctionWithVersion | undefined> {
  const row = await functionsWithCurrent(db).select("v.files").where("f.namespace", "=", namespace).where(
    "f.name",
    "=",
    name,
  )
    .executeTakeFirst();
  return row && split(row);
}

/** All functions, or those of one namespace, by name. Without sources: `files` is empty. */
export interface FunctionsPage {
  readonly namespace?: string | undefined;
  /** In the name or the namespace, whatever its case. */
  readonly text?: string | undefined;
  /** As `namespace/name`: those behind it. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

/** By namespace and name, in the order of their bytes. */
export async function listFunctions(
  db: Db,
  { namespace, text, after, limit }: FunctionsPage = {},
): Promise<FunctionWithVersion[]> {
  const place = sql<string>`(f.namespace collate "C", f.name collate "C")`;
  let query = functionsWithCurrent(db).select(sql<Record<string, string>>`'{}'::jsonb`.as("files")).orderBy(place);
  if (namespace !== undefined) query = query.where("f.namespace", "=", namespace);
  if (text !== undefined) {
    const pattern = `%${text.replaceAll(/[\\%_]/g, "\\$&")}%`;
    query = query.where(sql<boolean>`f.namespace || '/' || f.name ilike ${pattern}`);
  }
  if (after !== undefined) {
    const [inNamespace = "", name = ""] = after.split("/");
    query = query.where(sql<boolean>`${place} > (${inNamespace} collate "C", ${name} collate "C")`);
  }
  if (limit !== undefined) query = query.limit(limit);
  return (await query.execute()).map(split);
}

function functionsWithCurrent(db: Db) {
  return db.selectFrom("fluxbase.functions as f")
    .innerJoin(
      "fluxbase.versions as v",
      (join) => join.onRef("v.function_id", "=", "f.id").onRef("v.number", "=", "f.current_version"),
    )
    .select([...FUNCTION_COLUMNS, ...VERSION_COLUMNS])
    .where("f.deleted_at", "is", null);
}

function split(row: StoredFunction & VersionRow): FunctionWithVersion {
  const { id, namespace, name, description, enabled, source, liveVersion, latestVersion, currentVersion, ...rest } =
    row;
  const { canaryVersion, canaryPercent, createdAt, updatedAt, createdBy, ...version } = rest;
  const fn = { id, namespace, name, description, enabled, source, liveVersion, latestVersion, currentVersion };
  const more = { canaryVersion, canaryPercent, createdAt, updatedAt, createdBy };
  return { function: { ...fn, ...more }, version: toVersion(version) };
}

export interface FunctionChange {
  readonly description?: string | null;
  readonly enabled?: boolean;
  readonly source?: FunctionSource;
}

/** Makes a version live and current, for all calls; false when it does not exist or never built. */
export function makeLive(db: Kysely<Schema>, functionId: string, version: number): Promise<boolean> {
  return ofBuiltVersion(db, { functionId, version }, async (trx) => {
    await setFields(trx, functionId, { live_version: version, current_version: version, ...NO_CANARY });
    await syncSchedules(trx, functionId);
  });
}

/** Gives a version a share of the calls, beside the live one; false when it does not exist or never built. */
export function shareCalls(
  db: Kysely<Schema>,
  functionId: string,
  { version, percent }: { readonly version: number; readonly percent: number },
): Promise<boolean> {
  return ofBuiltVersion(db, { functionId, version }, async (trx) => {
    await setFields(trx, functionId, { canary_version: version, canary_percent: percent });
  });
}

/** The live version gets all calls again, and is what the next change starts from. */
export async function endCanary(db: Db, functionId: string): Promise<void> {
  await db.updateTable("fluxbase.functions")
    .set(({ ref }) => ({ current_version: ref("live_version").$notNull(), ...NO_CANARY, updated_at: sql<Date>`now()` }))
    .where("id", "=", functionId).where("canary_version", "is not", null).execute();
}

/** @returns false, and nothing is done, when the version does not exist or never built */
function ofBuiltVersion(
  db: Kysely<Schema>,
  { functionId, version }: { readonly functionId: string; readonly version: number },
  work: (trx: Db) => Promise<void>,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    // Locked before the version is looked up: a deployment at the same time may remove old versions.
    const locked = await trx.selectFrom("fluxbase.functions").select("id")
      .where("id", "=", functionId).where("deleted_at", "is", null).forUpdate().executeTakeFirst();
    const built = await trx.selectFrom("fluxbase.versions").select("number")
      .where("function_id", "=", functionId).where("number", "=", version).where("bundle", "is not", null)
      .executeTakeFirst();
    if (locked === undefined || built === undefined) return false;
    await work(trx);
    return true;
  });
}

/** Soft: the row stays for 30 days, its name is free at once, and its schedules stand still. */
export async function deleteFunction(db: Db, functionId: string): Promise<boolean> {
  const { numUpdatedRows } = await db.updateTable("fluxbase.functions").set({ deleted_at: sql<Date>`now()` })
    .where("id", "=", functionId).where("deleted_at", "is", null).executeTakeFirst();
  await stopSchedules(db, functionId);
  return numUpdatedRows > 0n;
}

/** What calls a function by itself, and goes and comes back with it. */
export async function countCallers(
  db: Db,
  functionId: string,
): Promise<{ readonly schedules: number; readonly hooks: number }> {
  const { rows: [counts] } = await sql<{ schedules: number; hooks: number }>`
    select (select count(*)::int from fluxbase.schedules where function_id = ${functionId}) as schedules,
           (select count(*)::int from fluxbase.db_hooks where function_id = ${functionId}) as hooks`.execute(db);
  return counts ?? { schedules: 0, hooks: 0 };
}

/**
 * Takes the latest deletion of a name back.
 *
 * @returns its id; undefined when nothing of that name is kept. A unique violation means that the name is taken again.
 */
export async function restoreFunction(db: Db, namespace: string, name: string): Promise<string | undefined> {
  const row = await db.updateTable("fluxbase.functions").set({ deleted_at: null, updated_at: sql<Date>`now()` })
    .where("id", "=", ({ selectFrom }) =>
      selectFrom("fluxbase.functions").select("id")
        .where("namespace", "=", namespace).where("name", "=", name).where("deleted_at", "is not", null)
        .orderBy("deleted_at", "desc").limit(1))
    .where("deleted_at", "is not", null).returning("id").executeTakeFirst();
  if (row !== undefined) await startSchedules(db, row.id);
  return row?.id;
}

/** Functions that were deleted so long ago, with all their versions; returns how many. */
export async function purgeFunctions(db: Db, days: number): Promise<number> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.functions")
    .where("deleted_at", "<", sql<Date>`now() - make_interval(days => ${days})`).executeTakeFirst();
  return Number(numDeletedRows);
}

/** Everything the catalog holds, or the rows of some functions; a deleted function has none. */
export async function listLiveFunctions(db: Db, ids?: readonly string[]): Promise<LiveFunctionRow[]> {
  let query = db.selectFrom("fluxbase.functions as f")
    .innerJoin(
      "fluxbase.versions as v",
      (join) =>
        join.onRef("v.function_id", "=", "f.id").on(
          "v.number",
          "=",
          sql<number>`coalesce(f.live_version, f.latest_version)`,
        ),
    )
    .leftJoin(
      "fluxbase.versions as c",
      (join) => join.onRef("c.function_id", "=", "f.id").onRef("c.number", "=", "f.canary_version"),
    )
    .select([
      "f.id",
      "f.namespace",
      "f.name",
      "f.enabled",
      "f.live_version as liveVersion",
      "f.latest_version as latestVersion",
      "v.settings",
      "v.env_sealed as envSealed",
      "v.problems",
      "f.canary_percent as canaryPercent",
      "c.number as canaryVersion",
      "c.settings as canarySettings",
      "c.env_sealed as canaryEnvSealed",
    ])
    .where("f.deleted_at", "is", null);
  if (ids !== undefined) query = query.where("f.id", "=", sql<string>`any(${ids}::uuid[])`);
  return (await query.execute()).map(
    ({ canaryPercent: percent, canaryVersion, canarySettings: settings, canaryEnvSealed: envSealed, ...live }) => {
      if (percent === null || canaryVersion === null || settings === null) return { ...live, canary: null };
      const fn = { ...live, liveVersion: canaryVersion, settings, envSealed, problems: [], canary: null };
      return { ...live, canary: { percent, fn } };
    },
  );
}

/**
 * Statements about shared modules: source below `_shared/` that functions of a namespace may import.
 *
 * @module
 */
import type { BuildProblem, FunctionSource } from "@fluxbase/contract";
import { type Kysely, sql } from "kysely";
import type { Db } from "./db.ts";
import type { Schema } from "./schema.ts";

export interface StoredModule {
  readonly id: string;
  readonly namespace: string;
  readonly modulePath: string;
  readonly description: string | null;
  readonly source: FunctionSource;
  readonly content: string;
  readonly contentHash: string;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly createdBy: string | null;
}

export type NewModule = Omit<StoredModule, "id" | "version" | "createdAt" | "updatedAt">;

const COLUMNS = [
  "id",
  "namespace",
  "module_path as modulePath",
  "description",
  "source",
  "content",
  "content_hash as contentHash",
  "version",
  "created_at as createdAt",
  "updated_at as updatedAt",
  "created_by as createdBy",
] as const;

const KEPT_VERSIONS_COUNT = 20;

/** Of the given namespaces, or of all, by path. */
export async function listModules(db: Db, namespaces?: readonly string[]): Promise<StoredModule[]> {
  let query = db.selectFrom("fluxbase.shared_modules").select(COLUMNS).orderBy("namespace").orderBy("module_path");
  if (namespaces !== undefined) query = query.where("namespace", "in", namespaces);
  return await query.execute();
}

/** Another text after every change of a module of these namespaces. */
export async function moduleStamp(db: Db, namespaces: readonly string[]): Promise<string> {
  const row = await db.selectFrom("fluxbase.shared_modules")
    .select(
      sql<string>`count(*) || ' ' || coalesce(sum(version), 0) || ' ' || coalesce(max(updated_at)::text, '')`.as(
        "stamp",
      ),
    )
    .where("namespace", "in", namespaces).executeTakeFirst();
  return row?.stamp ?? "";
}

export async function findModule(db: Db, namespace: string, modulePath: string): Promise<StoredModule | undefined> {
  return await db.selectFrom("fluxbase.shared_modules").select(COLUMNS)
    .where("namespace", "=", namespace).where("module_path", "=", modulePath).executeTakeFirst();
}

export async function findModuleContent(db: Db, moduleId: string, version: number): Promise<string | undefined> {
  const row = await db.selectFrom("fluxbase.shared_module_versions").select("content")
    .where("module_id", "=", moduleId).where("version", "=", version).executeTakeFirst();
  return row?.content;
}

export interface StoredModuleVersion {
  readonly version: number;
  readonly createdAt: Date;
  readonly createdBy: string | null;
}

/** Newest first. */
export async function listModuleVersions(db: Db, moduleId: string): Promise<StoredModuleVersion[]> {
  return await db.selectFrom("fluxbase.shared_module_versions")
    .select(["version", "created_at as createdAt", "created_by as createdBy"])
    .where("module_id", "=", moduleId).orderBy("version", "desc").execute();
}

/** A unique violation means that the path is taken. */
export function createModule(db: Kysely<Schema>, module: NewModule): Promise<StoredModule> {
  return db.transaction().execute(async (trx) => {
    const stored = await trx.insertInto("fluxbase.shared_modules").values({
      namespace: module.namespace,
      module_path: module.modulePath,
      description: module.description,
      source: module.source,
      content: module.content,
      content_hash: module.contentHash,
      created_by: module.createdBy,
    }).returning(COLUMNS).executeTakeFirstOrThrow();
    await insertContent(trx, stored, module.createdBy);
    return stored;
  });
}

export type ModuleChange = Pick<NewModule, "content" | "contentHash" | "description" | "source" | "createdBy">;

/** The same content makes no new version. Undefined when the module is gone. */
export function updateModule(
  db: Kysely<Schema>,
  moduleId: string,
  { content, contentHash, description, source, createdBy }: ModuleChange,
): Promise<StoredModule | undefined> {
  return db.transaction().execute(async (trx) => {
    const stored = await trx.updateTable("fluxbase.shared_modules").set({
      version: sql<number>`version + case when content_hash = ${contentHash} then 0 else 1 end`,
      content,
      content_hash: contentHash,
      description,
      source,
      updated_at: sql<Date>`now()`,
    }).where("id", "=", moduleId).returning(COLUMNS).executeTakeFirst();
    if (stored === undefined) return undefined;
    await insertContent(trx, stored, createdBy);
    await trx.deleteFrom("fluxbase.shared_module_versions")
      .where("module_id", "=", moduleId).where("version", "<=", stored.version - KEPT_VERSIONS_COUNT).execute();
    return stored;
  });
}

async function insertContent(trx: Db, { id, version, content }: StoredModule, createdBy: string | null): Promise<void> {
  await trx.insertInto("fluxbase.shared_module_versions")
    .values({ module_id: id, version, content, created_by: createdBy })
    .onConflict((conflict) => conflict.doNothing()).execute();
}

export async function deleteModule(db: Db, moduleId: string): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom("fluxbase.shared_modules").where("id", "=", moduleId)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

export interface Dependent {
  readonly namespace: string;
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  /** Keeps the modules it was built with: it was rolled back to, or an admin granted it more than others have. */
  readonly isPinned: boolean;
}

/** Functions whose current version was built with something outside its own files. */
export async function listDependents(db: Db): Promise<Dependent[]> {
  return await dependents(db).execute();
}

export interface ModuleUser extends Dependent {
  readonly version: number;
  /** Why the version did not build. */
  readonly problems: readonly BuildProblem[];
}

/** Functions whose current version, or the one that serves calls, was built with a module of this path. */
export async function listUsers(db: Db, modulePath: string): Promise<ModuleUser[]> {
  return await dependents(db).select(["v.number as version", "v.problems"])
    .leftJoin(
      "fluxbase.versions as l",
      (join) => join.onRef("l.function_id", "=", "f.id").onRef("l.number", "=", "f.live_version"),
    )
    .where(sql<boolean>`jsonb_exists(v.dependencies, ${modulePath}) or jsonb_exists(l.dependencies, ${modulePath})`)
    .orderBy("f.namespace").orderBy("f.name").execute();
}

function dependents(db: Db) {
  return db.selectFrom("fluxbase.functions as f")
    .innerJoin(
      "fluxbase.versions as v",
      (join) => join.onRef("v.function_id", "=", "f.id").onRef("v.number", "=", "f.current_version"),
    )
    .select(["f.namespace", "f.name", "v.dependencies"])
    .select(
      sql<boolean>`f.current_version <> f.latest_version
        or coalesce(v.settings #>> '{permissions,service}' = 'admin', false)`.as("isPinned"),
    )
    .where("f.deleted_at", "is", null)
    .where("v.dependencies", "!=", sql<Record<string, string>>`'{}'::jsonb`);
}

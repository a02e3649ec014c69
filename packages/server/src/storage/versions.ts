/**
 * Statements about versions: immutable once stored.
 *
 * @module
 */
import type { BuildProblem, FunctionSettings } from "@fluxbase/contract";
import { sql } from "kysely";
import type { Db } from "./db.ts";

/** What a version was made of, beside its environment. */
interface Ingredients {
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
  readonly settings: FunctionSettings;
  /** What annotations in the source say, in the words of the API. */
  readonly annotations: Readonly<Record<string, unknown>>;
  /** Sentences for the author. */
  readonly warnings: readonly string[];
  /** Shared modules in the bundle and the import map, by path, with the hash of what was built. */
  readonly dependencies: Readonly<Record<string, string>>;
}

export interface NewVersion extends Ingredients {
  /** What the API has set, as it was sent. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly envNames: readonly string[];
  readonly envSealed: Uint8Array | null;
  /** Null when the build failed. */
  readonly bundle: string | null;
  readonly problems: readonly BuildProblem[];
  readonly contentHash: string;
  readonly createdBy: string | null;
}

export interface StoredVersion extends Ingredients {
  readonly number: number;
  /** Null for a version that was stored before this was kept. */
  readonly given: Readonly<Record<string, unknown>> | null;
  readonly envNames: readonly string[];
  readonly envSealed: Uint8Array | null;
  readonly bundleBytes: number | null;
  /** Of `files`, which lists leave out. */
  readonly paths: readonly string[];
  /** It came as a bundle, with its source beside it. */
  readonly isPreBundled: boolean;
  readonly problems: readonly BuildProblem[];
  readonly contentHash: string;
  readonly createdAt: Date;
  readonly createdBy: string | null;
}

/** Stands for the source of a version that came as a bundle; no path of a file looks like it. */
export const ORIGINAL = "#original";

/** Without `files`, which is the large one. */
export const VERSION_COLUMNS = [
  sql<string[]>`array(select jsonb_object_keys(v.files))`.as("paths"),
  "v.number",
  "v.entry",
  "v.settings",
  "v.given",
  "v.annotations",
  "v.warnings",
  "v.dependencies",
  "v.env_names as envNames",
  "v.env_sealed as envSealed",
  "v.bundle_bytes as bundleBytes",
  "v.problems",
  "v.content_hash as contentHash",
  "v.created_at as versionCreatedAt",
  "v.created_by as versionCreatedBy",
] as const;

/** Versions kept for each function, besides the live one. */
const KEPT_VERSIONS_COUNT = 20;

export async function insertVersion(db: Db, functionId: string, version: NewVersion, number: number): Promise<void> {
  await db.insertInto("fluxbase.versions").values({
    function_id: functionId,
    number,
    entry: version.entry,
    files: JSON.stringify(version.files),
    settings: JSON.stringify(version.settings),
    given: JSON.stringify(version.given),
    annotations: JSON.stringify(version.annotations),
    warnings: JSON.stringify(version.warnings),
    dependencies: JSON.stringify(version.dependencies),
    env_names: [...version.envNames],
    env_sealed: version.envSealed,
    bundle: version.bundle,
    bundle_bytes: version.bundle === null ? null : new TextEncoder().encode(version.bundle).length,
    problems: JSON.stringify(version.problems),
    content_hash: version.contentHash,
    created_by: version.createdBy,
  }).execute();
}

export async function pruneVersions(db: Db, functionId: string): Promise<void> {
  await db.deleteFrom("fluxbase.versions as v").using("fluxbase.functions as f")
    .whereRef("f.id", "=", "v.function_id").where("f.id", "=", functionId)
    .where(({ eb, ref }) => eb("v.number", "<=", eb(ref("f.latest_version"), "-", KEPT_VERSIONS_COUNT)))
    .where(({ eb, ref, or }) => or([eb("f.live_version", "is", null), eb("v.number", "!=", ref("f.live_version"))]))
    .where(({ eb, ref, or }) => or([eb("f.canary_version", "is", null), eb("v.number", "!=", ref("f.canary_version"))]))
    .execute();
}

/** Newest first, without sources: `files` is empty. */
export async function listVersions(db: Db, functionId: string): Promise<StoredVersion[]> {
  const rows = await versionsOf(db, functionId).select(sql<Record<string, string>>`'{}'::jsonb`.as("files"))
    .orderBy("v.number", "desc").execute();
  return rows.map(toVersion);
}

export async function findVersion(db: Db, functionId: string, number: number): Promise<StoredVersion | undefined> {
  const row = await versionsOf(db, functionId).select("v.files").where("v.number", "=", number).executeTakeFirst();
  return row && toVersion(row);
}

function versionsOf(db: Db, functionId: string) {
  return db.selectFrom("fluxbase.versions as v").select(VERSION_COLUMNS).where("v.function_id", "=", functionId);
}

/** A row of VERSION_COLUMNS and `files`. */
export type VersionRow = Omit<StoredVersion, "createdAt" | "createdBy" | "isPreBundled"> & {
  readonly versionCreatedAt: Date;
  readonly versionCreatedBy: string | null;
};

export function toVersion({ versionCreatedAt, versionCreatedBy, ...version }: VersionRow): StoredVersion {
  const isPreBundled = version.paths.includes(ORIGINAL);
  return { ...version, isPreBundled, createdAt: versionCreatedAt, createdBy: versionCreatedBy };
}

export interface SealedEnv {
  readonly functionId: string;
  readonly number: number;
  readonly namespace: string;
  readonly name: string;
  readonly sealed: Uint8Array;
}

/** Of every version of every function, deleted ones too. */
export async function listSealedEnvs(db: Db): Promise<SealedEnv[]> {
  return await db.selectFrom("fluxbase.versions as v").innerJoin("fluxbase.functions as f", "f.id", "v.function_id")
    .select(["f.id as functionId", "v.number", "f.namespace", "f.name", "v.env_sealed as sealed"])
    .where("v.env_sealed", "is not", null).$narrowType<{ sealed: Uint8Array }>().execute();
}

export async function replaceSealedEnv(
  db: Db,
  { functionId, number }: Pick<SealedEnv, "functionId" | "number">,
  sealed: Uint8Array,
): Promise<void> {
  await db.updateTable("fluxbase.versions").set({ env_sealed: sealed })
    .where("function_id", "=", functionId).where("number", "=", number).execute();
}

/** Undefined when the version does not exist or did not build. */
export async function readBundle(db: Db, functionId: string, number: number): Promise<string | undefined> {
  const row = await db.selectFrom("fluxbase.versions").select("bundle")
    .where("function_id", "=", functionId).where("number", "=", number).executeTakeFirst();
  return row?.bundle ?? undefined;
}

/**
 * Statements about versions: immutable once stored.
 *
 * @module
 */
import type { BuildProblem, FunctionSettings } from "@fluxbase/contract";
import type { Db } from "./db.ts";

export interface NewVersion {
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
  readonly settings: FunctionSettings;
  readonly envNames: readonly string[];
  readonly envSealed: Uint8Array | null;
  /** Null when the build failed. */
  readonly bundle: string | null;
  readonly problems: readonly BuildProblem[];
  readonly contentHash: string;
  readonly createdBy: string | null;
}

export interface StoredVersion {
  readonly number: number;
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
  readonly settings: FunctionSettings;
  readonly envNames: readonly string[];
  readonly envSealed: Uint8Array | null;
  readonly bundleBytes: number | null;
  readonly problems: readonly BuildProblem[];
  readonly contentHash: string;
  readonly createdAt: Date;
  readonly createdBy: string | null;
}

/** Without `files`, which is the large one. */
export const VERSION_COLUMNS = [
  "v.number",
  "v.entry",
  "v.settings",
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
    .execute();
}

/** Undefined when the version does not exist or did not build. */
export async function readBundle(db: Db, functionId: string, number: number): Promise<string | undefined> {
  const row = await db.selectFrom("fluxbase.versions").select("bundle")
    .where("function_id", "=", functionId).where("number", "=", number).executeTakeFirst();
  return row?.bundle ?? undefined;
}

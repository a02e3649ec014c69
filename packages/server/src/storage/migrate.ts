/**
 * Brings the schema up to date: numbered SQL files, each applied once, safe with several starters.
 *
 * A server that finds a schema newer than it knows goes on if the release that made it says so, in the comment of the
 * schema; see docs/decisions/0067-two-releases-on-one-database.md.
 *
 * @module
 */
import { type Kysely, sql } from "kysely";
import { type Migration, type MigrationProvider, Migrator } from "kysely/migration";
import { type Log, silentLog } from "../core/log.ts";
import { compareVersions, RELEASE, type Release } from "./release.ts";
import type { Schema } from "./schema.ts";
import { StartError } from "./start_error.ts";

const FOLDER = new URL("../../migrations/", import.meta.url);
const SCHEMA = "fluxbase";

export interface MigrateOptions {
  readonly folder?: URL;
  readonly release?: Release;
}

/** @throws {StartError} naming the file and what the database said, or the release that has changed the schema */
export async function migrate(
  db: Kysely<Schema>,
  log: Log,
  { folder = FOLDER, release = RELEASE }: MigrateOptions = {},
): Promise<void> {
  const provider = sqlFiles(folder);
  const own = Object.keys(await provider.getMigrations());
  if (await isNewer(db, { own, release, log })) return;
  try {
    // Before its migrations, so that nobody ever finds them without: what is said of more than is there does no harm.
    await noteRelease(db, release, log);
    await apply(db, provider, log);
    await noteRelease(db, release, log);
  } catch (error) {
    // A server of a newer release may have been faster.
    if (!await isNewer(db, { own, release, log })) throw error;
  }
}

/** How the schema of a database and this release fit. */
export interface SchemaFit {
  /** That has changed the schema last; undefined: nobody has said. */
  readonly release: Release | undefined;
  readonly isEmpty: boolean;
  /** Migrations that a start of this release applies. */
  readonly missing: readonly string[];
  /** Why this release cannot start; undefined: it can. */
  readonly refusal: string | undefined;
}

/** Changes nothing. */
export async function compareSchema(
  db: Kysely<Schema>,
  { folder = FOLDER, release = RELEASE }: MigrateOptions = {},
): Promise<SchemaFit> {
  const own = Object.keys(await sqlFiles(folder).getMigrations()).sort();
  const applied = await appliedMigrations(db);
  const fit = {
    release: await readRelease(db),
    isEmpty: applied.length === 0,
    missing: own.filter((name) => !applied.includes(name)),
  };
  try {
    await isNewer(db, { own, release, log: silentLog });
    return { ...fit, refusal: undefined };
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return { ...fit, refusal: error.message };
  }
}

/**
 * Whether the schema is newer than this release, which can work with it.
 *
 * @throws {StartError} when it cannot
 */
async function isNewer(
  db: Kysely<Schema>,
  { own, release, log }: { readonly own: readonly string[]; readonly release: Release; readonly log: Log },
): Promise<boolean> {
  const applied = await appliedMigrations(db);
  const unknown = applied.filter((name) => !own.includes(name));
  if (unknown.length === 0) return false;
  const other = await readRelease(db);
  const isWhole = own.every((name) => applied.includes(name));
  if (other === undefined || !isWhole || compareVersions(release.version, other.serversFrom) < 0) {
    throw tooNew(release, other, unknown.at(-1) ?? "");
  }
  log.info("The schema of the database is newer than this server, which can work with it", {
    release: other.version,
    server: release.version,
  });
  return true;
}

async function apply(db: Kysely<Schema>, provider: MigrationProvider, log: Log): Promise<void> {
  // What a mended older release brings may have a number below what is there; migrations that only add may come late.
  const migrator = new Migrator({ db, provider, migrationTableSchema: SCHEMA, allowUnorderedMigrations: true });
  const { error, results } = await migrator.migrateToLatest();
  for (const { migrationName, status } of results ?? []) {
    if (status === "Error") {
      throw new StartError(
        `Cannot apply migration ${migrationName} to the database: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
  const applied = (results ?? []).filter(({ status }) => status === "Success");
  if (applied.length > 0) {
    log.info("Schema migrated", { migrations: applied.length, latest: applied.at(-1)?.migrationName });
  }
  if (error !== undefined) {
    throw new StartError(
      `Cannot bring the database's schema up to date: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** False on an empty database. */
async function hasMigrations(db: Kysely<Schema>): Promise<boolean> {
  const { rows: [place] } = await sql<{ isThere: boolean }>`
    select pg_catalog.to_regclass('fluxbase.kysely_migration') is not null as "isThere"
  `.execute(db);
  return place?.isThere === true;
}

async function appliedMigrations(db: Kysely<Schema>): Promise<string[]> {
  if (!await hasMigrations(db)) return [];
  const { rows } = await sql<{ name: string }>`select name from fluxbase.kysely_migration order by name`.execute(db);
  return rows.map(({ name }) => name);
}

/** Undefined: nobody has said. */
async function readRelease(db: Kysely<Schema>): Promise<Release | undefined> {
  const { rows: [found] } = await sql<{ text: string | null }>`
    select pg_catalog.obj_description(oid, 'pg_namespace') as text
    from pg_catalog.pg_namespace where nspname = ${SCHEMA}
  `.execute(db);
  try {
    const { version, serversFrom } = JSON.parse(found?.text ?? "");
    return typeof version === "string" && typeof serversFrom === "string" ? { version, serversFrom } : undefined;
  } catch {
    return undefined;
  }
}

/** The newest release wins, whoever starts last. */
async function noteRelease(db: Kysely<Schema>, release: Release, log: Log): Promise<void> {
  try {
    if (!await hasMigrations(db)) return;
    await db.transaction().execute(async (trx) => {
      await sql`select from fluxbase.kysely_migration_lock for update`.execute(trx);
      const there = await readRelease(trx);
      if (there !== undefined && compareVersions(there.version, release.version) >= 0) return;
      const { version, serversFrom } = release;
      await sql`comment on schema fluxbase is ${sql.lit(JSON.stringify({ version, serversFrom }))}`.execute(trx);
    });
  } catch (error) {
    // The schema may belong to somebody else. Only servers of older releases need it.
    log.warn("Cannot note the release in the database: servers of an older one will not start beside this one", {
      reason: error instanceof Error ? error.message : error,
    });
  }
}

function tooNew({ version }: Release, other: Release | undefined, migration: string): StartError {
  const found = other === undefined ? "a newer release" : `release ${other.version}`;
  const needed = other === undefined ? "that release" : `release ${other.serversFrom} or newer`;
  return new StartError(
    `Cannot use the database: ${found} has changed its schema (migration ${migration}), and this is ${version}; start ${needed}, or restore a backup from before the change`,
  );
}

function sqlFiles(folder: URL): MigrationProvider {
  return {
    async getMigrations() {
      const migrations: Record<string, Migration> = {};
      for await (const { name } of Deno.readDir(folder)) {
        if (!name.endsWith(".sql")) continue;
        const text = await Deno.readTextFile(new URL(name, folder));
        migrations[name.slice(0, -".sql".length)] = {
          async up(trx) {
            await sql.raw(text).execute(trx);
          },
        };
      }
      return migrations;
    },
  };
}

/**
 * Brings the schema up to date: numbered SQL files, each applied once, safe with several starters.
 *
 * @module
 */
import { type Kysely, sql } from "kysely";
import { type Migration, type MigrationProvider, Migrator } from "kysely/migration";
import type { Log } from "../core/log.ts";
import type { Schema } from "./schema.ts";
import { StartError } from "./start_error.ts";

const FOLDER = new URL("../../migrations/", import.meta.url);
const SCHEMA = "fluxbase";

/** @throws {StartError} naming the file and what the database said */
export async function migrate(db: Kysely<Schema>, log: Log): Promise<void> {
  const migrator = new Migrator({ db, provider: sqlFiles(FOLDER), migrationTableSchema: SCHEMA });
  const { error, results } = await migrator.migrateToLatest();
  for (const { migrationName, status } of results ?? []) {
    if (status === "Success") log.info("Schema migrated", { migration: migrationName });
    if (status === "Error") {
      throw new StartError(
        `Cannot apply migration ${migrationName} to the database: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
  if (error !== undefined) {
    throw new StartError(
      `Cannot bring the database's schema up to date: ${error instanceof Error ? error.message : error}`,
    );
  }
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

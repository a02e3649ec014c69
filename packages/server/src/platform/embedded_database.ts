/**
 * How the embedded Postgres is reached: by the process that starts it, and by the others of this machine.
 *
 * @module
 */
import type { Config } from "../config/config.ts";
import type { Secret } from "../core/secret.ts";
import { findRunningPostgres } from "../storage/embedded/embedded_postgres.ts";
import { StartError } from "../storage/start_error.ts";

export function embeddedPort({ database }: Config): { readonly port?: number } {
  return database.kind === "external" || database.port === null ? {} : { port: database.port };
}

export async function parentsPostgres(dataDir: string): Promise<Secret> {
  const url = await findRunningPostgres(dataDir);
  if (url === undefined) throw new StartError("Cannot reach the embedded Postgres that all server processes share");
  return url;
}

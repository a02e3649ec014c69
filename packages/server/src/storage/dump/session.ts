/**
 * One connection that reads a whole database as it was at one moment, or writes one in a single transaction.
 *
 * @module
 */
import pg from "pg";
import type { Secret } from "../../core/secret.ts";
import { codeOf } from "../db.ts";
import { StartError } from "../start_error.ts";

const NO_SUCH_DATABASE = "3D000";

export interface DumpSession {
  readonly client: pg.Client;
  readonly url: Secret;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Undefined: there is no such database. */
export async function openSession(url: Secret): Promise<DumpSession | undefined> {
  const client = new pg.Client({
    connectionString: url.reveal(),
    application_name: "fluxbase backup",
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  client.on("error", () => {});
  try {
    await client.connect();
  } catch (error) {
    if (codeOf(error) === NO_SUCH_DATABASE) return undefined;
    const { host } = new URL(url.reveal());
    throw new StartError(
      `Cannot connect to the database at ${host}: ${error instanceof Error ? error.message : error}`,
    );
  }
  // Values are written the same way whatever the database prefers.
  await client.query(`
    set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0;
    set search_path = ''; set row_security = off;
    set datestyle = iso; set intervalstyle = postgres; set extra_float_digits = 3`);
  return { client, url, [Symbol.asyncDispose]: () => client.end() };
}

/** Everything that is read from now on is as it is now. Returns the name by which other connections see the same. */
export async function beginReading({ client }: DumpSession): Promise<string> {
  await client.query("begin isolation level repeatable read read only");
  const { rows: [snapshot] } = await client.query("select pg_catalog.pg_export_snapshot() as name");
  return snapshot.name;
}

/**
 * The database of the users' data: apart from the platform's, on the same Postgres unless another is named.
 *
 * Notifications, advisory locks, settings and temporary files are per database, so nothing that users' code does in
 * theirs reaches the platform's (docs/decisions/0035).
 *
 * Owns: which database that is, that it exists, and how tables get there that were made before it existed.
 * Does not own: roles and schemas in it (./roles.ts).
 *
 * @module
 */
import pg from "pg";
import { delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { Secret } from "../core/secret.ts";
import { codeOf } from "./db.ts";
import { StartError } from "./start_error.ts";

export interface AppDatabaseOptions {
  readonly platformUrl: Secret;
  /** One that the operator named. */
  readonly givenUrl: Secret | null;
  /** The users' data stay in the platform's database. */
  readonly isShared: boolean;
  /** The Postgres is ours alone, so all that is in it may be copied. */
  readonly isEmbedded: boolean;
  /** Where tables were served from. */
  readonly schemas: readonly string[];
  readonly log: Log;
}

const NAME_MAX_BYTES = 63;
const SUFFIX = "_app";
const LOCK_ID = 7_220_115;
const LOCK_POLL_MS = 200;
const LOCK_MS = 60_000;
/** Another server made it first. */
const ALREADY_THERE = /^(42P04|23505)$/;
const IN_USE = "55006";
const MAY_NOT = "42501";
const SHOWN_COUNT = 3;

/**
 * Undefined: it is not there and may not be made; the log says what helps.
 *
 * @throws {StartError} when tables would be left behind
 */
export async function findAppDatabase(options: AppDatabaseOptions): Promise<Secret | undefined> {
  const { platformUrl, givenUrl, isShared, log } = options;
  if (isShared) {
    log.warn(
      "Users' tables share the platform's database (FLUXBASE_DATABASE_SHARED): what SQL of users does can disturb the server; DATABASE_URL of functions is switched off",
    );
    return platformUrl;
  }
  if (givenUrl !== null) {
    if (placeOf(givenUrl) === placeOf(platformUrl)) {
      throw new StartError(
        "Cannot use the platform's own database for users' tables: FLUXBASE_APP_DATABASE_URL must name another one; FLUXBASE_DATABASE_SHARED=true lets them share it",
      );
    }
    return givenUrl;
  }
  const name = appDatabaseName(nameIn(platformUrl));
  return await makeDatabase(name, options) ? named(platformUrl, name) : undefined;
}

export function appDatabaseName(platformName: string): string {
  return platformName.slice(0, NAME_MAX_BYTES - SUFFIX.length) + SUFFIX;
}

/** One server makes it, others wait: without a connection, since a database that is copied must have no other. */
async function makeDatabase(name: string, options: AppDatabaseOptions): Promise<boolean> {
  const deadline = performance.now() + LOCK_MS;
  for (;;) {
    const client = new pg.Client({ connectionString: options.platformUrl.reveal(), application_name: "fluxbase" });
    client.on("error", () => {});
    try {
      await client.connect();
      if (await exists(client, name)) return true;
      const { rows: [lock] } = await client.query(`select pg_catalog.pg_try_advisory_lock(${LOCK_ID}) as "isOurs"`);
      if (lock.isOurs) return await makeNow(client, name, options);
    } catch (error) {
      if (ALREADY_THERE.test(codeOf(error))) return true;
      if (error instanceof StartError) throw error;
      if (codeOf(error) === MAY_NOT) return sayForbidden(name, options.log);
      if (codeOf(error) !== IN_USE || performance.now() > deadline) {
        throw new StartError(
          `Cannot make the database "${name}" for users' tables: ${error instanceof Error ? error.message : error}`,
        );
      }
    } finally {
      await client.end().catch(() => {});
    }
    if (performance.now() > deadline) {
      throw new StartError(
        `Cannot make the database "${name}" for users' tables: another server has been at it for ${LOCK_MS / 1000} s`,
      );
    }
    await delay(LOCK_POLL_MS);
  }
}

async function exists(client: pg.Client, name: string): Promise<boolean> {
  const { rowCount } = await client.query("select from pg_catalog.pg_database where datname = $1", [name]);
  return rowCount !== 0;
}

async function makeNow(client: pg.Client, name: string, options: AppDatabaseOptions): Promise<boolean> {
  // Whoever logs in for users' code has no business there. Elsewhere others of the operator's may have.
  if (options.isEmbedded) {
    await client.query(`revoke all on database ${pg.escapeIdentifier(nameIn(options.platformUrl))} from public`);
  }
  const tables = await tablesOfUsers(client, options.schemas);
  if (tables.length === 0) {
    // Not template1, which may be in use, and may hold what somebody put there.
    await client.query(`create database ${pg.escapeIdentifier(name)} template template0`);
    return true;
  }
  if (!options.isEmbedded) throw wouldLeaveBehind(tables, nameIn(options.platformUrl), name);
  await copyTables(client, name, options);
  return true;
}

/** What belongs to an extension is none of theirs. */
async function tablesOfUsers(client: pg.Client, schemas: readonly string[]): Promise<string[]> {
  const { rows } = await client.query(
    `select c.oid::pg_catalog.regclass::text as name
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = any ($1::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and not exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e')
      union all
     select p.oid::pg_catalog.regproc::text
       from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = any ($1::text[])
        and not exists (select from pg_catalog.pg_depend d where d.objid = p.oid and d.deptype = 'e')`,
    [schemas],
  );
  return rows.map((row) => row.name);
}

/**
 * The whole database is copied and the platform's part of it removed from the copy. It gets its name when it is whole:
 * a start that was cut short begins again.
 */
async function copyTables(client: pg.Client, name: string, { platformUrl, log }: AppDatabaseOptions): Promise<void> {
  const from = nameIn(platformUrl);
  const unfinished = `${appDatabaseName(from).slice(0, NAME_MAX_BYTES - 4)}_new`;
  log.info("Users' tables move into a database of their own", { from, to: name });
  await client.query(`drop database if exists ${pg.escapeIdentifier(unfinished)} with (force)`);
  await client.query(
    `create database ${pg.escapeIdentifier(unfinished)} template ${pg.escapeIdentifier(from)} strategy file_copy`,
  );
  const copy = new pg.Client({ connectionString: named(platformUrl, unfinished).reveal() });
  copy.on("error", () => {});
  await copy.connect();
  try {
    await copy.query("drop schema if exists fluxbase cascade");
  } finally {
    await copy.end();
  }
  await client.query(`alter database ${pg.escapeIdentifier(unfinished)} rename to ${pg.escapeIdentifier(name)}`);
  log.warn(
    `Users' tables are now in the database "${name}"; their copies in "${from}" are not used any more, and may be dropped when everything is found there`,
  );
}

function wouldLeaveBehind(tables: readonly string[], platform: string, app: string): StartError {
  const shown = tables.slice(0, SHOWN_COUNT).join(", ") + (tables.length > SHOWN_COUNT ? ", …" : "");
  return new StartError(
    [
      `Cannot start: users' tables live in a database of their own, and there are some in the platform's database "${platform}" (${shown}). Choose one:`,
      `  - take them along: stop every server, create database "${app}" template "${platform}", and drop schema fluxbase cascade in "${app}"`,
      `  - begin with none: create database "${app}"`,
      `  - serve the tables of another database: set FLUXBASE_APP_DATABASE_URL`,
      `  - leave them where they are, with DATABASE_URL of functions switched off: set FLUXBASE_DATABASE_SHARED=true`,
    ].join("\n"),
  );
}

function sayForbidden(name: string, log: Log): false {
  log.warn(
    `Cannot make the database "${name}": tables over HTTP and DATABASE_URL of functions are switched off; create it, name one with FLUXBASE_APP_DATABASE_URL, or grant CREATEDB`,
  );
  return false;
}

function nameIn(url: Secret): string {
  return decodeURIComponent(new URL(url.reveal()).pathname.slice(1));
}

function named(url: Secret, name: string): Secret {
  const other = new URL(url.reveal());
  other.pathname = `/${encodeURIComponent(name)}`;
  return new Secret(other.href);
}

function placeOf(url: Secret): string {
  const { hostname, port, pathname } = new URL(url.reveal());
  return `${hostname}:${port || "5432"}${pathname}`;
}

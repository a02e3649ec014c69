/**
 * The roles of Postgres that stand for callers, and the two that the server logs in as on their behalf.
 *
 *     anon, authenticated, service_role    who a request of the tables is; shared by all databases of a Postgres
 *     fluxbase_api_<database>              logs in for requests, and may become one of those three, nothing else
 *     fluxbase_functions_<database>        logs in for functions that use the database directly
 *
 * None of them gets at the schema `fluxbase`. Only `service_role` and functions may do anything with tables unless the
 * owner grants more.
 *
 * @module
 */
import { sql } from "kysely";
import pg from "pg";
import type { Log } from "../core/log.ts";
import { codeOf, type Database } from "./db.ts";
import type { Db } from "./db.ts";

export interface LoginRole {
  readonly name: string;
  readonly password: string;
}

export interface Roles {
  readonly api: LoginRole;
  readonly functions: LoginRole;
}

/** Takes the password of a role from the database, or makes one. */
export type PasswordOf = (trx: Db, name: string) => Promise<string>;

const CONNECTIONS_OF_FUNCTIONS_COUNT = 20;
const LOCK_ID = 7_220_114;
const ALREADY_THERE = /^(42710|23505)$/;
/** Two servers that change the same role at once, on one Postgres. */
const AT_THE_SAME_TIME = /tuple concurrently updated/;
const TRIES = 10;

/** Undefined where the server may not make roles: it says so, and goes on without what needs them. */
export async function ensureRoles(
  db: Database["db"],
  { log, schemas, passwordOf }: {
    readonly log: Log;
    readonly schemas: readonly string[];
    readonly passwordOf: PasswordOf;
  },
): Promise<Roles | undefined> {
  for (let left = TRIES;; left -= 1) {
    try {
      return await db.transaction().execute((trx) => makeRoles(trx, schemas, passwordOf));
    } catch (error) {
      const isRace = error instanceof Error && AT_THE_SAME_TIME.test(error.message);
      if (left > 0 && (isRace || ALREADY_THERE.test(codeOf(error)))) continue;
      log.warn("Cannot set up roles in the database: tables over HTTP and DATABASE_URL of functions are switched off", {
        reason: error instanceof Error ? error.message : error,
      });
      return undefined;
    }
  }
}

async function makeRoles(trx: Db, schemas: readonly string[], passwordOf: PasswordOf): Promise<Roles> {
  await sql`select pg_catalog.pg_advisory_xact_lock(${LOCK_ID})`.execute(trx);
  const { rows: [place] } = await sql<{ id: string; name: string }>`
    select oid::text as id, datname as name from pg_catalog.pg_database where datname = pg_catalog.current_database()
  `.execute(trx);
  const database = place?.name ?? "";
  const [api, functions] = [`fluxbase_api_${place?.id}`, `fluxbase_functions_${place?.id}`];
  const { rows } = await sql<{ name: string }>`
    select rolname as name from pg_catalog.pg_roles
    where rolname in ('anon', 'authenticated', 'service_role', ${api}, ${functions})
  `.execute(trx);
  const known = new Set(rows.map(({ name }) => name));
  const run = (text: string) => sql.raw(text).execute(trx);
  const id = pg.escapeIdentifier;

  for (const [name, rights] of [["anon", ""], ["authenticated", ""], ["service_role", " bypassrls"]] as const) {
    if (!known.has(name)) await run(`create role ${id(name)} nologin noinherit${rights}`);
  }
  const passwords = new Map<string, string>();
  for (const [name, rights] of [[api, "noinherit"], [functions, "bypassrls"]] as const) {
    const password = await passwordOf(trx, name);
    passwords.set(name, password);
    if (known.has(name)) {
      // It may have been made for a database that was there before, or with a key that is lost.
      await run(`alter role ${id(name)} password ${pg.escapeLiteral(password)}`);
      continue;
    }
    const limit = name === functions ? ` connection limit ${CONNECTIONS_OF_FUNCTIONS_COUNT}` : "";
    await run(`create role ${id(name)} login ${rights}${limit} password ${pg.escapeLiteral(password)}`);
  }
  // Where the owner is no superuser, it has to belong to a role to say what that role gives away.
  await run(`grant ${id(functions)} to current_user`);
  await run(`grant anon, authenticated, service_role to ${id(api)}`);
  await run(`grant connect on database ${id(database)} to ${id(api)}, ${id(functions)}`);
  for (const schema of schemas) {
    const place = id(schema);
    // Once for each: what the owner has taken away since then stays away.
    const { rows: [standing] } = await sql<{ isSetUp: boolean }>`
      select pg_catalog.has_schema_privilege(${functions}, ${schema}, 'create') as "isSetUp"
    `.execute(trx);
    if (standing?.isSetUp === true) continue;
    await run(`grant usage on schema ${place} to anon, authenticated, service_role, ${id(functions)}`);
    await run(`grant create on schema ${place} to ${id(functions)}`);
    for (const grantee of ["service_role", id(functions)]) {
      // Not TRIGGER: what a trigger does, it does with the rights of whoever changes the row.
      for (const [objects, rights] of [["tables", TABLE_RIGHTS], ["sequences", "usage, select"]] as const) {
        await run(`grant ${rights} on all ${objects} in schema ${place} to ${grantee}`);
        await run(`alter default privileges in schema ${place} grant ${rights} on ${objects} to ${grantee}`);
      }
    }
    for (const [objects, rights] of [["tables", TABLE_RIGHTS], ["sequences", "usage, select"]] as const) {
      await run(
        `alter default privileges for role ${
          id(functions)
        } in schema ${place} grant ${rights} on ${objects} to service_role`,
      );
    }
  }
  return {
    api: { name: api, password: passwords.get(api) ?? "" },
    functions: { name: functions, password: passwords.get(functions) ?? "" },
  };
}

const TABLE_RIGHTS = "select, insert, update, delete, truncate, references";

/** The text is sealed by who calls. Undefined: not made yet. */
export async function findSealedPassword(db: Db, name: string): Promise<Uint8Array | undefined> {
  return (await db.selectFrom("fluxbase.login_roles").select("sealed").where("name", "=", name).executeTakeFirst())
    ?.sealed;
}

export async function keepSealedPassword(db: Db, name: string, sealed: Uint8Array): Promise<void> {
  await db.insertInto("fluxbase.login_roles").values({ name, sealed })
    .onConflict((conflict) => conflict.column("name").doUpdateSet({ sealed })).execute();
}

export async function listSealedPasswords(db: Db): Promise<{ name: string; sealed: Uint8Array }[]> {
  return await db.selectFrom("fluxbase.login_roles").select(["name", "sealed"]).execute();
}

export const SCHEMA_CHANNEL = "fluxbase_schema";

/** Tells servers of every change to the schema. False where only a superuser may do that, and we are none. */
export async function watchSchema(db: Database["db"]): Promise<boolean> {
  try {
    await db.transaction().execute(async (trx) => {
      await sql`select pg_catalog.pg_advisory_xact_lock(${LOCK_ID})`.execute(trx);
      const { rows } = await sql`select from pg_catalog.pg_event_trigger where evtname = 'fluxbase_schema_drop'`
        .execute(trx);
      if (rows.length > 0) return;
      await sql.raw(`
        create or replace function fluxbase.notify_schema() returns event_trigger language plpgsql
        set search_path = pg_catalog as $$
        begin
          perform pg_notify('${SCHEMA_CHANNEL}', '');
        end
        $$;
        create event trigger fluxbase_schema_change on ddl_command_end execute function fluxbase.notify_schema();
        create event trigger fluxbase_schema_drop on sql_drop execute function fluxbase.notify_schema();
      `).execute(trx);
    });
    return true;
  } catch {
    return false;
  }
}

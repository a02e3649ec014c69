/**
 * What code from elsewhere expects in the users' database: `auth.uid()` and its like for policies, a table `auth.users`
 * to refer to, and a schema `extensions` with extensions that Postgres brings.
 *
 * Everything belongs to the role of the functions of `default`, whose the tables are too: it may refer to users and put
 * triggers on them, and what those do, they do with its rights. The platform reads none of it.
 *
 * @module
 */
import { sql } from "kysely";
import pg from "pg";
import type { Log } from "../core/log.ts";
import type { Database, Db } from "./db.ts";
import { wasFirst } from "./roles.ts";

const EXTENSIONS_SCHEMA = "extensions";
const EXTENSIONS = ["pgcrypto", "uuid-ossp", "pg_trgm", "citext"];
/** How a table is known as ours. A database from elsewhere may have one of its own. */
const MARK = "Users of Fluxbase, kept by the server";
const LOCK_MS = 2_000;

/** False: the database has a table `auth.users` of its own, or nothing may be made there; the log says so. */
export async function setUpAuthSchema(db: Database["db"], owner: string, log: Log): Promise<boolean> {
  try {
    const standing = await readStanding(db);
    if (standing === "none") await db.transaction().execute((trx) => make(trx, owner));
    else if (standing === "foreign") {
      log.warn("The users' database has a table auth.users of its own: users of this server are not kept in it");
      return false;
    }
    return true;
  } catch (error) {
    // Another server is making it at this moment.
    if (wasFirst(error)) return await readStanding(db) === "ours";
    log.warn("Cannot make schema auth in the users' database: policies and tables cannot use it", {
      reason: error instanceof Error ? error.message : error,
    });
    return false;
  }
}

async function readStanding(db: Db): Promise<"ours" | "foreign" | "none"> {
  const { rows: [found] } = await sql<{ comment: string | null }>`
    select pg_catalog.obj_description(c.oid, 'pg_class') as comment
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'auth' and c.relname = 'users'
  `.execute(db);
  return found === undefined ? "none" : found.comment === MARK ? "ours" : "foreign";
}

async function make(trx: Db, owner: string): Promise<void> {
  const role = pg.escapeIdentifier(owner);
  await run(trx, `set local lock_timeout = ${LOCK_MS}`);
  await run(
    trx,
    `
    create schema if not exists auth;
    create table auth.users (
      id uuid primary key,
      aud text not null default 'authenticated',
      role text not null default 'authenticated',
      email text,
      email_confirmed_at timestamptz,
      phone text,
      raw_app_meta_data jsonb not null default '{}',
      raw_user_meta_data jsonb not null default '{}',
      is_anonymous boolean not null default false,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    comment on table auth.users is ${pg.escapeLiteral(MARK)};
    create or replace function auth.jwt() returns jsonb language sql stable as $$
      select coalesce(nullif(pg_catalog.current_setting('request.jwt.claims', true), ''), '{}')::pg_catalog.jsonb
    $$;
    create or replace function auth.uid() returns uuid language sql stable as $$
      select case when auth.jwt() ->> 'sub' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        then (auth.jwt() ->> 'sub')::pg_catalog.uuid end
    $$;
    create or replace function auth.role() returns text language sql stable as $$ select auth.jwt() ->> 'role' $$;
    create or replace function auth.email() returns text language sql stable as $$ select auth.jwt() ->> 'email' $$;
    grant usage on schema auth to public;
    create schema if not exists ${EXTENSIONS_SCHEMA};
    grant usage on schema ${EXTENSIONS_SCHEMA} to public;
  `,
  );
  for (const name of await availableExtensions(trx)) {
    await run(trx, `create extension if not exists ${pg.escapeIdentifier(name)} with schema ${EXTENSIONS_SCHEMA}`);
  }
  const functions = ["jwt", "uid", "role", "email"].map((name) => `alter function auth.${name}() owner to ${role};`);
  await run(
    trx,
    `
    grant create on schema auth to ${role};
    alter table auth.users owner to ${role};
    ${functions.join("\n")}
  `,
  );
}

/** Those that are not there yet and that the owner may make. */
async function availableExtensions(trx: Db): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select v.name from pg_catalog.pg_available_extension_versions v
      join pg_catalog.pg_available_extensions a on a.name = v.name and a.default_version = v.version
      join pg_catalog.pg_roles r on r.rolname = current_user
    where v.name = any (${sql.val(EXTENSIONS)}::pg_catalog.text[]) and a.installed_version is null
      and (r.rolsuper or v.trusted)
  `.execute(trx);
  return rows.map(({ name }) => name);
}

async function run(trx: Db, text: string): Promise<void> {
  await sql.raw(text).execute(trx);
}

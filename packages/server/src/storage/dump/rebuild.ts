/**
 * Makes a database what its dump says, in one transaction of the caller.
 *
 * Roles belong to a whole Postgres. Those of functions carry the number of their database, so in another one they have
 * other names; what belonged to whoever wrote the dump belongs to whoever restores it.
 *
 * @module
 */
import pg from "pg";
import { namespaceRoleName } from "../roles.ts";
import { StartError } from "../start_error.ts";
import type { DatabaseContents, RoleContents, SequenceContents } from "./contents.ts";

const id = pg.escapeIdentifier;

export interface Target {
  readonly client: pg.Client;
  readonly name: string;
  /** Its number. */
  readonly id: string;
  readonly owner: string;
  readonly isSuperuser: boolean;
  readonly settings: ReadonlySet<string>;
  /** Who may make things where, for as long as the rebuilding takes; and who may from then on. */
  readonly lent: Map<string, string>;
  readonly granted: Set<string>;
}

export async function readTarget(client: pg.Client): Promise<Target> {
  const { rows: [place] } = await client.query(`
    select d.datname as name, d.oid::text as id, current_user::text as owner,
      (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as "isSuperuser",
      (select pg_catalog.array_agg(name) from pg_catalog.pg_settings) as settings
    from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()`);
  return { client, ...place, settings: new Set(place.settings), lent: new Map(), granted: new Set() };
}

/** Everything that a dump makes. */
export async function emptyDatabase({ client, isSuperuser }: Target): Promise<void> {
  if (isSuperuser) await dropAll(client, "select evtname as name from pg_catalog.pg_event_trigger", "event trigger");
  await dropAll(client, "select pubname as name from pg_catalog.pg_publication", "publication");
  await dropAll(client, "select extname as name from pg_catalog.pg_extension where extname <> 'plpgsql'", "extension");
  await dropAll(
    client,
    "select nspname as name from pg_catalog.pg_namespace where nspname not like 'pg\\_%' and nspname <> 'information_schema'",
    "schema",
  );
  await client.query("create schema public; grant usage on schema public to public");
}

async function dropAll(client: pg.Client, list: string, kind: string): Promise<void> {
  const { rows } = await client.query(list);
  for (const { name } of rows) await client.query(`drop ${kind} if exists ${id(name)} cascade`);
}

/** From what a role is called in the dump to what it is called here. */
export type RoleNames = (name: string) => string;

/** `namespaces`: names that are too long for Postgres are cut, elsewhere at another place. */
export function roleNames(
  from: DatabaseContents,
  to: Pick<Target, "id" | "owner">,
  namespaces: readonly string[],
): RoleNames {
  const own = new RegExp(`^fluxbase_([a-z_]+?)_${from.id}(?=_|$)`);
  const cut = new Map(
    namespaces.map((one) => [namespaceRoleName(from.id, one), namespaceRoleName(to.id, one)]),
  );
  return (name) => name === from.owner ? to.owner : cut.get(name) ?? name.replace(own, `fluxbase_$1_${to.id}`);
}

/** Those that log in get their passwords later. */
export async function makeRoles(
  { client, name: database, isSuperuser, owner }: Target,
  roles: readonly RoleContents[],
  names: RoleNames,
): Promise<void> {
  for (const role of roles) {
    const name = names(role.name);
    if (name === owner) continue;
    const isLogin = name !== role.name || /^fluxbase_[a-z_]+_\d+(_|$)/.test(name);
    const { rowCount } = await client.query("select from pg_catalog.pg_roles where rolname = $1", [name]);
    if (rowCount === 0) {
      const attributes = [
        isLogin ? "login" : "nologin",
        role.inherits ? "inherit" : "noinherit",
        ...(role.bypassesPolicies ? ["bypassrls"] : []),
        `connection limit ${role.connectionLimit}`,
      ].join(" ");
      await attempt(client, `create role ${id(name)} ${attributes}`, `Cannot make the role "${name}"`);
      for (const setting of isSuperuser ? role.settings : []) {
        const at = setting.indexOf("=");
        const value = pg.escapeLiteral(setting.slice(at + 1));
        await client.query(`alter role ${id(name)} set ${id(setting.slice(0, at))} = ${value}`);
      }
    }
    // Whoever gives something to a role has to belong to it; one that was there may be somebody else's.
    if (!isSuperuser && rowCount === 0) await client.query(`grant ${id(name)} to current_user`);
    if (isLogin) await client.query(`grant connect, temporary on database ${id(database)} to ${id(name)}`);
  }
}

/** Roles of ours that log in to this database. */
export async function listLogins(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query(`
    select r.rolname as name from pg_catalog.pg_roles r join pg_catalog.pg_database d
      on r.rolname ~ ('^fluxbase_[a-z_]+_' || d.oid || '(_|$)')
    where d.datname = pg_catalog.current_database() order by 1`);
  return rows.map(({ name }) => name);
}

export async function setPassword(client: pg.Client, name: string, password: string): Promise<void> {
  await client.query(`alter role ${id(name)} password ${pg.escapeLiteral(password)}`);
}

const ROLE = `("(?:[^"]|"")+"|[a-z_][\\w$]*)`;
/** Lines of pg_dump that name roles; others may hold text of users that looks like a name. */
const NAMES_ROLES = /^(?:ALTER .+ OWNER TO |GRANT |REVOKE |ALTER DEFAULT PRIVILEGES |CREATE SCHEMA .+ AUTHORIZATION )/;
const ROLE_AT = new RegExp(`(?<= OWNER TO | TO | FROM | FOR ROLE | GRANTED BY | AUTHORIZATION )${ROLE}`, "g");
/** The roles of a policy; what follows are expressions. */
const POLICY = /^(CREATE POLICY (?:"(?:[^"]|"")+"|\S+) ON .*? TO )(.+?)((?: USING \(| WITH CHECK \(|;$).*)/;
const SETTING = /^SET (\w+) = /;
/** Only a superuser may; the server goes on without. */
const SUPERUSERS =
  /^(?:(?:GRANT|REVOKE) .+ ON FUNCTION pg_catalog\..+|(?:CREATE|ALTER) EVENT TRIGGER fluxbase_[^;]*);$/gm;

/** Runs what pg_dump wrote. */
export async function runScript(target: Target, text: string, names: RoleNames): Promise<void> {
  const { client, settings, isSuperuser } = target;
  const script = (isSuperuser ? text : text.replaceAll(SUPERUSERS, ""))
    .split("\n")
    .filter((line) => settings.has(SETTING.exec(line)?.[1]?.toLowerCase() ?? "search_path"))
    .map((line) => withNames(line, names))
    .map((line) => isSuperuser ? line : withRightToOwn(line, target))
    .join("\n");
  if (/^CREATE SCHEMA public;$/m.test(script)) await client.query("drop schema if exists public");
  await attempt(client, script, "Cannot make the schema again");
}

const OWNER = new RegExp(`^ALTER (?!SCHEMA )[A-Z ]+? ${ROLE}\\..+ OWNER TO ${ROLE};$`);
const MAY_CREATE = new RegExp(`^GRANT (?:ALL|[A-Z,]*CREATE[A-Z,]*) ON SCHEMA ${ROLE} TO ${ROLE};$`);

/** Only a superuser gives things to a role that may not make any in their schema. */
function withRightToOwn(line: string, { lent, granted }: Target): string {
  const [, ...mayCreate] = MAY_CREATE.exec(line) ?? [];
  if (mayCreate.length > 0) granted.add(mayCreate.join(" to "));
  const [, schema, role] = OWNER.exec(line) ?? [];
  if (schema === undefined || role === undefined) return line;
  const right = `${schema} to ${role}`;
  if (lent.has(right)) return line;
  lent.set(right, `REVOKE CREATE ON SCHEMA ${schema} FROM ${role};`);
  return `GRANT CREATE ON SCHEMA ${right};\n${line}`;
}

/** What the dump does not give, nobody has in the end. */
export async function takeBackRights({ client, lent, granted }: Target): Promise<void> {
  for (const [right, revoke] of lent) if (!granted.has(right)) await client.query(revoke);
}

function withNames(line: string, names: RoleNames): string {
  if (NAMES_ROLES.test(line)) return line.replaceAll(ROLE_AT, (name) => renamed(name, names));
  const [, before, roles, after] = POLICY.exec(line) ?? [];
  return before === undefined || roles === undefined
    ? line
    : before + roles.split(", ").map((role) => renamed(role, names)).join(", ") + after;
}

function renamed(written: string, names: RoleNames): string {
  const name = written.startsWith('"') ? written.slice(1, -1).replaceAll('""', '"') : written;
  const other = names(name);
  return other === name ? written : id(other);
}

export async function setSequences(client: pg.Client, sequences: readonly SequenceContents[]): Promise<void> {
  for (const { name, value, isCalled } of sequences) {
    await client.query("select pg_catalog.setval($1::pg_catalog.regclass, $2, $3)", [name, value, isCalled]);
  }
}

/** One may need rows of another, in whatever order they come. */
export async function refreshViews(client: pg.Client, views: readonly string[]): Promise<void> {
  for (let left = [...views]; left.length > 0;) {
    const failed: string[] = [];
    let reason: unknown;
    for (const view of left) {
      await client.query("savepoint refresh_view");
      try {
        await client.query(`refresh materialized view ${view}`);
      } catch (error) {
        await client.query("rollback to savepoint refresh_view");
        failed.push(view);
        reason = error;
      }
    }
    if (failed.length === left.length) {
      throw new StartError(`Cannot fill the materialized view ${failed[0]}: ${messageOf(reason)}`);
    }
    left = failed;
  }
}

const SHOWN_CHARACTERS = 200;

/** With the part of the statement that the database did not like. */
async function attempt(client: pg.Client, text: string, what: string): Promise<void> {
  try {
    await client.query(text);
  } catch (error) {
    const at = Number(error instanceof Error ? Reflect.get(error, "position") : NaN);
    const near = Number.isNaN(at) ? "" : ` at "${text.slice(at - 1, at - 1 + SHOWN_CHARACTERS).split(";")[0]}"`;
    throw new StartError(`${what}: ${messageOf(error)}${near}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

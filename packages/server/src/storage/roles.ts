/**
 * The roles of the users' database, and the schema of each namespace.
 *
 *     anon, authenticated, service_role    who a request for tables is, as policies name it; nobody logs in as one of them
 *     fluxbase_anon_<database> …           logs in for requests of that role, may become it, and nothing else
 *     fluxbase_ns_<database>_<namespace>   logs in for the functions of a namespace that use the database themselves
 *
 * `default` works in the schemas that are served; every other namespace has a schema `ns_<namespace>` and sees nothing of
 * another unless that is granted. Roles belong to a whole Postgres, so those that log in carry their database's number.
 *
 * A role may change its own password and settings, and Postgres cannot forbid it. So whoever logs in looks first, and
 * has the role repaired (./role_session.ts).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { sql } from "kysely";
import pg from "pg";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { TokenBucket } from "../core/token_bucket.ts";
import { createKeyedMutex } from "../core/keyed_mutex.ts";
import { codeOf, type Database, type Db } from "./db.ts";
import { StartError } from "./start_error.ts";

export const TABLE_ROLES = ["anon", "authenticated", "service_role"] as const;
export type TableRole = typeof TABLE_ROLES[number];

export interface LoginRole {
  readonly name: string;
  readonly password: string;
}

export interface Roles {
  /** Who logs in for requests of that role. */
  forTables(role: TableRole): Promise<LoginRole>;
  /** Made when it is asked for first. */
  forNamespace(namespace: string): Promise<LoginRole>;
  /** Known without a look at the database. */
  placeOf(namespace: string): NamespacePlace;
  /** Sets password, settings and rights of a role to what they should be. */
  repair(name: string, reason: string): Promise<void>;
  /** Names of those that log in for tables; beginning of the names of the others. */
  readonly prefixes: { readonly tables: readonly string[]; readonly namespaces: string };
  /** Whether SQL of others cannot look up which statements are prepared in a session. */
  readonly areNamesHidden: boolean;
  /** What a role's own settings must be, as Postgres lists them. */
  readonly settings: readonly string[];
  readonly databaseName: string;
}

export interface NamespacePlace {
  readonly role: string;
  /** Where names without a schema are looked for; tables are made in the first. */
  readonly schemas: readonly string[];
}

/** Takes the password of a role from the platform's database, or makes one. */
export type PasswordOf = (trx: Db, name: string) => Promise<string>;

export interface RolesOptions {
  /** The platform's: passwords are kept there, and its locks are out of reach of users' code. */
  readonly platform: Database["db"];
  readonly app: Database["db"];
  readonly isShared: boolean;
  /** Those that are served. */
  readonly schemas: readonly string[];
  readonly passwordOf: PasswordOf;
  readonly limits: { readonly namespaceConnectionsCount: number; readonly sessionTempFileMiB: number };
  readonly onRepair: (role: string, reason: string) => void;
  readonly clock: Clock;
  readonly log: Log;
}

const DEFAULT = "default";
const SCHEMA_PREFIX = "ns_";
const NAME_MAX_BYTES = 63;
const HASH_CHARACTERS = 16;
const LOCK_ID = 7_220_114;
const LOCK_MS = 500;
/** Of what is said of roles that were changed, which users' code can do as often as it likes. */
const REPAIRS_SAID = { capacity: 50, refillPerSec: 0.1 };
const ALREADY_THERE = /^(42710|42P06|23505)$/;
/** Two servers that change the same role at once, on one Postgres. */
const AT_THE_SAME_TIME = /tuple concurrently (updated|deleted)/;
const TRIES = 10;
const TABLE_RIGHTS = "select, insert, update, delete, truncate, references";
const OBJECT_RIGHTS = [["tables", TABLE_RIGHTS], ["sequences", "usage, select"]] as const;

const id = pg.escapeIdentifier;

interface Place {
  readonly id: string;
  readonly name: string;
  readonly isSuperuser: boolean;
  readonly hasPlatform: boolean;
}

/**
 * Undefined where the server may not make roles: it says so, and goes on without what needs them.
 *
 * @throws {StartError} when the database is a platform's
 */
export async function setUpRoles(options: RolesOptions): Promise<Roles | undefined> {
  const { platform, app, isShared, schemas, passwordOf, limits, onRepair, clock, log } = options;
  const place = await readPlace(app);
  if (place.hasPlatform && !isShared) {
    throw new StartError(
      `Cannot use the database "${place.name}" for users' tables: it has a platform's own schema; if it is a copy, drop schema fluxbase cascade there, else name another with FLUXBASE_APP_DATABASE_URL`,
    );
  }
  const loginOf = (role: TableRole) => `fluxbase_${role}_${place.id}`;
  const prefix = namespacePrefix(place.id);
  const settings = place.isSuperuser ? [`temp_file_limit=${limits.sessionTempFileMiB}MB`] : [];
  const known = new Map<string, Promise<LoginRole>>();
  const broken = new Set<string>();
  const repairs = new Map<string, Promise<void>>();
  const mutex = createKeyedMutex();
  const said = new TokenBucket(clock.nowMs(), REPAIRS_SAID);

  /**
   * One at a time, and for each `what` one server at a time: users' code that is about to change its own role makes this
   * wait a moment, but takes neither the platform's connections nor a lock that others need.
   */
  function change<Result>(what: string, work: (trx: Db, platformTrx: Db) => Promise<Result>): Promise<Result> {
    return mutex.run("change", () => changeNow(what, work));
  }

  async function changeNow<Result>(
    what: string,
    work: (trx: Db, platformTrx: Db) => Promise<Result>,
  ): Promise<Result> {
    for (let left = TRIES;; left -= 1) {
      try {
        return await platform.transaction().execute(async (platformTrx) => {
          await sql`select pg_catalog.pg_advisory_xact_lock(${LOCK_ID}, pg_catalog.hashtext(${what}))`
            .execute(platformTrx);
          return await app.transaction().execute(async (trx) => {
            await run(trx, `set local lock_timeout = ${LOCK_MS}`);
            return await work(trx, platformTrx);
          });
        });
      } catch (error) {
        if (left === 0 || !wasFirst(error)) throw error;
      }
    }
  }

  /** One that is there is left as it is, unless it must be set right. */
  async function makeLogin(trx: Db, platformTrx: Db, name: string): Promise<LoginRole> {
    const password = await passwordOf(platformTrx, name);
    const { rows } = await sql`select from pg_catalog.pg_roles where rolname = ${name}`.execute(trx);
    const isThere = rows.length > 0;
    if (isThere && !broken.has(name)) return { name, password };
    const isNamespace = name.startsWith(prefix);
    const attributes = [
      "login noinherit",
      ...(name === `${prefix}${DEFAULT}` ? ["bypassrls"] : []),
      `connection limit ${isNamespace ? limits.namespaceConnectionsCount : -1}`,
      `password ${pg.escapeLiteral(password)}`,
    ].join(" ");
    await run(trx, `${isThere ? "alter" : "create"} role ${id(name)} ${attributes}`);
    await run(trx, `alter role ${id(name)} reset all`);
    await run(trx, `alter role ${id(name)} in database ${id(place.name)} reset all`);
    for (const setting of settings) {
      const [key = "", value = ""] = setting.split("=");
      await run(trx, `alter role ${id(name)} set ${key} = ${pg.escapeLiteral(value)}`);
    }
    // Where the owner is no superuser, it has to belong to a role to say what that role gives away.
    if (isNamespace && !place.isSuperuser) await run(trx, `grant ${id(name)} to current_user`);
    const rights = isNamespace && !isShared ? "connect, temporary" : "connect";
    await run(trx, `grant ${rights} on database ${id(place.name)} to ${id(name)}`);
    broken.delete(name);
    return { name, password };
  }

  async function makeTableRoles(): Promise<void> {
    const logins = await change("tables", async (trx, platformTrx) => {
      const { rows } = await sql<{ name: string }>`
        select rolname as name from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role')
      `.execute(trx);
      const there = new Set(rows.map(({ name }) => name));
      const made: LoginRole[] = [];
      for (const role of TABLE_ROLES) {
        const bypass = role === "service_role" ? " bypassrls" : "";
        if (!there.has(role)) await run(trx, `create role ${role} nologin noinherit${bypass}`);
        made.push(await makeLogin(trx, platformTrx, loginOf(role)));
        await run(trx, `grant ${role} to ${id(loginOf(role))}`);
      }
      if (!isShared) await run(trx, `revoke all on database ${id(place.name)} from public`);
      if (place.isSuperuser) await run(trx, `revoke execute on function ${SIGNALS}, ${NAMES} from public`);
      return made;
    });
    for (const login of logins) known.set(login.name, Promise.resolve(login));
  }

  /** Once: what the owner has granted or taken away since then stays so. */
  async function makeNamespace(namespace: string): Promise<LoginRole> {
    const { role, schemas: own } = placeOf(namespace);
    return await change(role, async (trx, platformTrx) => {
      const login = await makeLogin(trx, platformTrx, role);
      for (const schema of own) {
        if (await isSetUp(trx, schema, role)) continue;
        await run(trx, `create schema if not exists ${id(schema)}`);
        await run(trx, `grant usage, create on schema ${id(schema)} to ${id(role)}`);
        if (place.isSuperuser) await run(trx, `grant execute on function ${SIGNALS} to ${id(role)}`);
        if (!isShared) await run(trx, `revoke all on schema ${id(schema)} from public`);
        if (namespace === DEFAULT) await shareWith(trx, schema, role);
        if (schemas.includes(schema)) await serve(trx, schema, role);
      }
      if (namespace === DEFAULT) await takeOver(trx, role);
      return login;
    });
  }

  function placeOf(namespace: string): NamespacePlace {
    const served = schemas.filter((schema) => !schema.startsWith(SCHEMA_PREFIX));
    return namespace === DEFAULT
      ? { role: `${prefix}${DEFAULT}`, schemas: served.length > 0 ? served : ["public"] }
      : { role: namespaceRoleName(place.id, namespace), schemas: [bounded(SCHEMA_PREFIX, namespace)] };
  }

  function once(name: string, make: () => Promise<LoginRole>): Promise<LoginRole> {
    let making = known.get(name);
    if (making === undefined) {
      known.set(name, making = make());
      making.catch(() => known.delete(name));
    }
    return making;
  }

  const namespaces = new Map<string, string>();
  const roles: Roles = {
    placeOf,
    areNamesHidden: place.isSuperuser,
    settings,
    databaseName: place.name,
    prefixes: { tables: TABLE_ROLES.map(loginOf), namespaces: prefix },
    forTables: (role) =>
      once(loginOf(role), async () => {
        await makeTableRoles();
        return await roles.forTables(role);
      }),
    forNamespace(namespace) {
      const { role } = placeOf(namespace);
      namespaces.set(role, namespace);
      return once(role, () => makeNamespace(namespace));
    },
    repair(name, reason) {
      let repairing = repairs.get(name);
      if (repairing === undefined) {
        repairs.set(name, repairing = repairNow(name, reason).finally(() => repairs.delete(name)));
      }
      return repairing;
    },
  };

  async function repairNow(name: string, reason: string): Promise<void> {
    known.delete(name);
    broken.add(name);
    const namespace = namespaces.get(name);
    const table = TABLE_ROLES.find((role) => loginOf(role) === name);
    if (namespace !== undefined) await roles.forNamespace(namespace);
    else if (table !== undefined) await roles.forTables(table);
    if (!said.take(1, clock.nowMs())) return;
    log.warn("A role of the users' database was set right", { role: name, reason });
    onRepair(name, reason);
  }

  try {
    await makeTableRoles();
    await roles.forNamespace(DEFAULT);
    for (const schema of schemas.filter((one) => one.startsWith(SCHEMA_PREFIX))) {
      await change("tables", (trx) => serve(trx, schema, null));
    }
    return roles;
  } catch (error) {
    log.warn("Cannot set up roles in the database: tables over HTTP and DATABASE_URL of functions are switched off", {
      reason: error instanceof Error ? error.message : error,
    });
    return undefined;
  }
}

/** What ends sessions of others: also those that log in as the same role, for somebody else. */
const SIGNALS = "pg_catalog.pg_terminate_backend(integer, bigint), pg_catalog.pg_cancel_backend(integer)";

/** What tells the names of prepared statements. */
const NAMES = "pg_catalog.pg_prepared_statement()";

async function readPlace(app: Db): Promise<Place> {
  const { rows: [place] } = await sql<Place>`
    select d.oid::text as id, d.datname as name, r.rolsuper as "isSuperuser",
      pg_catalog.to_regclass('fluxbase.keys') is not null as "hasPlatform"
    from pg_catalog.pg_database d, pg_catalog.pg_roles r
    where d.datname = pg_catalog.current_database() and r.rolname = current_user
  `.execute(app);
  if (place === undefined) throw new StartError("Cannot use the users' database: it does not say what it is");
  return place;
}

async function isSetUp(trx: Db, schema: string, role: string): Promise<boolean> {
  const { rows: [standing] } = await sql<{ isSetUp: boolean }>`
    select pg_catalog.has_schema_privilege(${role}, oid, 'create') as "isSetUp"
    from pg_catalog.pg_namespace where nspname = ${schema}
  `.execute(trx);
  return standing?.isSetUp === true;
}

/** Rows of what others make in the schemas of `default`, such as the owner at a prompt. */
async function shareWith(trx: Db, schema: string, role: string): Promise<void> {
  for (const [objects, rights] of OBJECT_RIGHTS) {
    // Not TRIGGER: what a trigger does, it does with the rights of whoever changes the row.
    await run(trx, `grant ${rights} on all ${objects} in schema ${id(schema)} to ${id(role)}`);
    await run(trx, `alter default privileges in schema ${id(schema)} grant ${rights} on ${objects} to ${id(role)}`);
  }
}

/** Rows for the service role; anon and authenticated get what is granted to them. `maker`: who makes tables there. */
async function serve(trx: Db, schema: string, maker: string | null): Promise<void> {
  const place = id(schema);
  await run(trx, `create schema if not exists ${place}`);
  await run(trx, `grant usage on schema ${place} to anon, authenticated, service_role`);
  for (const [objects, rights] of OBJECT_RIGHTS) {
    await run(trx, `grant ${rights} on all ${objects} in schema ${place} to service_role`);
    for (const by of maker === null ? [""] : ["", ` for role ${id(maker)}`]) {
      await run(
        trx,
        `alter default privileges${by} in schema ${place} grant ${rights} on ${objects} to service_role`,
      );
    }
  }
}

/** What functions made when all of them shared one role, in a database that was copied. */
async function takeOver(trx: Db, role: string): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select distinct r.rolname as name
    from pg_catalog.pg_shdepend d join pg_catalog.pg_roles r on r.oid = d.refobjid
      join pg_catalog.pg_database b on b.oid = d.dbid
    where b.datname = pg_catalog.current_database() and d.deptype = 'o' and r.rolname ~ '^fluxbase_functions_[0-9]+$'
  `.execute(trx);
  for (const { name } of rows) await run(trx, `reassign owned by ${id(name)} to ${id(role)}`);
}

/** Two namespaces never have one name: no namespace has a tilde in it. */
function namespacePrefix(databaseId: string): string {
  return `fluxbase_ns_${databaseId}_`;
}

/** In the database with that number. */
export function namespaceRoleName(databaseId: string, namespace: string): string {
  return bounded(namespacePrefix(databaseId), namespace);
}

function bounded(prefix: string, namespace: string): string {
  const name = prefix + namespace;
  if (name.length <= NAME_MAX_BYTES) return name;
  const hash = createHash("sha256").update(namespace).digest("hex").slice(0, HASH_CHARACTERS);
  return `${name.slice(0, NAME_MAX_BYTES - HASH_CHARACTERS - 1)}~${hash}`;
}

/** Whether a statement failed because another server did the same at that moment. */
export function wasFirst(error: unknown): boolean {
  return ALREADY_THERE.test(codeOf(error)) || (error instanceof Error && AT_THE_SAME_TIME.test(error.message));
}

async function run(trx: Db, text: string): Promise<void> {
  await sql.raw(text).execute(trx);
}

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

/**
 * What a database holds besides the statements that make its schema: rows, where sequences stand, who owns something.
 *
 * @module
 */
import type pg from "pg";

export interface DatabaseContents {
  readonly name: string;
  /** Its number, which roles that log in carry in their names. */
  readonly id: string;
  /** As whom it was read: what belongs to them belongs to whoever restores it. */
  readonly owner: string;
  readonly serverVersion: number;
  readonly tables: readonly TableContents[];
  readonly sequences: readonly SequenceContents[];
  /** Materialized views that have rows. */
  readonly views: readonly string[];
  readonly roles: readonly RoleContents[];
}

/** Names in contents are written as SQL wants them. */
export interface TableContents {
  readonly name: string;
  readonly columns: string;
  /** About: on disk. */
  readonly bytes: number;
}

export interface SequenceContents {
  readonly name: string;
  readonly value: string;
  readonly isCalled: boolean;
}

export interface RoleContents {
  readonly name: string;
  readonly inherits: boolean;
  readonly bypassesPolicies: boolean;
  readonly connectionLimit: number;
  /** `key=value` */
  readonly settings: readonly string[];
}

/** Passwords of roles that log in: each database has roles of its own, and a server makes their passwords anew. */
const WITHOUT_ROWS = ["fluxbase.login_roles"];

const OURS = `n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and not exists (
  select from pg_catalog.pg_depend d
  where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')`;

const FROM_CLASSES = "pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace";
const NAME = "pg_catalog.format('%I.%I', n.nspname, c.relname)";

export async function readContents(client: pg.Client): Promise<DatabaseContents> {
  const { rows: [place] } = await client.query(`
    select d.datname as name, d.oid::text as id, current_user::text as owner,
      pg_catalog.current_setting('server_version_num')::int as version
    from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()`);
  const tables = await client.query<TableContents>(`
    select ${NAME} as name, pg_catalog.pg_table_size(c.oid)::float8 as bytes,
      (select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum)
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns
    from ${FROM_CLASSES}
    where c.relkind = 'r' and c.relpersistence = 'p' and ${OURS} order by 1`);
  const views = await client.query<{ name: string }>(`
    select ${NAME} as name from ${FROM_CLASSES} where c.relkind = 'm' and c.relispopulated and ${OURS} order by 1`);
  return {
    name: place.name,
    id: place.id,
    owner: place.owner,
    serverVersion: Math.floor(place.version / 10_000),
    tables: tables.rows.filter(({ name, columns }) => columns !== null && !WITHOUT_ROWS.includes(name)),
    sequences: await readSequences(client),
    views: views.rows.map(({ name }) => name),
    roles: await readRoles(client),
  };
}

async function readSequences(client: pg.Client): Promise<SequenceContents[]> {
  const { rows } = await client.query(
    `select ${NAME} as name from ${FROM_CLASSES} where c.relkind = 'S' and ${OURS} order by 1`,
  );
  const sequences: SequenceContents[] = [];
  for (const { name } of rows) {
    const { rows: [standing] } = await client.query(`select last_value::text as value, is_called from ${name}`);
    sequences.push({ name, value: standing.value, isCalled: standing.is_called });
  }
  return sequences;
}

/** Those that own something in this database, or were granted something of it. */
async function readRoles(client: pg.Client): Promise<RoleContents[]> {
  const { rows } = await client.query<RoleContents>(`
    select distinct r.rolname as name, r.rolinherit as inherits, r.rolbypassrls as "bypassesPolicies",
      r.rolconnlimit as "connectionLimit", coalesce(s.setconfig, '{}') as settings
    from pg_catalog.pg_shdepend d
    join pg_catalog.pg_roles r on r.oid = d.refobjid
    left join pg_catalog.pg_db_role_setting s on s.setrole = r.oid and s.setdatabase = 0
    where d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and r.rolname !~ '^pg_'
      and d.dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    order by 1`);
  return rows;
}

/** Whatever a restore would lose or double. */
export async function isEmpty(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from ${FROM_CLASSES} where c.relkind in ('r', 'p', 'v', 'm', 'f') and ${OURS}
     union all select from pg_catalog.pg_namespace n where n.nspname = 'fluxbase' limit 1`,
  );
  return rowCount === 0;
}

/** Servers that are connected to this database, by where from; not ourselves. */
export async function countServers(client: pg.Client): Promise<number> {
  const { rows: [found] } = await client.query(`
    select pg_catalog.count(*)::int as count from pg_catalog.pg_stat_activity
    where datname = pg_catalog.current_database() and application_name = 'fluxbase'`);
  return found.count;
}

/** Which keys what is encrypted under the server's own key needs, as ./secrets/cipher.ts numbers them. */
export async function listKeyIds(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query(`
    select distinct pg_catalog.encode(pg_catalog.substr(sealed, 2, 4), 'hex') as id from (
      select sealed from fluxbase.secrets where user_id = ''
      union all select env_sealed from fluxbase.versions where env_sealed is not null) s`);
  return rows.map(({ id }) => id);
}

export async function listNamespaces(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query("select distinct namespace from fluxbase.functions");
  return rows.map(({ namespace }) => namespace);
}

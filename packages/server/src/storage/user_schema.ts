/**
 * What the user's own schemas hold: tables and views, their columns, how they belong together, functions of SQL.
 *
 * @module
 */
import { type RawBuilder, sql } from "kysely";
import type { Db } from "./db.ts";
import { type ShownColumn, shownColumns } from "./view_columns.ts";

export interface ColumnRow {
  readonly name: string;
  /** Its number in the table. */
  readonly place: number;
  /** As Postgres writes it, such as `character varying(20)` or `integer[]`. */
  readonly type: string;
  readonly isJson: boolean;
  readonly isArray: boolean;
  /** What a new row has in it when nothing is said, as an expression of SQL; null: nothing. */
  readonly defaultText: string | null;
  /** What a new row has in it is too long to be kept here. */
  readonly isDefaultLong: boolean;
  /** Of an enum, its values, if there are not too many. */
  readonly values: readonly string[] | null;
}

export interface RelationRow {
  /** Its number in the database. */
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: "table" | "view";
  readonly columns: readonly ColumnRow[];
  readonly primaryKey: readonly string[];
  readonly uniqueKeys: readonly (readonly string[])[];
}

export interface ForeignKeyRow {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly otherSchema: string;
  readonly otherTable: string;
  readonly otherColumns: readonly string[];
}

export interface SqlFunctionRow {
  readonly schema: string;
  readonly name: string;
  readonly args: readonly SqlArgumentRow[];
  /** So many of the last arguments may be left out. */
  readonly defaultCount: number;
  /** It changes nothing. */
  readonly isStable: boolean;
  readonly returnsSet: boolean;
  readonly returns: "rows" | "scalar" | "void";
  /** The table whose rows it gives, if it is one of ours. */
  readonly returnsRelation: string | null;
  /** Of other rows than those of a table, where they are known before the call. */
  readonly returnsColumns: readonly ColumnRow[] | null;
  /** It says that it gives one row. */
  readonly returnsOne: boolean;
  readonly returnType: string;
}

export interface SqlArgumentRow {
  /** Empty: it has none. */
  readonly name: string;
  readonly type: string;
  /** The table of which it is a row. */
  readonly relation: string | null;
}

/** A column of a view that shows one of a table, or of another view. */
export interface ShownColumnRow extends ShownColumn {
  readonly view: number;
}

export interface UserSchemaRows {
  readonly shownColumns: readonly ShownColumnRow[];
  readonly relations: readonly RelationRow[];
  readonly foreignKeys: readonly ForeignKeyRow[];
  readonly functions: readonly SqlFunctionRow[];
}

/** What SQL of users defines may have any length, and all of it is kept in memory. */
const DEFAULT_MAX_CHARACTERS = 4_096;
const ENUM_VALUES_MAX_COUNT = 1_000;
/** As Postgres keeps it, which is compressed. */
const TREE_MAX_BYTES = 64 * 1024;
const VIEWS_MAX_COUNT = 1_000;

export async function readUserSchema(db: Db, schemas: readonly string[]): Promise<UserSchemaRows> {
  const [relations, shownColumns, foreignKeys, functions] = await Promise.all([
    readRelations(db, schemas),
    readShownColumns(db, schemas),
    readForeignKeys(db, schemas),
    readFunctions(db, schemas),
  ]);
  return { relations, shownColumns, foreignKeys, functions };
}

async function readShownColumns(db: Db, schemas: readonly string[]): Promise<ShownColumnRow[]> {
  const { rows } = await sql<{ view: number; tree: string }>`
    select c.oid::int8::float8 as view, r.ev_action::text as tree
    from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any (${schemas}::text[]) and c.relkind in ('v', 'm') and r.rulename = '_RETURN'
      and pg_column_size(r.ev_action) <= ${TREE_MAX_BYTES}
    order by c.oid limit ${VIEWS_MAX_COUNT}
  `.execute(db);
  return rows.flatMap(({ view, tree }) => shownColumns(tree).map((column) => ({ ...column, view })));
}

async function readRelations(db: Db, schemas: readonly string[]): Promise<RelationRow[]> {
  const { rows } = await sql<RelationRow>`
    select c.oid::int8::float8 as id, n.nspname as schema, c.relname as name,
      case when c.relkind in ('v', 'm') then 'view' else 'table' end as kind,
      coalesce((
        select json_agg(json_build_object(
          'name', a.attname,
          'place', a.attnum,
          'type', format_type(a.atttypid, a.atttypmod),
          'isJson', t.typname in ('json', 'jsonb'),
          'isArray', t.typcategory = 'A',
          'defaultText', case
            when a.attidentity <> '' then format(
              'nextval(%L::regclass)', pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname)
            )
            when length(d.text) <= ${DEFAULT_MAX_CHARACTERS} then d.text
          end,
          'isDefaultLong', coalesce(d.size, 0) > ${DEFAULT_MAX_CHARACTERS}
            or coalesce(length(d.text), 0) > ${DEFAULT_MAX_CHARACTERS},
          'values', (
            select case when count(*) <= ${ENUM_VALUES_MAX_COUNT} then json_agg(l.enumlabel order by l.enumsortorder) end
            from (
              select e.enumlabel, e.enumsortorder from pg_enum e
              where e.enumtypid = t.oid limit ${ENUM_VALUES_MAX_COUNT} + 1
            ) l
            having count(*) > 0
          )
        ) order by a.attnum)
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        left join lateral (
          select e.size, case when e.size <= ${DEFAULT_MAX_CHARACTERS} then pg_get_expr(e.adbin, e.adrelid) end as text
          from (
            select pg_column_size(x.adbin) as size, x.adbin, x.adrelid
            from pg_attrdef x where x.adrelid = c.oid and x.adnum = a.attnum and a.attgenerated = ''
          ) e offset 0
        ) d on true
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      ), '[]') as columns,
      coalesce((
        select json_agg(a.attname order by k.place)
        from pg_constraint p, unnest(p.conkey) with ordinality k (attnum, place), pg_attribute a
        where p.conrelid = c.oid and p.contype = 'p' and a.attrelid = c.oid and a.attnum = k.attnum
      ), '[]') as "primaryKey",
      coalesce((
        select json_agg((
          select json_agg(a.attname order by k.place)
          from unnest(u.conkey) with ordinality k (attnum, place)
          join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
        ))
        from pg_constraint u where u.conrelid = c.oid and u.contype = 'u'
      ), '[]') as "uniqueKeys"
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any (${schemas}::text[]) and c.relkind in ('r', 'p', 'f', 'v', 'm') and not c.relispartition
    order by n.nspname, c.relname
  `.execute(db);
  return rows;
}

async function readForeignKeys(db: Db, schemas: readonly string[]): Promise<ForeignKeyRow[]> {
  const { rows } = await sql<ForeignKeyRow>`
    select f.conname as name, n.nspname as schema, c.relname as "table",
      on_.nspname as "otherSchema", o.relname as "otherTable",
      (select json_agg(a.attname order by k.place) from unnest(f.conkey) with ordinality k (attnum, place)
        join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.attnum) as columns,
      (select json_agg(a.attname order by k.place) from unnest(f.confkey) with ordinality k (attnum, place)
        join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.attnum) as "otherColumns"
    from pg_constraint f
    join pg_class c on c.oid = f.conrelid join pg_namespace n on n.oid = c.relnamespace
    join pg_class o on o.oid = f.confrelid join pg_namespace on_ on on_.oid = o.relnamespace
    where f.contype = 'f' and f.conparentid = 0
      and n.nspname = any (${schemas}::text[]) and on_.nspname = any (${schemas}::text[])
    order by f.conname
  `.execute(db);
  return rows;
}

async function readFunctions(db: Db, schemas: readonly string[]): Promise<SqlFunctionRow[]> {
  const relationOf = (type: RawBuilder<unknown>) =>
    sql`(select rn.nspname || '.' || r.relname from pg_class r join pg_namespace rn on rn.oid = r.relnamespace
      where r.oid = ${type}.typrelid and r.relkind <> 'c' and rn.nspname = any (${schemas}::text[]))`;
  const column = (name: RawBuilder<unknown>, type: RawBuilder<unknown>) =>
    sql`json_build_object('name', ${name}, 'place', 0, 'type', format_type(${type}.oid, null),
      'isJson', ${type}.typname in ('json', 'jsonb'), 'isArray', ${type}.typcategory = 'A',
      'defaultText', null, 'isDefaultLong', false, 'values', null)`;
  const { rows } = await sql<SqlFunctionRow>`
    select n.nspname as schema, p.proname as name, p.pronargdefaults::int as "defaultCount",
      p.provolatile <> 'v' as "isStable", p.proretset as "returnsSet", p.prorows = 1 as "returnsOne",
      case when t.typtype = 'c' or t.typname = 'record' or u.outs is not null then 'rows'
        when t.typname = 'void' then 'void' else 'scalar' end as returns,
      ${relationOf(sql`t`)} as "returnsRelation",
      coalesce(u.outs, (
        select json_agg(${column(sql`a.attname`, sql`y`)} order by a.attnum)
        from pg_attribute a join pg_type y on y.oid = a.atttypid
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
      )) as "returnsColumns",
      format_type(p.prorettype, null) as "returnType", coalesce(u.ins, '[]') as args
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_type t on t.oid = p.prorettype,
      lateral (
        select json_agg(json_build_object('name', coalesce(p.proargnames[x.place], ''), 'type',
            format_type(x.type, null), 'relation', ${relationOf(sql`y`)}) order by x.place)
            filter (where x.mode in ('i', 'b')) as ins,
          json_agg(${column(sql`coalesce(nullif(p.proargnames[x.place], ''), 'column' || x.nth)`, sql`y`)}
            order by x.place) filter (where x.mode in ('o', 'b', 't')) as outs
        from (
          select x.type, x.place, m.mode,
            count(*) filter (where m.mode in ('o', 'b', 't')) over (order by x.place) as nth
          from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality x (type, place),
            lateral (select coalesce(p.proargmodes[x.place], 'i') as mode) m
        ) x join pg_type y on y.oid = x.type
      ) u
    where n.nspname = any (${schemas}::text[]) and p.prokind = 'f' and t.typname not in ('trigger', 'event_trigger')
      and (p.proargmodes is null or not p.proargmodes && array['v']::"char"[])
    order by n.nspname, p.proname
  `.execute(db);
  return rows;
}

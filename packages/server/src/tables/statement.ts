/**
 * From a request for tables to one statement of SQL.
 *
 * Every name is looked up in the schema and quoted, every value is a parameter: no text of a caller is ever part of the
 * statement itself.
 *
 * @module
 */
import { type RawBuilder, sql } from "kysely";
import type { SqlFunctionRow } from "../storage/user_schema.ts";
import {
  type Clauses,
  type Condition,
  type Field,
  isAggregate,
  type Operator,
  type OrderTerm,
  parseList,
  type SelectItem,
  type TableQuery,
} from "./grammar.ts";
import type { ColumnPair, Relation, Relationship } from "./schema_cache.ts";
import { badQuery, notSupported, TableError } from "./table_error.ts";

type Sql = RawBuilder<unknown>;

/** How rows are written. */
export type BodyFormat = "json" | "json-without-nulls" | "csv";

export interface Page {
  readonly limit: number;
  readonly offset: number;
}

export interface ReadOptions extends Page {
  readonly format: BodyFormat;
  /** Counts all rows that the filters leave. */
  readonly countsAll: boolean;
}

export interface WriteOptions {
  /** What to do with a row that is there already; null: that is an error. */
  readonly duplicates: "merge" | "ignore" | null;
  readonly returnsRows: boolean;
  /** Missing values are the column's default rather than null. */
  readonly missingIsDefault: boolean;
  readonly format: BodyFormat;
}

const COMPARISONS: Readonly<Partial<Record<Operator, string>>> = {
  eq: "=",
  neq: "<>",
  gt: ">",
  gte: ">=",
  lt: "<",
  lte: "<=",
  match: "~",
  imatch: "~*",
  isdistinct: "is distinct from",
  cs: "@>",
  cd: "<@",
  ov: "&&",
  sl: "<<",
  sr: ">>",
  nxl: "&>",
  nxr: "&<",
  adj: "-|-",
};
const SEARCHES: Readonly<Partial<Record<Operator, string>>> = {
  fts: "to_tsquery",
  plfts: "plainto_tsquery",
  phfts: "phraseto_tsquery",
  wfts: "websearch_to_tsquery",
};
const IS: Readonly<Record<string, string>> = {
  null: "is null",
  not_null: "is not null",
  true: "is true",
  false: "is false",
  unknown: "is unknown",
};
const TEXT_TYPE = /^(text|character varying|character|extensions\.citext|citext)(\(\d+\))?$/;
const INT_MAX = 2 ** 31 - 1;
const JSON_TYPES: readonly string[] = ["json", "jsonb"];
const CASTS: ReadonlySet<string> = new Set(
  ("text varchar char bpchar int int2 int4 int8 integer bigint smallint numeric decimal float4 float8 real bool boolean date " +
    "timestamp timestamptz time timetz interval uuid json jsonb bytea inet cidr money").split(" "),
);

/** Names of tables inside one statement: t0, t1, … */
class Aliases {
  #count = 0;
  next(): string {
    this.#count += 1;
    return `t${this.#count}`;
  }
}

interface Scope {
  readonly relation: Relation;
  readonly alias: string;
  /** Of the table among the clauses. */
  readonly path: string;
  readonly query: TableQuery;
  readonly aliases: Aliases;
  /** A row as functions of SQL take it. */
  readonly row: Sql;
}

function scopeOf(relation: Relation, query: TableQuery): Scope {
  const aliases = new Aliases();
  const alias = aliases.next();
  const scope = { relation, alias, path: "", query, aliases, row: sql`${sql.id(alias)}` };
  assertPathsExist(query);
  return scope;
}

/** Answers with one row: `body` as JSON, `page` rows in it, and `total` if it was asked for. */
export function readStatement(relation: Relation, query: TableQuery, options: ReadOptions): Sql {
  const scope = scopeOf(relation, query);
  const clauses = clausesOf(scope);
  const where = whereSql(conditionsOf(scope));
  const from = sql`${placeOf(relation)} as ${sql.id(scope.alias)}`;
  const grouping = groupingSql(scope, query.items);
  const rows = sql`select ${selection(scope, query.items)} from ${from}${where}${grouping}`;
  const counted = isGrouped(scope, query.items) ? sql`(${rows}) _groups` : sql`${from}${where}`;
  const total = options.countsAll ? sql`(select pg_catalog.count(*) from ${counted})` : sql`null::bigint`;
  return sql`select ${bodySql(options.format)} as body, pg_catalog.count(*) as page, ${total} as total
    from (${rows}${orderSql(scope, clauses.order)}
      limit ${options.limit}${options.offset === 0 ? sql`` : sql` offset ${options.offset}`}) _row`;
}

/** Of the rows of `_row`. */
function bodySql(format: BodyFormat): Sql {
  if (format !== "csv") return sql`coalesce(pg_catalog.json_agg(${rowSql(format)}), '[]')::text`;
  // What Postgres writes between the brackets of a row is a line of CSV.
  const line = sql`pg_catalog.substr(_row::text, 2, pg_catalog.length(_row::text) - 2)`;
  return sql`coalesce(pg_catalog.string_agg(${line}, ${"\n"}), '')`;
}

function rowSql(format: BodyFormat): Sql {
  return format === "json" ? sql`_row` : sql`pg_catalog.json_strip_nulls(pg_catalog.row_to_json(_row))`;
}

/** The rows that the filters leave, for whoever explains it. */
export function filteredRows(relation: Relation, query: TableQuery): Sql {
  const scope = scopeOf(relation, query);
  return sql`select from ${placeOf(relation)} as ${sql.id(scope.alias)}${whereSql(conditionsOf(scope))}`;
}

export function insertStatement(
  relation: Relation,
  query: TableQuery,
  { rows, payload, ...options }: WriteOptions & {
    readonly rows: readonly Readonly<Record<string, unknown>>[];
    /** The rows as they were sent: numbers of JavaScript are not exact enough. */
    readonly payload: string;
  },
): Sql {
  const scope = scopeOf(relation, query);
  const names = query.columns ?? sameKeys(rows);
  for (const name of names) columnOf(relation, name);
  const target = sql`insert into ${placeOf(relation)} as ${sql.id(scope.alias)}`;
  const conflict = conflictSql(relation, query, names, options.duplicates);
  if (names.length === 0) {
    if (rows.length > 1) throw badQuery("Several rows without any column cannot be inserted at once");
    return rows.length === 0 ? NOTHING : writing(scope, sql`${target} default values${conflict}`, options);
  }
  const list = sql.join(names.map((name) => sql.id(name)));
  const lacking = new Set(names.filter((name) => rows.some((row) => !Object.hasOwn(row, name))));
  if (options.missingIsDefault && lacking.size > 0) {
    const source = sql`pg_catalog.jsonb_array_elements(${payload}::jsonb) as _given,
      lateral pg_catalog.jsonb_populate_record(null::${placeOf(relation)}, _given) as _row`;
    const values = names.map((name) => {
      const value = sql`_row.${sql.id(name)}`;
      if (!lacking.has(name)) return value;
      // Expressions of the owner, as the catalog of Postgres has them.
      const { defaultText, isDefaultLong } = columnOf(relation, name);
      if (isDefaultLong) throw badQuery(`The default of "${name}" is too long for missing=default: give a value`);
      const otherwise = sql.raw(defaultText ?? "null");
      return sql`case when _given ? ${name}::text then ${value} else ${otherwise} end`;
    });
    return writing(scope, sql`${target} (${list}) select ${sql.join(values)} from ${source}${conflict}`, options);
  }
  const source = sql`pg_catalog.json_populate_recordset(null::${placeOf(relation)}, ${payload}::json)`;
  return writing(scope, sql`${target} (${list}) select ${list} from ${source}${conflict}`, options);
}

export function updateStatement(
  relation: Relation,
  query: TableQuery,
  { change, payload, ...options }: WriteOptions & {
    readonly change: Readonly<Record<string, unknown>>;
    readonly payload: string;
  },
): Sql {
  const scope = scopeOf(relation, query);
  const names = (query.columns ?? Object.keys(change)).filter((name) => Object.hasOwn(change, name));
  for (const name of Object.keys(change)) columnOf(relation, name);
  assertNoPage(scope);
  if (names.length === 0) return NOTHING;
  const set = sql.join(names.map((name) => sql`${sql.id(name)} = _new.${sql.id(name)}`));
  const source = sql`pg_catalog.json_populate_record(null::${placeOf(relation)}, ${payload}::json) _new`;
  const update = sql`update ${placeOf(relation)} as ${sql.id(scope.alias)} set ${set} from ${source}${
    whereSql(conditionsOf(scope))
  }`;
  return writing(scope, update, options);
}

export function deleteStatement(relation: Relation, query: TableQuery, options: WriteOptions): Sql {
  const scope = scopeOf(relation, query);
  assertNoPage(scope);
  const remove = sql`delete from ${placeOf(relation)} as ${sql.id(scope.alias)}${whereSql(conditionsOf(scope))}`;
  return writing(scope, remove, options);
}

/** Whether anything says which rows are meant. */
export function hasFilter(query: TableQuery): boolean {
  return (query.clauses.get("")?.conditions.length ?? 0) > 0;
}

/** Like a read: `body`, `page`, `total`. */
export function callStatement(
  fn: SqlFunctionRow,
  relation: Relation | undefined,
  query: TableQuery,
  { args, payload, countsAll, ...options }: ReadOptions & {
    /** Null: the payload is the one argument, which has no name. */
    readonly args: Readonly<Record<string, unknown>> | null;
    readonly payload: string;
  },
): Sql {
  const used = args === null ? [] : fn.args.filter(({ name }) => Object.hasOwn(args, name));
  const call = args === null
    ? sql`${sql.id(fn.schema, fn.name)}(${payload}::${sql.raw(fn.args[0]?.type ?? "text")})`
    : used.length === 0
    ? sql`${sql.id(fn.schema, fn.name)}()`
    // Types come from the catalog of Postgres, which writes them so that they can be read back.
    : sql`${sql.id(fn.schema, fn.name)}(${
      sql.join(used.map(({ name }) => sql`${sql.id(name)} := _args.${sql.id(name)}`))
    })`;
  const source = used.length === 0
    ? sql``
    : sql`pg_catalog.json_to_record(${payload}::json) as _args (${
      sql.join(used.map(({ name, type }) => sql`${sql.id(name)} ${sql.raw(type)}`))
    }), lateral `;
  if (fn.returns === "void") {
    return sql`select 'null' as body, 0 as page, null::bigint as total from ${source}${call} as _result`;
  }
  if (fn.returns === "scalar") {
    const values = sql`select _result.value from ${source}${call} as _result (value)`;
    return fn.returnsSet
      ? sql`select coalesce(pg_catalog.json_agg(_row.value), '[]')::text as body, pg_catalog.count(*) as page,
          null::bigint as total from (${values} limit ${options.limit} offset ${options.offset}) _row`
      : sql`select pg_catalog.to_json(_row.value)::text as body, 1 as page, null::bigint as total from (${values}) _row`;
  }
  if (relation === undefined) {
    if (hasFilter(query)) throw notSupported("Filtering the rows of a function that returns no table");
    const rows = sql`select _result.* from ${source}${call} as _result`;
    return asJson(rows, fn.returnsSet, options);
  }
  const given = scopeOf(relation, query);
  const alias = sql.id(given.alias);
  // Called once, however often its rows are counted.
  const scope = countsAll && fn.returnsRelation !== null ? typedAgain(given) : given;
  const from = countsAll ? sql`_called as ${alias}` : sql`${source}${call} as ${alias}`;
  const found = sql`select ${selection(scope, query.items)} from ${from}${whereSql(conditionsOf(scope))}${
    groupingSql(scope, query.items)
  }`;
  const rows = sql`${found}${orderSql(scope, clausesOf(scope).order)}`;
  if (!countsAll) return asJson(rows, fn.returnsSet, options);
  return sql`with _called as materialized (select ${alias}.* from ${source}${call} as ${alias})
    ${asJson(rows, fn.returnsSet, options, sql`(select pg_catalog.count(*) from (${found}) _found)`)}`;
}

function asJson(
  rows: Sql,
  isSet: boolean,
  { limit, offset, format }: Page & { readonly format: BodyFormat },
  total: Sql = sql`null::bigint`,
): Sql {
  const body = isSet || format === "csv"
    ? bodySql(format)
    : sql`coalesce((pg_catalog.json_agg(${rowSql(format)}) -> 0)::text, 'null')`;
  return sql`select ${body} as body, pg_catalog.count(*) as page, ${total} as total
    from (${rows} limit ${limit} offset ${offset}) _row`;
}

/** For a change of no rows. */
const NOTHING: Sql = sql`select '[]' as body, 0 as page, null::bigint as total`;

/** Of rows that come from elsewhere than the table itself, and have lost its type. */
function typedAgain(scope: Scope): Scope {
  return { ...scope, row: sql`(row(${sql.id(scope.alias)}.*)::${placeOf(scope.relation)})` };
}

/** A change, and what of the changed rows is given back. */
function writing(target: Scope, change: Sql, { returnsRows, format }: WriteOptions): Sql {
  const scope = typedAgain(target);
  const alias = sql.id(scope.alias);
  if (!returnsRows) {
    return sql`with _changed as (${change} returning 1)
      select '' as body, pg_catalog.count(*) as page, pg_catalog.count(*) as total from _changed`;
  }
  const { items } = scope.query;
  // How many rows were changed, whatever is made of them.
  const page = isGrouped(scope, items) ? sql`(select pg_catalog.count(*) from _changed)` : sql`pg_catalog.count(*)`;
  return sql`with _changed as (${change} returning ${alias}.*)
    select ${bodySql(format)} as body, ${page} as page, ${page} as total
    from (select ${selection(scope, items)} from _changed as ${alias}${groupingSql(scope, items)}${
    orderSql(scope, clausesOf(scope).order)
  }) _row`;
}

function conflictSql(
  { primaryKey, name: table, columns }: Relation,
  { onConflict }: TableQuery,
  names: readonly string[],
  duplicates: WriteOptions["duplicates"],
): Sql {
  if (duplicates === null) return sql``;
  const target = onConflict ?? primaryKey;
  if (target.length === 0) throw badQuery(`Table "${table}" has no primary key: say on_conflict`);
  for (const name of target) if (!columns.has(name)) throw unknownColumn(table, name);
  const list = sql.join(target.map((name) => sql.id(name)));
  const changed = names.filter((name) => !target.includes(name));
  if (duplicates === "ignore" || changed.length === 0) return sql` on conflict (${list}) do nothing`;
  const set = sql.join(changed.map((name) => sql`${sql.id(name)} = excluded.${sql.id(name)}`));
  return sql` on conflict (${list}) do update set ${set}`;
}

function sameKeys(rows: readonly Readonly<Record<string, unknown>>[]): readonly string[] {
  const names = Object.keys(rows[0] ?? {});
  const isSame = rows.every((row) => {
    const own = Object.keys(row);
    return own.length === names.length && own.every((name) => Object.hasOwn(rows[0] ?? {}, name));
  });
  if (isSame) return names;
  throw new TableError("All rows must have the same columns, or `columns` must name them", {
    status: 400,
    code: "PGRST102",
  });
}

/** A value and its name; all columns of a table have theirs already. */
interface Column {
  readonly name: string | null;
  readonly value: Sql;
}

function selection(scope: Scope, items: readonly SelectItem[]): Sql {
  const parts = selected(scope, items).map(({ name, value }) =>
    name === null ? value : sql`${value} as ${sql.id(name)}`
  );
  return parts.length === 0 ? sql`` : sql.join(parts);
}

function selected(scope: Scope, items: readonly SelectItem[]): Column[] {
  const own = resolved(scope.relation, items);
  if (!isGrouped(scope, items)) return own.flatMap((item) => columnsOf(scope, item));
  return [...namedGroups(scope, own), ...own].flatMap((item) => item.kind === "all" ? fieldsOf(scope.relation) : [item])
    .flatMap((item) => {
      const columns = columnsOf(scope, item);
      // JSON has no equality, by which rows could be put together.
      return item.kind === "embed" ? columns.map((one) => ({ ...one, value: sql`${one.value}::jsonb` })) : columns;
    });
}

/**
 * Aggregates as other clients write them: `count` and `sum(price)`, where there is no column and no relationship of that
 * name.
 */
function resolved(relation: Relation, items: readonly SelectItem[]): readonly SelectItem[] {
  return items.map((item): SelectItem => {
    if (item.kind === "field" && item.field.column === "count" && !relation.columns.has("count")) {
      return { kind: "aggregate", aggregate: "count", field: null, alias: item.alias, inner: null, cast: item.cast };
    }
    if (item.kind !== "embed" || !isAggregate(item.name) || item.items.length !== 1 || item.hint !== null) return item;
    const [of] = item.items;
    if (of === undefined || relation.relationships.some(({ to }) => to.name === item.name)) return item;
    const same = { kind: "aggregate", aggregate: item.name, cast: null } as const;
    if (of.kind === "all" && item.name === "count") return { ...same, field: null, alias: item.alias, inner: null };
    if (of.kind !== "field") return item;
    return { ...same, field: of.field, alias: item.alias ?? `${item.name}_${of.field.column}`, inner: of.cast };
  });
}

/** Columns of `group_by` that are not selected: without them nobody knows which group is which. */
function namedGroups({ path, query }: Scope, items: readonly SelectItem[]): readonly SelectItem[] {
  const names = path === "" ? query.groupBy ?? [] : [];
  const shown = new Set(items.flatMap((item) => item.kind === "field" ? [item.field.column] : []));
  return names.filter((name) => !shown.has(name)).map((column) => fieldItem(column));
}

function isGrouped(scope: Scope, items: readonly SelectItem[]): boolean {
  return (scope.path === "" && scope.query.groupBy !== null) ||
    resolved(scope.relation, items).some(({ kind }) => kind === "aggregate");
}

/** By what is selected beside aggregates, as PostgREST does, or by what was said. */
function groupingSql(scope: Scope, items: readonly SelectItem[]): Sql {
  if (!isGrouped(scope, items)) return sql``;
  const { groupBy } = scope.query;
  if (scope.path === "" && groupBy !== null) {
    return sql` group by ${sql.join(groupBy.map((column) => fieldSql(scope, { column, path: [] })))}`;
  }
  const own = resolved(scope.relation, items).flatMap((item) =>
    item.kind === "all" ? fieldsOf(scope.relation) : [item]
  );
  const kinds = own.flatMap((item) => columnsOf(scope, item).map(() => item.kind));
  const places = kinds.flatMap((kind, index) => kind === "aggregate" ? [] : [sql.raw(String(index + 1))]);
  return places.length === 0 ? sql`` : sql` group by ${sql.join(places)}`;
}

function columnsOf(scope: Scope, item: SelectItem): Column[] {
  if (item.kind === "all") {
    return scope.query.truncate === null
      ? [{ name: null, value: sql`${sql.id(scope.alias)}.*` }]
      : fieldsOf(scope.relation).flatMap((field) => columnsOf(scope, field));
  }
  if (item.kind === "embed") {
    if (item.items.length === 0) return [];
    return item.isSpread ? spreadColumns(scope, item) : [{ name: nameOf(item), value: embedSql(scope, item) }];
  }
  if (item.kind === "aggregate") {
    const of = item.field === null ? sql`*` : castTo(fieldSql(scope, item.field), item.inner);
    const value = sql`pg_catalog.${sql.raw(item.aggregate)}(${of})`;
    return [{ name: nameOf(item), value: castTo(value, item.cast) }];
  }
  return [{ name: nameOf(item), value: castTo(shortened(scope, item.field), item.cast) }];
}

/** A text that may be shown in part. */
function shortened(scope: Scope, field: Field): Sql {
  const value = fieldSql(scope, field);
  const { truncate } = scope.query;
  const isText = TEXT_TYPE.test(scope.relation.columns.get(field.column)?.type ?? "") && field.path.length === 0;
  // Types of the numbers above what an int holds are longer than any text.
  return truncate === null || !isText
    ? value
    : sql`pg_catalog.left(${value}::text, ${Math.min(truncate, INT_MAX)}::int)`;
}

function castTo(value: Sql, type: string | null): Sql {
  return type === null ? value : sql`(${value})::${sql.raw(castOf(type))}`;
}

function nameOf(item: Exclude<SelectItem, { kind: "all" }>): string {
  if (item.kind === "embed") return item.alias ?? item.name;
  if (item.kind === "aggregate") return item.alias ?? item.aggregate;
  const lastKey = item.field.path.findLast(({ key }) => typeof key === "string")?.key;
  return item.alias ?? String(lastKey ?? item.field.column);
}

/** Columns of the one row that belongs to a row of this table, each a subselect by the same key. */
function spreadColumns(scope: Scope, embed: Embed): Column[] {
  const relationship = relationshipTo(scope.relation, embed);
  if (relationship.isMany) throw notSupported("Spreading a table of which many rows belong to one");
  const items = embed.items.flatMap((item) => item.kind === "all" ? fieldsOf(relationship.to) : [item]);
  return items.flatMap((item) => {
    const inner = embeddedScope(scope, embed, relationship.to);
    return columnsOf(inner, item).map(({ name, value }) => ({
      name,
      value: sql`(select ${value} from ${joined(scope, relationship, inner)})`,
    }));
  });
}

function fieldsOf({ columns }: Relation): SelectItem[] {
  return [...columns.keys()].map(fieldItem);
}

function fieldItem(column: string): SelectItem {
  return { kind: "field", field: { column, path: [] }, alias: null, cast: null };
}

/** Names of what is selected, as the first line of CSV has them. */
export function columnNames(relation: Relation, query: TableQuery): string[] {
  const scope = scopeOf(relation, query);
  return selected(scope, query.items).flatMap(({ name }) => name ?? [...relation.columns.keys()]);
}

function castOf(type: string): string {
  const [, base = "", array = ""] = /^([a-z0-9]+)(\[\])?$/i.exec(type.trim()) ?? [];
  if (CASTS.has(base.toLowerCase())) return base.toLowerCase() + array;
  throw badQuery(`Cannot cast to "${type.slice(0, 40)}"`);
}

type Embed = Extract<SelectItem, { kind: "embed" }>;

function embeddedScope({ query, aliases, path }: Scope, embed: Embed, relation: Relation): Scope {
  const places = [embed.alias, embed.name].flatMap((name) =>
    name === null ? [] : [path === "" ? name : `${path}.${name}`]
  );
  const found = places.find((place) => query.clauses.has(place)) ?? places[0] ?? "";
  const alias = aliases.next();
  return { relation, alias, path: found, query, aliases, row: sql`${sql.id(alias)}` };
}

function embedSql(scope: Scope, embed: Embed): Sql {
  const relationship = relationshipTo(scope.relation, embed);
  const inner = embeddedScope(scope, embed, relationship.to);
  const { order, limit, offset } = clausesOf(inner);
  const rows = sql`select ${selection(inner, embed.items)} from ${joined(scope, relationship, inner)}${
    groupingSql(inner, embed.items)
  }${orderSql(inner, order)}${limit === null ? sql`` : sql` limit ${limit}`}${
    offset === null ? sql`` : sql` offset ${offset}`
  }`;
  return relationship.isMany
    ? sql`coalesce((select pg_catalog.json_agg(_many) from (${rows}) _many), '[]'::json)`
    : sql`(select pg_catalog.row_to_json(_one) from (${rows}) _one)`;
}

/** The rows of a related table that belong to a row of this one, with the conditions on them. */
function joined({ alias, row }: Scope, { to, pairs, through, call }: Relationship, inner: Scope): Sql {
  const rows = call === null ? placeOf(to) : sql`${placeOf(call)}(${row})`;
  const target = sql`${rows} as ${sql.id(inner.alias)}`;
  if (through === null) {
    return sql`${target}${whereSql([...equalIds(alias, inner.alias, pairs), ...conditionsOf(inner)])}`;
  }
  const between = inner.aliases.next();
  const conditions = [
    ...equalIds(alias, between, through.pairs),
    ...equalIds(between, inner.alias, pairs),
    ...conditionsOf(inner),
  ];
  return sql`${target}, ${placeOf(through.table)} as ${sql.id(between)}${whereSql(conditions)}`;
}

function equalIds(from: string, to: string, pairs: readonly ColumnPair[]): Sql[] {
  return pairs.map((pair) => sql`${sql.id(from, pair.from)} = ${sql.id(to, pair.to)}`);
}

function relationshipTo(relation: Relation, { name, hint }: Embed): Relationship {
  const computed = relation.relationships.find((one) => one.call !== null && one.name === name);
  if (computed !== undefined && hint === null) return computed;
  const named = relation.relationships.filter((one) => {
    if (one.call !== null || one.to.name === name) return one.call === null;
    // A key leads to its table, and to views of it only where they are named.
    return one.to.kind === "table" &&
      (one.name === name || (one.ownColumns.length === 1 && one.ownColumns[0] === name && !one.isMany));
  });
  const fitting = hint === null ? named : named.filter((one) => isHintedBy(one, hint));
  // Of two ways over the same table in between, or a table that refers to itself, the caller has to say which.
  if (fitting.length === 1 && fitting[0] !== undefined) return fitting[0];
  const direct = fitting.filter(({ ownColumns, isMany }) =>
    !isMany && (ownColumns[0] === hint || ownColumns[0] === name)
  );
  if (direct.length === 1 && direct[0] !== undefined) return direct[0];
  if (fitting.length === 0) {
    throw new TableError(`No relationship between "${relation.name}" and "${name.slice(0, 80)}" was found`, {
      status: 400,
      code: "PGRST200",
      details: hint === null
        ? "A foreign key has to lead from one to the other"
        : `Searched with the hint "${hint.slice(0, 80)}"`,
    });
  }
  throw new TableError(`More than one relationship between "${relation.name}" and "${name.slice(0, 80)}" was found`, {
    status: 300,
    code: "PGRST201",
    hint: `Say which: ${fitting.map((one) => `${name}!${one.name}`).join(", ")}`,
  });
}

function isHintedBy({ name, ownColumns, pairs, through }: Relationship, hint: string): boolean {
  return name === hint || through?.table.name === hint || ownColumns.includes(hint) ||
    pairs.some(({ to }) => to === hint);
}

/** Of the table itself, and of tables that are embedded with `!inner`. */
function conditionsOf(scope: Scope): Sql[] {
  const own = clausesOf(scope).conditions.map((condition) => conditionSql(scope, condition));
  const items = itemsOf(scope);
  const inner = items.flatMap((item): Sql[] => {
    if (item.kind !== "embed" || !item.isInner) return [];
    const relationship = relationshipTo(scope.relation, item);
    const embedded = embeddedScope(scope, item, relationship.to);
    return [sql`exists (select from ${joined(scope, relationship, embedded)})`];
  });
  return [...own, ...inner];
}

/** What is selected of the table of a scope. */
function itemsOf({ path, query }: Scope): readonly SelectItem[] {
  let items = query.items;
  for (const name of path === "" ? [] : path.split(".")) {
    const embed = items.find((item) => item.kind === "embed" && (item.alias ?? item.name) === name) ??
      items.find((item) => item.kind === "embed" && item.name === name);
    items = embed?.kind === "embed" ? embed.items : [];
  }
  return items;
}

function assertPathsExist(query: TableQuery): void {
  for (const path of query.clauses.keys()) {
    let items = query.items;
    for (const name of path === "" ? [] : path.split(".")) {
      const embed = items.find((item) => item.kind === "embed" && (item.alias === name || item.name === name));
      if (embed?.kind !== "embed") {
        throw notEmbedded(path, name);
      }
      items = embed.items;
    }
  }
}

function notEmbedded(path: string, name: string): TableError {
  return new TableError(`"${path.slice(0, 80)}" is no embedded table of this request`, {
    status: 400,
    code: "PGRST108",
    hint: `Add "${name.slice(0, 80)}" to the selection`,
  });
}

function clausesOf({ path, query }: Scope): Clauses {
  return query.clauses.get(path) ?? { conditions: [], order: [], limit: null, offset: null };
}

function assertNoPage(scope: Scope): void {
  const { limit, offset } = clausesOf(scope);
  if (limit !== null || offset !== null) throw notSupported("A limit on what is changed");
}

function whereSql(conditions: readonly Sql[]): Sql {
  return conditions.length === 0 ? sql`` : sql` where ${sql.join(conditions, sql` and `)}`;
}

function orderSql(scope: Scope, terms: readonly OrderTerm[]): Sql {
  if (terms.length === 0) return sql``;
  const parts = terms.map(({ embedded, field, isDescending, nulls }) =>
    sql`${embedded === null ? fieldSql(scope, field) : relatedSql(scope, embedded, field)}${
      isDescending ? sql` desc` : sql``
    }${nulls === null ? sql`` : nulls === "first" ? sql` nulls first` : sql` nulls last`}`
  );
  return sql` order by ${sql.join(parts)}`;
}

/** Of the one row of an embedded table that belongs to a row of this one. */
function relatedSql(scope: Scope, name: string, field: Field): Sql {
  const embed = itemsOf(scope).find((item): item is Embed =>
    item.kind === "embed" && (item.alias === name || item.name === name)
  );
  if (embed === undefined) throw notEmbedded(name, name);
  const relationship = relationshipTo(scope.relation, embed);
  if (relationship.isMany) {
    throw badQuery(`Cannot order by "${name.slice(0, 80)}": many of its rows belong to one`);
  }
  const inner = embeddedScope(scope, embed, relationship.to);
  return sql`(select ${fieldSql(inner, field)} from ${joined(scope, relationship, inner)})`;
}

function conditionSql(scope: Scope, condition: Condition): Sql {
  if (condition.kind !== "compare") {
    const parts = condition.conditions.map((one) => conditionSql(scope, one));
    const joinedParts = sql`(${sql.join(parts, condition.kind === "and" ? sql` and ` : sql` or `)})`;
    return condition.isNegated ? sql`not ${joinedParts}` : joinedParts;
  }
  const compared = embeddedIsNull(scope, condition) ?? comparisonSql(scope, condition);
  return condition.isNegated ? sql`not (${compared})` : compared;
}

type Comparison = Extract<Condition, { kind: "compare" }>;

/** `teams=is.null`: no row of the embedded table belongs to it. */
function embeddedIsNull(scope: Scope, { field: { column, path }, operator, value }: Comparison): Sql | undefined {
  if (operator !== "is" || path.length > 0 || scope.relation.columns.has(column)) return undefined;
  const embed = itemsOf(scope).find((item): item is Embed =>
    item.kind === "embed" && (item.alias ?? item.name) === column
  );
  if (embed === undefined || (value !== "null" && value !== "not_null")) return undefined;
  const relationship = relationshipTo(scope.relation, embed);
  const rows = joined(scope, relationship, embeddedScope(scope, embed, relationship.to));
  return value === "null" ? sql`not exists (select from ${rows})` : sql`exists (select from ${rows})`;
}

function comparisonSql(scope: Scope, { field, operator, value, values, config, quantifier }: Comparison): Sql {
  const left = fieldSql(scope, field);
  const search = SEARCHES[operator];
  if (search !== undefined) {
    const query = config === null
      ? sql`pg_catalog.${sql.raw(search)}(${value})`
      : sql`pg_catalog.${sql.raw(search)}(${config}::regconfig, ${value})`;
    return sql`${searchable(scope, field, left, config)} @@ ${query}`;
  }
  switch (operator) {
    case "is":
      return sql`${left} ${sql.raw(IS[value] ?? "is null")}`;
    case "in":
      return sql`${left} = any (${arrayOf(values)})`;
    default: {
      const isPattern = operator === "like" || operator === "ilike";
      const isList = LIST_OPERATORS.has(operator) && value.startsWith("(") && isArray(scope.relation, field);
      const compared = isPattern ? value.replaceAll("*", "%") : isList ? arrayOf(parseList(value)) : value;
      const right = quantifier === null ? sql`${compared}` : sql`${sql.raw(quantifier)} (${compared})`;
      return sql`${left} ${sql.raw(isPattern ? operator : COMPARISONS[operator] ?? "=")} ${right}`;
    }
  }
}

/** Of which other clients send the values of an array as `(a,b)`; for a range that is a range. */
const LIST_OPERATORS: ReadonlySet<Operator> = new Set<Operator>(["cs", "cd", "ov"]);

function isArray({ columns }: Relation, { column, path }: Field): boolean {
  return path.length === 0 && columns.get(column)?.type.endsWith("[]") === true;
}

function searchable({ relation }: Scope, { column, path }: Field, left: Sql, config: string | null): Sql {
  const isVector = path.length === 0 && relation.columns.get(column)?.type === "tsvector";
  if (isVector) return left;
  return config === null
    ? sql`pg_catalog.to_tsvector(${left})`
    : sql`pg_catalog.to_tsvector(${config}::regconfig, ${left})`;
}

/** As Postgres reads arrays; each value in quotes. */
function arrayOf(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`).join(",")}}`;
}

function fieldSql({ relation, alias, row }: Scope, { column, path }: Field): Sql {
  const computed = relation.columns.has(column) ? undefined : relation.computed.get(column);
  let value: Sql = computed === undefined ? sql`${sql.id(alias, column)}` : sql`${placeOf(computed)}(${row})`;
  const isJson = computed === undefined ? columnOf(relation, column).isJson : JSON_TYPES.includes(computed.returnType);
  if (path.length > 0 && !isJson) value = sql`pg_catalog.to_jsonb(${value})`;
  for (const { isText, key } of path) {
    const arrow = sql.raw(isText ? "->>" : "->");
    value = typeof key === "number" ? sql`${value} ${arrow} ${key}::int` : sql`${value} ${arrow} ${key}::text`;
  }
  return path.length === 0 ? value : sql`(${value})`;
}

function columnOf(relation: Relation, name: string) {
  const column = relation.columns.get(name);
  if (column === undefined) throw unknownColumn(relation.name, name);
  return column;
}

function unknownColumn(table: string, name: string): TableError {
  return new TableError(`column ${table}.${name.slice(0, 80)} does not exist`, { status: 400, code: "42703" });
}

function placeOf({ schema, name }: { readonly schema: string; readonly name: string }): Sql {
  return sql`${sql.id(schema, name)}`;
}

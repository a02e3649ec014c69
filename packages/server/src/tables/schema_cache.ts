/**
 * The user's schema in memory: what names mean, and how tables belong together.
 *
 * Follows changes by notification; a name that is not known makes it look again, at most once a second.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { type Clock, withDeadline } from "../core/clock.ts";
import type { Db } from "../storage/db.ts";
import type { Listener } from "../storage/listener.ts";
import { SCHEMA_CHANNEL } from "../storage/schema_watch.ts";
import {
  type ColumnRow,
  type ForeignKeyRow,
  readUserSchema,
  type RelationRow,
  type SqlFunctionRow,
  type UserSchemaRows,
} from "../storage/user_schema.ts";

export interface Relation {
  readonly schema: string;
  readonly name: string;
  readonly kind: RelationRow["kind"];
  readonly columns: ReadonlyMap<string, ColumnRow>;
  /** What functions of SQL make of a row, by their names. */
  readonly computed: ReadonlyMap<string, SqlFunctionRow>;
  readonly primaryKey: readonly string[];
  readonly relationships: readonly Relationship[];
}

/** From one table to another: each pair of columns is equal. */
export interface Relationship {
  /** Of the foreign key; a hint may name it. */
  readonly name: string;
  readonly to: Relation;
  readonly isMany: boolean;
  readonly pairs: readonly ColumnPair[];
  /** The table in between, when many belong to many. */
  readonly through: { readonly table: Relation; readonly pairs: readonly ColumnPair[] } | null;
  /** The columns of this table, for hints. */
  readonly ownColumns: readonly string[];
  /** What gives the rows that belong to one, instead of columns. */
  readonly call: SqlFunctionRow | null;
}

export interface ColumnPair {
  readonly from: string;
  readonly to: string;
}

export interface UserSchema {
  relation(schema: string, name: string): Relation | undefined;
  relations(): readonly Relation[];
  /** Overloads of one name. */
  functions(schema: string, name: string): readonly SqlFunctionRow[];
  allFunctions(): readonly SqlFunctionRow[];
}

export interface SchemaCache {
  /** Waits for a look that is under way. */
  current(): UserSchema | Promise<UserSchema>;
  /** After a name was not found. */
  refreshed(): Promise<UserSchema>;
  [Symbol.dispose](): void;
}

/** PostgREST's own channel, which people use by hand. */
const POSTGREST_CHANNEL = "pgrst";
const LOOK_AGAIN_MS = 1_000;
const POLL_MS = 10_000;
/** A request waits so long for a look at the schema. */
const PATIENCE_MS = 3_000;

export async function startSchemaCache(
  { db, listener, clock, schemas, isWatched }: {
    readonly db: Db;
    readonly listener: Listener;
    readonly clock: Clock;
    readonly schemas: readonly string[];
    /** Whether every change is told. */
    readonly isWatched: boolean;
  },
): Promise<SchemaCache> {
  let known: UserSchema = schemaOf({ relations: [], shownColumns: [], foreignKeys: [], functions: [] });
  let readAtMs = -Infinity;

  const follower = await listener.follow({
    what: "the schema of tables",
    channels: [SCHEMA_CHANNEL, POSTGREST_CHANNEL],
    async read() {
      readAtMs = clock.nowMs();
      known = schemaOf(await readUserSchema(db, schemas));
    },
  });
  const timer = isWatched ? undefined : setInterval(() => follower.wake(), POLL_MS);
  return {
    current() {
      const look = follower.settled();
      // What was known goes on holding: SQL of users can make a look take long.
      return look === undefined ? known : withDeadline(look, PATIENCE_MS, overdue).then(() => known, () => known);
    },
    async refreshed() {
      if (clock.nowMs() - readAtMs >= LOOK_AGAIN_MS) await withDeadline(follower.refresh(), PATIENCE_MS, overdue);
      return known;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function overdue(): PlatformError {
  return new PlatformError("DATABASE_UNAVAILABLE", "The schema of tables is being read: try again in a moment", {
    details: { retry_after: 1 },
  });
}

/** A foreign key, or what is one of it through views. */
interface KnownKey extends ForeignKeyRow {
  readonly of?: ForeignKeyRow;
}

/** Of a table or view: under which name it shows each column of some table. */
interface Showing {
  readonly schema: string;
  readonly name: string;
  readonly names: ReadonlyMap<string, string>;
}

/** A view of a view of a view … */
const VIEW_DEPTH_MAX = 16;
/** Views on both sides of a key multiply; later ones stand alone. */
const VIEWS_OF_TABLE_MAX_COUNT = 20;
const KEYS_OF_VIEWS_MAX_COUNT = 20_000;

/** Foreign keys, and for each of them those that views on either side make of it by showing its columns. */
function withThoseOfViews(
  { relations, shownColumns, foreignKeys }: Omit<UserSchemaRows, "functions">,
): readonly KnownKey[] {
  if (shownColumns.length === 0) return foreignKeys;
  const byId = new Map(relations.map((row) => [row.id, row]));
  const shown = new Map(shownColumns.map((column) => [`${column.view} ${column.place}`, column]));
  const showings = new Map<string, Map<string, { schema: string; name: string; names: Map<string, string> }>>();
  for (const view of new Set(shownColumns.map((column) => column.view))) {
    const row = byId.get(view);
    for (const { name, place } of row?.columns ?? []) {
      const behind = columnBehind(view, place);
      if (row === undefined || behind === undefined) continue;
      const views = showings.get(behind.table) ?? new Map();
      showings.set(behind.table, views);
      const showing = views.get(row.id) ?? { schema: row.schema, name: row.name, names: new Map() };
      views.set(row.id, showing);
      if (!showing.names.has(behind.column)) showing.names.set(behind.column, name);
    }
  }

  function columnBehind(relation: number, place: number): { table: string; column: string } | undefined {
    let at = shown.get(`${relation} ${place}`);
    for (let depth = 0; depth < VIEW_DEPTH_MAX && at !== undefined; depth += 1) {
      const row = byId.get(at.ofRelation);
      const { ofPlace } = at;
      if (row?.kind === "table") {
        const column = row.columns.find((one) => one.place === ofPlace)?.name;
        return column === undefined ? undefined : { table: `${row.schema}\0${row.name}`, column };
      }
      at = shown.get(`${at.ofRelation} ${ofPlace}`);
    }
    return undefined;
  }

  /** The table itself first, then the views that show all these columns. */
  function showingsOf(schema: string, table: string, columns: readonly string[]): Showing[] {
    const own = { schema, name: table, names: new Map(columns.map((name) => [name, name])) };
    const views = [...showings.get(`${schema}\0${table}`)?.values() ?? []];
    const fitting = views.filter(({ names }) => columns.every((column) => names.has(column)));
    return [own, ...fitting.slice(0, VIEWS_OF_TABLE_MAX_COUNT)];
  }

  let count = 0;
  return foreignKeys.flatMap((key) => {
    if (count > KEYS_OF_VIEWS_MAX_COUNT) return [key];
    const { schema, table, columns, otherSchema, otherTable, otherColumns } = key;
    const others = showingsOf(otherSchema, otherTable, otherColumns);
    const all = showingsOf(schema, table, columns).flatMap((from, fromIndex) =>
      others.map((to, toIndex): KnownKey =>
        fromIndex === 0 && toIndex === 0 ? key : {
          name: key.name,
          schema: from.schema,
          table: from.name,
          columns: columns.map((column) => from.names.get(column) ?? column),
          otherSchema: to.schema,
          otherTable: to.name,
          otherColumns: otherColumns.map((column) => to.names.get(column) ?? column),
          of: key,
        }
      )
    );
    count += all.length;
    return all;
  });
}

/** How tables belong together is worked out when it is asked for, once. */
function schemaOf({ functions, ...rows }: UserSchemaRows): UserSchema {
  const { relations } = rows;
  const foreignKeys = withThoseOfViews(rows);
  const byPlace = new Map<string, Relation>();
  const placeOf = (schema: string, name: string) => `${schema}\0${name}`;
  const ofRows = Map.groupBy(
    functions.filter(({ args }) => args.length === 1 && args[0]?.relation),
    ({ args }) => args[0]?.relation ?? "",
  );
  for (const row of relations) {
    let found: readonly Relationship[] | undefined;
    const made = ofRows.get(`${row.schema}.${row.name}`) ?? [];
    byPlace.set(placeOf(row.schema, row.name), {
      schema: row.schema,
      name: row.name,
      kind: row.kind,
      columns: new Map(row.columns.map((column) => [column.name, column])),
      computed: new Map(made.filter(isValue).map((fn) => [fn.name, fn])),
      primaryKey: row.primaryKey,
      get relationships() {
        return found ??= [...made.flatMap(computedOf), ...relationshipsOf(row)];
      },
    });
  }
  const find = (schema: string, name: string) => byPlace.get(placeOf(schema, name));
  const rowOf = new Map(relations.map((row) => [placeOf(row.schema, row.name), row]));
  const functionsByPlace = Map.groupBy(functions, ({ schema, name }) => placeOf(schema, name));

  /** A function of a row that gives rows of a table. */
  function computedOf(fn: SqlFunctionRow): Relationship[] {
    const [schema = "", name = ""] = fn.returnsRelation?.split(".") ?? [];
    const to = find(schema, name);
    if (to === undefined) return [];
    const isMany = fn.returnsSet && !fn.returnsOne;
    return [{ name: fn.name, to, isMany, pairs: [], through: null, ownColumns: [], call: fn }];
  }

  function relationshipsOf({ schema, name }: RelationRow): Relationship[] {
    const isThis = (otherSchema: string, otherName: string) => otherSchema === schema && otherName === name;
    const outgoing = foreignKeys.filter((key) => isThis(key.schema, key.table));
    const incoming = foreignKeys.filter((key) => isThis(key.otherSchema, key.otherTable));
    const direct = outgoing.flatMap((key): Relationship[] => {
      const to = find(key.otherSchema, key.otherTable);
      return to === undefined ? [] : [{
        name: key.name,
        to,
        isMany: false,
        pairs: pairsOf(key.columns, key.otherColumns),
        through: null,
        ownColumns: key.columns,
        call: null,
      }];
    });
    const inverse = incoming.flatMap((key): Relationship[] => {
      const to = find(key.schema, key.table);
      return to === undefined ? [] : [{
        name: key.name,
        to,
        isMany: !isUnique(key.of ?? key),
        pairs: pairsOf(key.otherColumns, key.columns),
        through: null,
        ownColumns: key.otherColumns,
        call: null,
      }];
    });
    return [...direct, ...inverse, ...incoming.flatMap(throughOf)];
  }

  /** A table in between has both foreign keys in its primary key. */
  function throughOf(first: KnownKey): Relationship[] {
    const table = find(first.schema, first.table);
    if (table === undefined) return [];
    const isInKey = ({ columns }: ForeignKeyRow) => columns.every((column) => table.primaryKey.includes(column));
    if (!isInKey(first)) return [];
    return foreignKeys.flatMap((second): Relationship[] => {
      const isOther = second.name !== first.name && second.schema === first.schema && second.table === first.table;
      const to = find(second.otherSchema, second.otherTable);
      if (!isOther || to === undefined || !isInKey(second)) return [];
      return [{
        name: table.name,
        to,
        isMany: true,
        pairs: pairsOf(second.columns, second.otherColumns),
        through: { table, pairs: pairsOf(first.otherColumns, first.columns) },
        ownColumns: first.otherColumns,
        call: null,
      }];
    });
  }

  function isUnique({ schema, table, columns }: ForeignKeyRow): boolean {
    const row = rowOf.get(placeOf(schema, table));
    const keys = row === undefined ? [] : [row.primaryKey, ...row.uniqueKeys];
    return keys.some((key) => key.length > 0 && key.every((column) => columns.includes(column)));
  }

  return {
    relation: find,
    relations: () => [...byPlace.values()],
    functions: (schema, name) => functionsByPlace.get(placeOf(schema, name)) ?? [],
    allFunctions: () => functions,
  };
}

/** Rather than rows. */
function isValue({ returns, returnsSet }: SqlFunctionRow): boolean {
  return returns === "scalar" && !returnsSet;
}

/** The rows of a function that gives those of no table. */
export function relationOfResult({ schema, name, returnsColumns }: SqlFunctionRow): Relation | undefined {
  if (returnsColumns === null) return undefined;
  const columns = new Map(returnsColumns.map((column) => [column.name, column]));
  return { schema, name, kind: "view", columns, computed: new Map(), primaryKey: [], relationships: [] };
}

function pairsOf(from: readonly string[], to: readonly string[]): ColumnPair[] {
  return from.map((column, index) => ({ from: column, to: to[index] ?? "" }));
}

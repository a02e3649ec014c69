/**
 * What pages ask about tables: which there are, and their rows as somebody sees them.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { queryOptions } from "@tanstack/react-query";

export interface TableFacts {
  readonly schema: string;
  readonly name: string;
  readonly kind: "table" | "view";
  /** Its rows can be read, filtered and changed over HTTP. */
  readonly isServed: boolean;
  /** Row level security is on. */
  readonly isSecured: boolean;
  readonly columns: readonly ColumnFacts[];
}

export interface ColumnFacts {
  readonly name: string;
  /** As Postgres calls it. */
  readonly type: string;
  readonly isNullable: boolean;
  readonly hasDefault: boolean;
  readonly isKey: boolean;
}

export type Row = Readonly<Record<string, unknown>>;

/** Those that are served as rows; what is in others is read with SQL. */
const SERVED_SETTING = "FLUXBASE_DATABASE_SCHEMAS";
export const FIRST_SCHEMA = "public";

const TABLES = `
  select n.nspname as schema, c.relname as name, c.relkind in ('v', 'm') as is_view, c.relrowsecurity as is_secured,
    json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
      'isNullable', not a.attnotnull, 'hasDefault', a.atthasdef or a.attidentity <> '',
      'isKey', coalesce(a.attnum = any(i.indkey), false)) order by a.attnum) as columns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_index i on i.indrelid = c.oid and i.indisprimary
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
    and n.nspname not in ('information_schema', 'fluxbase') and n.nspname not like 'pg\\_%'
    and has_schema_privilege(n.oid, 'usage')
  group by 1, 2, 3, 4, i.indkey order by n.nspname <> 'public', 1, 2`;

export const TABLES_KEY = ["tables"] as const;

export function tablesQuery(client: FluxbaseClient) {
  return queryOptions({
    queryKey: TABLES_KEY,
    queryFn: async (): Promise<TableFacts[]> => {
      const [{ rows }, settings] = await Promise.all([
        client.admin.database.query(TABLES),
        client.admin.config.list(),
      ]);
      const served = (settings.find(({ name }) => name === SERVED_SETTING)?.value ?? FIRST_SCHEMA).split(",")
        .map((schema) => schema.trim());
      return rows.map(({ schema, name, is_view, is_secured, columns }) => ({
        schema: String(schema),
        name: String(name),
        isServed: served.includes(String(schema)),
        kind: is_view === true ? "view" : "table",
        isSecured: is_secured === true,
        columns: columns as ColumnFacts[],
      }));
    },
  });
}

export function rowsOf(client: FluxbaseClient, { schema, name }: TableFacts) {
  return client.schema(schema).from(name);
}

export function keyOf({ columns }: TableFacts): readonly string[] {
  return columns.filter(({ isKey }) => isKey).map(({ name }) => name);
}

export const OPERATORS = [
  ["eq", "is"],
  ["neq", "is not"],
  ["gt", ">"],
  ["lt", "<"],
  ["ilike", "contains"],
  ["null", "is empty"],
] as const;
export type Operator = typeof OPERATORS[number][0];

export interface Condition {
  readonly column: string;
  readonly operator: Operator;
  readonly value: string;
}

export interface PlacedRow {
  readonly row: Row;
  readonly cursor: string;
}

/** Behind the cursor: by the key where there is one column of it, and by counting else. */
export async function readRows(
  client: FluxbaseClient,
  table: TableFacts,
  { condition, cursor, limit }: {
    readonly condition: Condition | undefined;
    readonly cursor: string | undefined;
    readonly limit: number;
  },
): Promise<PlacedRow[]> {
  const [key, ...more] = keyOf(table);
  const isByKey = key !== undefined && more.length === 0;
  let query = rowsOf(client, table).select("*").limit(limit);
  for (const column of keyOf(table)) query = query.order(column);
  if (condition !== undefined) {
    const { column, operator, value } = condition;
    if (operator === "null") query = query.is(column, null);
    else if (operator === "ilike") query = query.ilike(column, `%${value}%`);
    else query = query.filter(column, operator, value);
  }
  const start = isByKey || cursor === undefined ? 0 : Number(cursor);
  if (cursor !== undefined) query = isByKey ? query.gt(key, cursor) : query.offset(start);
  const { data, error } = await query;
  if (error !== null) throw error;
  return data.map((row, index) => ({ row, cursor: isByKey ? String(row[key]) : String(start + index + 1) }));
}

/** Texts as they were filled in; JSON where the type is made of it. */
export function valueOf({ name, type }: ColumnFacts, text: string | null): unknown {
  if (text === null || !/^jsonb?$|\[\]$/.test(type)) return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new TypeError(`"${name}" is no JSON: write texts in quotes, such as ["a", "b"]`);
  }
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What the database lets through silently. */
export const NOTHING_CHANGED =
  "No row was changed: row level security does not let it through, or somebody else was faster";

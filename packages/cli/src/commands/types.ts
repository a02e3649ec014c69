/**
 * `fluxbase types`: the types of your tables, for editors.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { print, say } from "../output.ts";
import { pathOf } from "../connection.ts";

/** By the name that Postgres has for it; everything else travels as text. */
const TYPES: Readonly<Record<string, string>> = {
  bool: "boolean",
  int2: "number",
  int4: "number",
  int8: "number",
  float4: "number",
  float8: "number",
  numeric: "number",
  json: "unknown",
  jsonb: "unknown",
};
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

const COLUMNS = `
  select c.relname as "table", a.attname as "column", not a.attnotnull as nullable,
    coalesce(e.typname, t.typname) as type, t.typelem <> 0 and t.typcategory = 'A' as is_array,
    (select json_agg(l.enumlabel order by l.enumsortorder) from pg_enum l where l.enumtypid = coalesce(e.oid, t.oid)) as labels
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
  left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
  where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
    and c.relname <> 'fluxbase_migrations'
  order by c.relname, a.attnum`;

interface ColumnRow {
  readonly table: string;
  readonly column: string;
  readonly nullable: boolean;
  readonly type: string;
  readonly is_array: boolean;
  readonly labels: readonly string[] | null;
}

export function addTypes(program: Command): void {
  program.command("types").description("Generate TypeScript types of your tables for the SDK")
    .option("--schema <name>", "schema of the tables", "public").option(
      "--out <path>",
      "file to write (default: stdout)",
    )
    .action(withClient<{ schema: string; out?: string }, []>(async ({ admin }, { schema, out }) => {
      const { rows } = await admin.database.query(COLUMNS, [schema]);
      const text = typesOf(rows as unknown as readonly ColumnRow[]);
      if (out === undefined) return print(text.trimEnd());
      writeFileSync(pathOf(out), text);
      say(`Wrote ${out}`);
    }));
}

function typesOf(rows: readonly ColumnRow[]): string {
  const tables = new Map<string, ColumnRow[]>();
  for (const row of rows) tables.set(row.table, [...tables.get(row.table) ?? [], row]);
  const quoted = (name: string) => IDENTIFIER.test(name) ? name : JSON.stringify(name);
  const lines = [...tables].flatMap(([table, columns]) => [
    `  ${quoted(table)}: {`,
    ...columns.map(({ column, nullable, type, is_array, labels }) => {
      const one = labels === null ? TYPES[type] ?? "string" : labels.map((label) => JSON.stringify(label)).join(" | ");
      const many = is_array ? `${/[| ]/.test(one) ? `(${one})` : one}[]` : one;
      return `    ${quoted(column)}: ${many}${nullable && many !== "unknown" ? " | null" : ""};`;
    }),
    "  };",
  ]);
  return `/** Written by \`fluxbase types\`; use it as createClient<{ tables: Tables }>(…). */\nexport interface Tables {\n${
    lines.join("\n")
  }\n}\n`;
}

/**
 * `fluxbase types` and `fluxbase doctor`: what the server knows, for editors and for bad days.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import type { Command } from "commander";
import { type GlobalOptions, pathOf, placeOf, type Profile, UsageError } from "./context.ts";
import { print, say } from "./output.ts";
import { runSql } from "./sql.ts";

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
  order by c.relname, a.attnum`;

interface ColumnRow {
  readonly table: string;
  readonly column: string;
  readonly nullable: boolean;
  readonly type: string;
  readonly is_array: boolean;
  readonly labels: readonly string[] | null;
}

export function addInspection(program: Command): void {
  program.command("types").description("write the types of your tables for the SDK, to stdout or a file")
    .option("--schema <name>", "schema of the tables", "public").option("--out <path>", "a file")
    .action(async ({ schema, out }: { schema: string; out?: string }, command: Command) => {
      const place = placeOf(command.optsWithGlobals<GlobalOptions>());
      const { rows } = await runSql(place, COLUMNS, [schema]);
      const text = typesOf(rows as readonly ColumnRow[]);
      if (out === undefined) return print(text.trimEnd());
      writeFileSync(pathOf(out), text);
      say(`Wrote ${out}`);
    });

  program.command("doctor").description("check the server: database, sandboxes and their fences, your key")
    .action(async (_: unknown, command: Command) => {
      const findings = await examine(command.optsWithGlobals<GlobalOptions>());
      for (const { isGood, text } of findings) print(`${isGood ? "ok  " : "BAD "} ${text}`);
      if (findings.some(({ isGood }) => !isGood)) process.exitCode = 1;
    });
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

interface Finding {
  readonly isGood: boolean;
  readonly text: string;
}

interface Readiness {
  readonly status: string;
  readonly database: string;
  readonly fences: { readonly standing: readonly string[]; readonly missing: readonly string[] };
}

async function examine(options: GlobalOptions): Promise<Finding[]> {
  let place: Profile;
  try {
    place = placeOf(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [{ isGood: false, text: error.message }];
  }
  const url = place.url.replace(/\/+$/, "");
  const get = (path: string) => fetch(url + path, { headers: { authorization: `Bearer ${place.key}` } });
  let ready: Readiness;
  try {
    const response = await fetch(`${url}/health/ready`);
    ready = await response.json();
  } catch {
    return [{ isGood: false, text: `No server answers at ${url}: start it with "npm start", or set FLUXBASE_URL` }];
  }
  const { database, fences } = ready;
  const functions = await get("/api/v1/functions");
  await functions.body?.cancel();
  const tables = await get("/rest/v1/rpc/fluxbase_doctor_looks");
  await tables.body?.cancel();
  return [
    { isGood: true, text: `the server answers at ${url}` },
    {
      isGood: database === "ok",
      text: database === "ok"
        ? "the database answers"
        : "the database does not answer: look at the server's log, and at DATABASE_URL",
    },
    {
      isGood: functions.ok,
      text: functions.ok ? "the key is accepted" : "the key is refused: log in again, or set another",
    },
    {
      isGood: tables.status !== 503,
      text: tables.status === 503
        ? "tables are switched off: the server may not make roles in its database; give its user CREATEROLE and BYPASSRLS, or make it a superuser"
        : "tables are served",
    },
    ...fences.standing.map((fence) => ({ isGood: true, text: `fence ${fence} stands` })),
    ...fences.missing.map((fence) => ({
      isGood: false,
      text: `fence ${fence} is missing: ${MENDING[fence] ?? "a newer kernel may have it"}`,
    })),
  ];
}

const MENDING: Readonly<Record<string, string>> = {
  "uid": "run the server as root, so that each sandbox gets a user of its own",
  "landlock": "use a kernel of 5.13 or newer with Landlock switched on (lsm=landlock)",
  "seccomp": "use Linux on x86_64 or aarch64",
  "rlimits": "use Linux",
  "no-new-privileges": "use Linux",
  "dies-with-server": "use Linux",
};

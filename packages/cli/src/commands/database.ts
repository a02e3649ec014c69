/**
 * `fluxbase db …`: SQL, and migrations of the tables that functions use.
 *
 * A migration is a file of SQL in `migrations/`. It runs in one transaction with the row that says that it ran, so it is
 * done or not done, and two that are started at once do not both run it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FluxbaseClient } from "@fluxbase/sdk";
import type { Command } from "commander";
import { withClient, withOptions } from "../action.ts";
import { runMaintenance } from "../launcher.ts";
import { printRows, progress, readSecret, say } from "../output.ts";
import { type GlobalOptions, pathOf, UsageError } from "../connection.ts";

interface Folder {
  readonly folder: string;
}

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/** So that names may stand in SQL as they are. */
const FILE = /^[A-Za-z0-9_-]{1,200}\.sql$/;
const TABLE = "fluxbase_migrations";
const MAKE_TABLE = `create table if not exists ${TABLE} (
  name text primary key, checksum text not null, applied_at timestamptz not null default now())`;

export function addDatabase(program: Command): void {
  const db = program.command("db").description("Query, migrate and move the database of functions");
  db.command("query [sql]").description("Run SQL from the argument, --file or stdin")
    .option("--file <path>", "file with SQL")
    .action(withClient<{ file?: string }, [string | undefined]>(async ({ admin }, { file, ...options }, sql) => {
      const text = sql ?? (file === undefined ? await readSecret("SQL: ") : readFileSync(pathOf(file), "utf8"));
      const answer = await admin.database.query(text);
      if (answer.columns.length > 0 || options.output === "json") printRows(answer.rows, answer.columns, options);
      say(`${answer.command} ${answer.row_count}`);
    }));

  db.command("move").description("Copy all data of the server in this folder to another Postgres")
    .requiredOption("--to <url>", "URL of the platform's new database, postgres://…")
    .option("--users-to <url>", "URL of the new database for users' tables (default: one created beside it)")
    .option("--replace", "drop what the databases hold")
    .action(
      withOptions<{ to: string; usersTo?: string; replace?: boolean }, []>(({ to, usersTo, replace }) =>
        runMaintenance([
          ...["move", "--to", to],
          ...(usersTo === undefined ? [] : ["--users-to", usersTo]),
          ...(replace ? ["--replace"] : []),
        ])
      ),
    );

  db.command("migrate").description("Run pending migrations in the order of their names")
    .option("--folder <path>", "folder with the migrations", "migrations").option(
      "--dry-run",
      "show which migrations would run",
    )
    .action(withClient<Folder & { dryRun?: boolean }, []>(migrate));

  const migrations = db.command("migrations").description("Manage SQL files that create your tables");
  migrations.command("new <name>").description("Create an empty migration").option(
    "--folder <path>",
    "folder with the migrations",
    "migrations",
  )
    .action(withOptions<Folder, [string]>(({ folder }, name) => {
      const file = `${new Date().toISOString().replaceAll(/[-:T]|\..*$/g, "")}_${name.replaceAll(/\W+/g, "_")}.sql`;
      if (!FILE.test(file)) throw new UsageError(`"${name}" is not a valid migration name: use letters, digits and _`);
      const path = join(pathOf(folder), file);
      mkdirSync(pathOf(folder), { recursive: true });
      writeFileSync(path, `-- ${name}\n`, { flag: "wx" });
      say(`Wrote ${join(folder, file)}; "fluxbase db migrate" runs it`);
    }));
  migrations.command("list").description("List migrations that have run and that are pending")
    .option("--folder <path>", "folder with the migrations", "migrations")
    .action(withClient<Folder, []>(async (client, { folder, ...options }) => {
      const applied = await listApplied(client);
      const names = new Set([...applied.keys(), ...readMigrations(folder).map(({ name }) => name)]);
      const rows = [...names].sort().map((name) => ({ name, applied_at: applied.get(name)?.applied_at ?? null }));
      printRows(rows, ["name", "applied_at"], options);
    }));
}

async function migrate(
  client: FluxbaseClient,
  { folder, dryRun }: GlobalOptions & Folder & { dryRun?: boolean },
): Promise<void> {
  const all = readMigrations(folder);
  const applied = await listApplied(client);
  for (const { name, checksum } of all) {
    const before = applied.get(name);
    if (before !== undefined && before.checksum !== checksum) {
      throw new Error(`${name} was changed after it ran: undo the change and write a new migration instead`);
    }
  }
  const waiting = all.filter(({ name }) => !applied.has(name));
  if (waiting.length === 0) say("All migrations have run");
  // Of two that make it at once, one fails: it is there then. No lock of SQL, which any function could hold.
  const makeTable = () => client.admin.database.query(MAKE_TABLE);
  if (waiting.length > 0 && !dryRun) await makeTable().catch(makeTable);
  for (const migration of waiting) {
    if (!dryRun) await progress(`Running ${migration.name}`, run(client, migration));
    say(`${dryRun ? "Would run" : "Ran"} ${migration.name}`);
  }
}

async function run({ admin }: FluxbaseClient, { name, sql, checksum }: Migration): Promise<void> {
  const keep = `insert into ${TABLE} (name, checksum) values ('${name}', '${checksum}')`;
  try {
    // A line end, in case the file ends in a comment; the row comes first, so that of two only one gets past it.
    await admin.database.query(`${keep};\n${sql}\n`);
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** By name. */
async function listApplied(
  { admin }: FluxbaseClient,
): Promise<ReadonlyMap<string, { checksum: string; applied_at: string }>> {
  const { rows: [found] } = await admin.database.query(`select to_regclass('${TABLE}') is not null as exists`);
  if (found?.["exists"] !== true) return new Map();
  const { rows } = await admin.database.query(`select name, checksum, applied_at from ${TABLE}`);
  return new Map(rows.map(({ name, checksum, applied_at }) => [
    String(name),
    { checksum: String(checksum), applied_at: String(applied_at) },
  ]));
}

function readMigrations(folder: string): Migration[] {
  const dir = pathOf(folder);
  if (!existsSync(dir)) throw new UsageError(`Cannot find ${dir}: create it with "fluxbase db migrations new <name>"`);
  const files = readdirSync(dir).filter((name) => name.endsWith(".sql")).sort();
  const wrong = files.find((name) => !FILE.test(name));
  if (wrong !== undefined) {
    throw new UsageError(`"${wrong}" is not a valid migration name: use letters, digits, _ and -`);
  }
  return files.map((name) => {
    const sql = readFileSync(join(dir, name), "utf8");
    return { name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
  });
}

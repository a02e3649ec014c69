/**
 * `fluxbase functions …`
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import process from "node:process";
import { FluxbaseError, type LogEntry } from "@fluxbase/sdk";
import type { Command } from "commander";
import { clientOf, type GlobalOptions, pathOf, UsageError } from "./context.ts";
import { print, printObject, printRows, readSecret, say } from "./output.ts";

type Options = GlobalOptions & { readonly namespace?: string };

const SOURCE = /\.(ts|js|mts|mjs|tsx|jsx|json|txt|md)$/;
const TEMPLATE = (name: string) =>
  `/**
 * @fluxbase:description ${name}
 */
export default async function handler(req: Request): Promise<Response> {
  const { name = "World" } = await req.json().catch(() => ({}));
  return Response.json({ message: \`Hello \${name}!\` });
}
`;

export function addFunctions(program: Command): void {
  const functions = program.command("functions").description("functions: deploy, call, look at");
  const placeOf = (name: string, { namespace }: Options) => namespace === undefined ? name : `${namespace}/${name}`;

  functions.command("new <name>").description("write a new function to functions/<name>.ts")
    .action((name: string) => {
      const path = pathOf(join("functions", `${name}.ts`));
      if (existsSync(path)) throw new UsageError(`${path} exists already`);
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, TEMPLATE(name));
      say(`Wrote ${path}; deploy it with "fluxbase functions deploy ${relative(process.cwd(), path)}"`);
    });

  functions.command("list").description("list functions").option("-n, --namespace <name>", "only of this namespace")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const list = await clientOf(options).functions.list(options.namespace);
      printRows(list, ["namespace", "name", "enabled", "version", "live_version", "updated_at"], options);
    });

  functions.command("get <name>").description("show a function").option("-n, --namespace <name>", "its namespace")
    .option("--code", "print its source only")
    .action(async (name: string, { code }: { code?: boolean }, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const fn = await clientOf(options).functions.get(placeOf(name, options));
      if (code) return print(fn.code);
      const fields = [
        "name",
        "namespace",
        "description",
        "enabled",
        "version",
        "live_version",
        "bundle_error",
        "timeout",
        "memory",
        "updated_at",
      ];
      printObject(fn, fields, options);
    });

  functions.command("deploy <path>").description("deploy a file, or a folder with index.ts")
    .option("--name <name>", "instead of that of the file").option("-n, --namespace <name>", "default without")
    .option("--no-strict", "keep what does not build beside the version that works")
    .action(async (path: string, { name, strict }: { name?: string; strict: boolean }, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const source = readSource(pathOf(path));
      const chosen = name ?? source.name;
      const { functions: client } = clientOf(options);
      const fields = { ...source.fields, ...(options.namespace === undefined ? {} : { namespace: options.namespace }) };
      let fn;
      try {
        fn = await client.create({ name: chosen, ...fields }, { strict });
      } catch (error) {
        if (!(error instanceof FluxbaseError) || error.code !== "ALREADY_EXISTS") throw error;
        fn = await client.update(placeOf(chosen, options), source.fields, { strict });
      }
      if (options.output === "json") return print(JSON.stringify(fn, null, 2));
      for (const warning of fn.warnings) say(`warning: ${warning}`);
      if (fn.bundle_error !== null) throw new Error(fn.bundle_error);
      say(`Deployed ${fn.namespace}/${fn.name}, version ${fn.version}`);
    });

  functions.command("delete <name>").description("delete a function").option("-n, --namespace <name>", "its namespace")
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      await clientOf(options).functions.delete(placeOf(name, options));
      say(`Deleted ${name}; "fluxbase functions restore ${name}" takes it back within 30 days`);
    });

  functions.command("restore <name>").description("take a deletion back").option(
    "-n, --namespace <name>",
    "its namespace",
  )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      await clientOf(options).functions.restore(placeOf(name, options));
      say(`Restored ${name}`);
    });

  functions.command("invoke <name>").description("call a function; the body from --data or, with -, from stdin")
    .option("-n, --namespace <name>", "its namespace").option("-d, --data <text>", "body; - reads stdin")
    .option("-X, --method <method>", "method; POST without").option(
      "--path <path>",
      "what follows the function's own path",
    )
    .option("-H, --header <header...>", "such as 'x-name: value'")
    .action(async (
      name: string,
      { data, method, path, header = [] }: { data?: string; method?: string; path?: string; header?: string[] },
      command: Command,
    ) => {
      const options = command.optsWithGlobals<Options>();
      const body = data === "-" ? await readSecret("") : data;
      const response = await clientOf(options).functions.fetch(placeOf(name, options), {
        headers: header.map((
          line,
        ): [string, string] => [line.split(":")[0]?.trim() ?? "", line.slice(line.indexOf(":") + 1).trim()]),
        ...(body === undefined ? {} : { body }),
        ...(method === undefined ? {} : { method }),
        ...(path === undefined ? {} : { path }),
      });
      process.stdout.write(new Uint8Array(await response.arrayBuffer()));
      if (process.stdout.isTTY) print("");
      if (response.status >= 400) {
        say(`The function answered ${response.status}`);
        process.exitCode = 1;
      }
    });

  functions.command("logs <name>").description("show log lines").option("-n, --namespace <name>", "its namespace")
    .option("-f, --follow", "go on with new lines").option("--limit <count>", "lines", "50").option(
      "--level <level>",
      "only this level",
    )
    .action(
      async (
        name: string,
        { follow, limit, level }: { follow?: boolean; limit: string; level?: string },
        command: Command,
      ) => {
        const options = command.optsWithGlobals<Options>();
        const { functions: client } = clientOf(options);
        const show = (entry: LogEntry) =>
          options.output === "json"
            ? print(JSON.stringify(entry))
            : print(`${entry.timestamp} ${entry.level.padEnd(5)} ${entry.message}`);
        const filter = level === undefined ? {} : { level: level as LogEntry["level"] };
        const entries = await client.getLogs(placeOf(name, options), { limit: Number(limit), ...filter });
        for (const entry of entries.toReversed()) show(entry);
        if (follow) { for await (const entry of client.followLogs(placeOf(name, options), filter)) show(entry); }
      },
    );

  functions.command("executions <name>").description("show calls").option("-n, --namespace <name>", "its namespace")
    .option("--limit <count>", "calls", "20")
    .action(async (name: string, { limit }: { limit: string }, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const list = await clientOf(options).functions.getExecutions(placeOf(name, options), { limit: Number(limit) });
      printRows(list, ["executed_at", "status", "status_code", "duration_ms", "id", "error"], options);
    });

  functions.command("versions <name>").description("list versions").option("-n, --namespace <name>", "its namespace")
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const list = await clientOf(options).functions.getVersions(placeOf(name, options));
      printRows(list, ["version", "is_live", "is_bundled", "bundle_size", "created_at", "created_by"], options);
    });

  functions.command("rollback <name> <version>").description("make an earlier version live").option(
    "-n, --namespace <name>",
    "its namespace",
  )
    .action(async (name: string, version: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const fn = await clientOf(options).functions.rollback(placeOf(name, options), Number(version));
      say(`${name} is at version ${fn.version}`);
    });

  functions.command("sync [folder]").description("deploy every function of a folder").option(
    "-n, --namespace <name>",
    "default without",
  )
    .option("--delete-missing", "delete what is not in it").option("--dry-run", "say what would happen")
    .action(
      async (
        folder: string | undefined,
        { deleteMissing = false, dryRun = false }: { deleteMissing?: boolean; dryRun?: boolean },
        command: Command,
      ) => {
        const options = command.optsWithGlobals<Options>();
        const dir = pathOf(folder ?? "functions");
        const names = readdirSync(dir).filter((name) => !name.startsWith("_") && !name.startsWith("."));
        const list = names.filter((name) => /\.[jt]s$/.test(name) || existsSync(join(dir, name, "index.ts")))
          .map((name) => readSource(join(dir, name))).map(({ name, fields }) => ({ name, ...fields }));
        const answer = await clientOf(options).admin.functions.sync({
          functions: list,
          delete_missing: deleteMissing,
          dry_run: dryRun,
          ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
        });
        if (options.output === "json") print(JSON.stringify(answer, null, 2));
        else say(answer.message);
        for (const { name, error } of answer.errors) say(`${name}: ${error}`);
        if (answer.errors.length > 0) process.exitCode = 1;
      },
    );

  functions.command("reload").description("make the server read its functions folder").option(
    "--dry-run",
    "say what would happen",
  )
    .action(async ({ dryRun = false }: { dryRun?: boolean }, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const answer = await clientOf(options).admin.functions.reload({ dry_run: dryRun });
      if (options.output === "json") print(JSON.stringify(answer, null, 2));
      else say(answer.message);
      if (answer.errors.length > 0) process.exitCode = 1;
    });
}

/** A file, or a folder whose entry is `index.ts`. */
function readSource(path: string): { name: string; fields: { code?: string; files?: Record<string, string> } } {
  if (!existsSync(path)) throw new UsageError(`${path} is not there`);
  const name = basename(path).replace(/\.\w+$/, "");
  if (!statSync(path).isDirectory()) return { name, fields: { code: readFileSync(path, "utf8") } };
  const files: Record<string, string> = {};
  const read = (dir: string) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const full = join(dir, entry.name);
      if (entry.isDirectory() && entry.name !== "node_modules" && !entry.name.startsWith(".")) read(full);
      else if (entry.isFile() && SOURCE.test(entry.name)) files[relative(path, full)] = readFileSync(full, "utf8");
    }
  };
  read(path);
  if (files["index.ts"] === undefined && files["index.js"] === undefined) {
    throw new UsageError(`${path} has no index.ts`);
  }
  return { name, fields: { files } };
}

/**
 * Reads the functions of a Supabase project, as its command line lays them out.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { ENDINGS, isFunctionFolder, isSourceFile } from "@fluxbase/contract";
import { parse as parseJsonc } from "jsonc-parser";
import { parse as parseToml } from "smol-toml";
import { UsageError } from "../connection.ts";
import {
  annotate,
  changesFor,
  contentOf,
  type ImportPlan,
  isFile,
  makeIndex,
  readTree,
  shapeOfCode,
  slashes,
  takeAlong,
} from "./project.ts";

interface Configured {
  readonly verify_jwt?: unknown;
  readonly enabled?: unknown;
  readonly import_map?: unknown;
  readonly entrypoint?: unknown;
  readonly static_files?: unknown;
}

/** Files of the functions folder itself that count for all functions. */
const FOLDER_FILES = ["deno.json", "deno.jsonc", "import_map.json", "package.json", ".env"];
const SCRIPT = /\.[cm]?[jt]sx?$/;

/** @param project the folder with `supabase/` in it, or that folder @throws {UsageError} */
export function planSupabase(project: string): ImportPlan {
  const home = [join(project, "supabase"), project].find((dir) => existsSync(join(dir, "functions")));
  if (home === undefined) throw new UsageError(`${project} has no supabase/functions`);
  const functionsDir = join(home, "functions");
  const root = home === project ? dirname(resolve(project)) : resolve(project);
  const config = readConfig(join(home, "config.toml"));
  const plan: ImportPlan = { files: new Map(), functions: [], notes: [] };
  const origins = new Map<string, string>();
  const add = (path: string, from: string) => {
    plan.files.set(path, contentOf(from));
    origins.set(path, from);
  };

  const found: { name: string; entry: string; annotations: string[]; shape: string; changes: string[] }[] = [];
  const names = new Set<string>(Object.keys(config));
  for (const entry of readdirSync(functionsDir, { withFileTypes: true })) {
    const path = join(functionsDir, entry.name);
    if (entry.isFile() && (FOLDER_FILES.includes(entry.name) || isSourceFile(entry.name))) add(entry.name, path);
    if (!entry.isDirectory()) continue;
    const hasIndex = ENDINGS.some((ending) => existsSync(join(path, `index${ending}`)));
    if (isFunctionFolder(entry.name) && hasIndex) names.add(entry.name);
    else if (!entry.name.startsWith(".") && entry.name !== "node_modules" && config[entry.name] === undefined) {
      for (const file of readTree(path).keys()) add(`${entry.name}/${file}`, join(path, file));
    }
  }

  for (const name of [...names].sort()) {
    const settings = config[name] ?? {};
    const entrypoint = typeof settings.entrypoint === "string" ? resolve(home, settings.entrypoint) : undefined;
    const dir = join(functionsDir, name);
    const changes: string[] = [];
    if (existsSync(dir)) {
      const left: string[] = [];
      for (const file of readTree(dir, (path) => left.push(path)).keys()) add(`${name}/${file}`, join(dir, file));
      const dropped = left.filter((path) => !/^\.|\/\.|\.lock$/.test(path));
      if (dropped.length > 0) changes.push(`files that are no text were left out: ${dropped.slice(0, 5).join(", ")}`);
    }
    const index = ENDINGS.map((ending) => join(dir, `index${ending}`)).find((path) => existsSync(path));
    const entry = entrypoint ?? index;
    if (entry === undefined || !isFile(entry)) {
      plan.functions.push({
        function: name,
        shape: "none found",
        runs: "no",
        changes: [`there is no ${entrypoint === undefined ? "index.ts" : slashes(relative(home, entrypoint))}`],
      });
      continue;
    }
    const inFolder = slashes(relative(dir, entry));
    if (inFolder.startsWith("../")) {
      // An entry elsewhere, which several functions may share.
      const place = `${name}/index.ts`;
      plan.files.set(place, readFileSync(entry, "utf8"));
      origins.set(place, entry);
    }
    takeImportMap(plan, { name, home, functionsDir, map: settings.import_map });
    const closed = takeStaticFiles(settings.static_files, { home, dir });
    if (closed.length > 0) changes.push(`static files outside its folder or of no text: ${closed.join(", ")}`);
    const annotations: string[] = [];
    if (settings.verify_jwt === false) annotations.push("auth none");
    const shape = shapeOfCode(readFileSync(entry, "utf8"));
    if (settings.enabled === false) changes.push(`it was disabled: "fluxbase functions set ${name} --enabled false"`);
    found.push({ name, entry: inFolder.startsWith("../") ? "index.ts" : inFolder, annotations, shape, changes });
  }
  takeAlong(plan, origins, {
    root,
    inside: (path) => {
      const place = slashes(relative(functionsDir, path));
      return place.startsWith("../") ? undefined : place;
    },
  });
  for (const { name, entry, annotations, shape, changes } of found) {
    makeIndex(plan, name, entry);
    annotate(plan, name, annotations);
    const codes = codesOf(plan, name);
    const all = [...changes, ...changesFor(codes)];
    plan.functions.push({ function: name, shape, runs: all.length === 0 ? "as it is" : "after changes", changes: all });
  }
  noteWhatStays(plan, home);
  return plan;
}

function readConfig(path: string): Readonly<Record<string, Configured>> {
  if (!existsSync(path)) return {};
  try {
    const { functions } = parseToml(readFileSync(path, "utf8"));
    return (functions ?? {}) as Record<string, Configured>;
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${error instanceof Error ? error.message : error}`);
  }
}

/** One that is not the folder's own becomes the function's. */
function takeImportMap(
  plan: ImportPlan,
  { name, home, functionsDir, map }: { name: string; home: string; functionsDir: string; map: unknown },
): void {
  if (typeof map !== "string") return;
  const path = resolve(home, map);
  const dir = join(functionsDir, name);
  const hasOwn = ["deno.json", "deno.jsonc", "import_map.json"].some((one) => plan.files.has(`${name}/${one}`));
  if (
    !isFile(path) || hasOwn ||
    (dirname(path) === functionsDir && FOLDER_FILES.includes(slashes(relative(functionsDir, path))))
  ) return;
  const { imports = {} } = parseJsonc(readFileSync(path, "utf8"), [], { allowTrailingComma: true }) ?? {};
  const rebased = Object.entries(imports as Record<string, string>).map(([from, to]) => {
    if (!/^\.{1,2}\//.test(to)) return [from, to];
    const moved = slashes(relative(dir, resolve(dirname(path), to)));
    return [from, `${moved.startsWith(".") ? moved : `./${moved}`}${to.endsWith("/") ? "/" : ""}`];
  });
  plan.files.set(`${name}/deno.json`, `${JSON.stringify({ imports: Object.fromEntries(rebased) }, null, 2)}\n`);
}

/** Those that do not come along by themselves. */
function takeStaticFiles(patterns: unknown, { home, dir }: { home: string; dir: string }): string[] {
  if (!Array.isArray(patterns)) return [];
  return patterns.map(String).filter((pattern) => {
    const path = resolve(home, pattern);
    return !path.startsWith(`${dir}/`) || !(isSourceFile(path.slice(path.lastIndexOf("/") + 1).replace("*", "x")));
  });
}

function codesOf({ files }: ImportPlan, name: string): string[] {
  return [...files].flatMap(([path, content]) =>
    path.startsWith(`${name}/`) && SCRIPT.test(path) && typeof content === "string" ? [content] : []
  );
}

function noteWhatStays({ notes, files }: ImportPlan, home: string): void {
  if (files.has(".env")) notes.push(".env of the folder counts for all its functions, as it did");
  const migrations = join(home, "migrations");
  if (!existsSync(migrations)) return;
  notes.push('migrations stay where they are: run them on the users\' database ("fluxbase db" says where it is)');
  const usesCron = readdirSync(migrations).some((name) =>
    name.endsWith(".sql") && /cron\.schedule/i.test(readFileSync(join(migrations, name), "utf8"))
  );
  if (usesCron) {
    notes.push(
      "a migration uses cron.schedule, which is not there: give the function a schedule (// @fluxbase:schedule, or fluxbase schedules add)",
    );
  }
}

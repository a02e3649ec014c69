/**
 * Checks that imports point down. Folders of the server stand on lines: each may import only lines below its own, and
 * folders on one line are strangers. Packages may import only the packages named here. No cycles, of types neither.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type Import, importsOf } from "./module_imports.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Top line first; names are below `packages/server/src/`, the last line is beside it. */
const LINES: readonly (readonly string[])[] = [
  ["main.ts", "maintenance.ts"],
  ["platform.ts", "supervisor.ts"],
  ["platform"],
  ["config", "gateway", "api", "dashboard", "docs", "files", "hooks", "alerts"],
  ["tasks"],
  ["invoke", "deploy", "language"],
  [
    "audit",
    "auth",
    "backup",
    "bundler",
    "catalog",
    "executions",
    "nodes",
    "ratelimit",
    "sandbox",
    "schedules",
    "secrets",
    "tables",
    "telemetry",
    "webhooks",
  ],
  ["processes"],
  ["storage"],
  ["core"],
  ["sandbox_runtime"],
];

/** What each package may import of the others. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  sdk: ["contract"],
  cli: ["sdk", "contract"],
  dashboard: ["sdk", "contract"],
  server: ["contract"],
};

const files = sourceFiles(join(ROOT, "packages"));
const imports = files.flatMap(importsOf);
const problems = [...imports.flatMap(checkImport), ...findCycles(imports)];
for (const problem of problems) Deno.stderr.writeSync(new TextEncoder().encode(`${problem}\n`));
Deno.exit(problems.length === 0 ? 0 : 1);

function sourceFiles(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) => {
    const path = join(dir, name);
    if (isDirectory) return name === "node_modules" || name === "test" ? [] : sourceFiles(path);
    return /\.tsx?$/.test(name) && !/_test\.tsx?$/.test(name) ? [path] : [];
  });
}

function checkImport({ from, specifier }: Import): string[] {
  const place = relative(ROOT, from);
  const ownPackage = place.split("/")[1] ?? "";
  const other = /^@fluxbase\/([a-z]+)/.exec(specifier)?.[1];
  if (other !== undefined && !(PACKAGES[ownPackage] ?? []).includes(other)) {
    return [`${place}: package ${ownPackage} may not import ${specifier}`];
  }
  if (!specifier.startsWith(".")) return [];
  const target = relative(ROOT, join(dirname(from), specifier));
  if (!target.startsWith(`packages/${ownPackage}/`)) return [`${place}: reaches out of its package to ${target}`];
  if (ownPackage !== "server") return [];
  const [ownFolder, targetFolder] = [folderOf(place), folderOf(target)];
  if (ownFolder === targetFolder) return [];
  const [ownLine, targetLine] = [lineOf(ownFolder), lineOf(targetFolder)];
  if (ownLine < 0) return [`${place}: folder ${ownFolder} stands on no line; name it in tools/check_layers.ts`];
  if (ownLine < targetLine) return [];
  const why = ownLine === targetLine ? "they are strangers on one line" : "imports point down";
  return [`${place}: ${ownFolder} may not import ${targetFolder} (${target}): ${why}`];
}

function folderOf(path: string): string {
  const parts = path.split("/");
  return (parts[2] === "src" ? parts[3] : parts[2]) ?? "";
}

function lineOf(folder: string): number {
  return LINES.findIndex((names) => names.includes(folder));
}

/** Those of types vanish before the program runs, but two modules that need each other are one in two files. */
function findCycles(all: readonly Import[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, specifier } of all) {
    if (!specifier.startsWith(".")) continue;
    targets.set(from, [...targets.get(from) ?? [], join(dirname(from), specifier)]);
  }
  const done = new Set<string>();
  const found: string[] = [];

  function visit(file: string, path: readonly string[]): void {
    const start = path.indexOf(file);
    if (start >= 0) {
      found.push(`cycle: ${[...path.slice(start), file].map((one) => relative(ROOT, one)).join(" -> ")}`);
      return;
    }
    if (done.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  }
  for (const file of targets.keys()) visit(file, []);
  return found;
}

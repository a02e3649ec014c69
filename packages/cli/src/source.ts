/**
 * Functions and shared modules as they lie in folders, read for sending.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import {
  BESIDE_MAX_COUNT,
  BESIDE_PREFIX,
  ENDINGS,
  isFunctionFolder,
  isNoSource,
  isSourceFile,
  isSourceFolder,
  namedBeside,
} from "@fluxbase/contract";
import { parse } from "jsonc-parser";
import { UsageError } from "./connection.ts";

export interface FunctionSource {
  readonly name: string;
  readonly fields: { readonly code?: string; readonly files?: Readonly<Record<string, string>> };
}

const SHARED = "_shared";

/** A file, or a folder whose entry is `index.ts`. @throws {UsageError} */
export function readFunction(path: string): FunctionSource {
  if (!existsSync(path)) throw new UsageError(`Cannot find ${path}`);
  const name = basename(path).replace(/\.\w+$/, "");
  if (!statSync(path).isDirectory()) return { name, fields: { code: readFileSync(path, "utf8") } };
  if (!hasEntry(path)) throw new UsageError(`Cannot deploy ${path}: it has no index.ts`);
  return { name, fields: { files: withBeside(path, readFiles(path)) } };
}

/** With the files beside the folder that they import, as the server has it for its own folder. */
function withBeside(path: string, own: Record<string, string>): Record<string, string> {
  const [root, folder] = [dirname(resolve(path)), basename(resolve(path))];
  const files = { ...own };
  const tried = new Set<string>();
  const mapped = { ...mappedIn(root, root), ...mappedIn(path, root) };
  for (let isMore = true; isMore;) {
    isMore = false;
    for (const beside of namedBeside(files, folder, mapped)) {
      if (tried.has(beside) || tried.size >= BESIDE_MAX_COUNT) continue;
      tried.add(beside);
      const full = join(root, beside.slice(BESIDE_PREFIX.length));
      if (!existsSync(full) || !statSync(full).isFile()) continue;
      files[beside] = readFileSync(full, full.endsWith(".wasm") ? "base64" : "utf8");
      isMore = true;
    }
  }
  return files;
}

/** Names of the import map in `dir` that lead to files, by where they lead: from `root`. */
function mappedIn(dir: string, root: string): Record<string, string> {
  const file = ["deno.json", "deno.jsonc", "import_map.json"].map((name) => join(dir, name)).find((one) =>
    existsSync(one)
  );
  if (file === undefined) return {};
  const imports: unknown = parse(readFileSync(file, "utf8"), [], { allowTrailingComma: true })?.imports;
  if (typeof imports !== "object" || imports === null) return {};
  return Object.fromEntries(
    Object.entries(imports).flatMap(([name, to]) =>
      /^\.{1,2}\//.test(String(to)) ? [[name, relative(root, resolve(dir, String(to))).replaceAll("\\", "/")]] : []
    ),
  );
}

/** Every function of a folder, by the rules that the server has for its own. @throws {UsageError} */
export function readFunctions(dir: string): FunctionSource[] {
  if (!existsSync(dir)) throw new UsageError(`Cannot find ${dir}`);
  const found = new Map<string, string>();
  const entries = readdirSync(dir, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !isNoSource(entry.name)).map(({ name }) => name);
  for (const ending of ENDINGS) {
    for (const file of files) {
      const name = file.slice(0, -ending.length);
      if (file.endsWith(ending) && name !== "" && !found.has(name)) found.set(name, join(dir, file));
    }
  }
  for (const { name } of entries.filter((entry) => entry.isDirectory() && isFunctionFolder(entry.name))) {
    if (!found.has(name) && hasEntry(join(dir, name))) found.set(name, join(dir, name));
  }
  return [...found].sort(([a], [b]) => a < b ? -1 : 1).map(([, path]) => readFunction(path));
}

/** Shared modules beside the functions, by their paths. */
export function readSharedModules(dir: string): Readonly<Record<string, string>> {
  const shared = join(dir, SHARED);
  if (!existsSync(shared)) return {};
  return Object.fromEntries(Object.entries(readFiles(shared)).map(([path, text]) => [`${SHARED}/${path}`, text]));
}

function hasEntry(dir: string): boolean {
  return ENDINGS.some((ending) => existsSync(join(dir, `index${ending}`)));
}

function readFiles(root: string): Record<string, string> {
  const files: Record<string, string> = {};
  const read = (dir: string) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory() && isSourceFolder(entry.name)) read(path);
      if (!entry.isFile() || !isSourceFile(entry.name)) continue;
      // What is no text travels as base64.
      const encoding = entry.name.endsWith(".wasm") ? "base64" : "utf8";
      files[relative(root, path).replaceAll("\\", "/")] = readFileSync(path, encoding);
    }
  };
  read(root);
  return files;
}

/**
 * Reads a folder of functions: `name.ts`, `name/index.ts` with the files beside it, `_shared/`, `deno.json`.
 *
 * Owns: which files make a function, and what is wrong with the others.
 * Does not own: what becomes of them (./load.ts).
 *
 * @module
 */
import { join } from "node:path";
import { parseEnv } from "node:util";
import {
  DEPTH_MAX,
  ENDINGS,
  functionNameProblem,
  isFunctionFolder,
  isNoSource,
  isSourceFile,
  isSourceFolder,
  modulePathProblem,
  type SyncFailure,
} from "@fluxbase/contract";
import { parseDenoJson } from "../deploy/deno_json.ts";

export interface FunctionOnDisk {
  readonly name: string;
  /** By path from the function's folder, the entry among them; those whose name ends in `.wasm` are base64. */
  readonly files: Readonly<Record<string, string>>;
  /** Of its own `.env`; undefined without one. */
  readonly env: Readonly<Record<string, string>> | undefined;
}

export interface Scan {
  readonly functions: readonly FunctionOnDisk[];
  /** Content by path, which begins with `_shared/`. */
  readonly modules: Readonly<Record<string, string>>;
  readonly denoJson: string | null;
  readonly errors: readonly SyncFailure[];
  readonly warnings: readonly string[];
}

const FILE_MAX_BYTES = 10 * 1024 * 1024;
/** The first that is there counts. */
const DENO_JSON_NAMES = ["deno.json", "deno.jsonc", "import_map.json"];

export async function scanFunctionsDir(dir: string): Promise<Scan> {
  const root = await Deno.realPath(dir);
  const scan = new Scanner(root);
  const entries = await scan.list("");
  const flat = new Map<string, string>();
  for (const ending of ENDINGS) {
    for (const { name: file, isDirectory } of entries) {
      if (isDirectory || !file.endsWith(ending) || isNoSource(file)) continue;
      const name = file.slice(0, -ending.length);
      const other = flat.get(name);
      if (other === undefined) flat.set(name, file);
      else scan.warnings.push(`${file} was left out: ${other} has the same name`);
    }
  }
  for (const [name, file] of [...flat].sort()) {
    await scan.function(name, async () => ({ [file]: await scan.read(file) }), `${name}.env`);
  }
  for (const { name, isDirectory } of entries) {
    if (!isDirectory || !isFunctionFolder(name)) continue;
    const inside = await scan.list(name);
    if (!inside.some(({ name: file }) => ENDINGS.some((ending) => file === `index${ending}`))) {
      if (inside.some(({ name: file }) => isSourceFile(file))) {
        scan.warnings.push(`${name}/ was left out: it has no index.ts`);
      }
      continue;
    }
    if (flat.has(name)) scan.warnings.push(`${name}/ was left out: ${flat.get(name)} has the same name`);
    else await scan.function(name, () => scan.tree(name), `${name}/.env`);
  }
  return {
    functions: scan.functions,
    modules: await scan.modules(),
    denoJson: await scan.denoJson(entries.map(({ name }) => name)),
    errors: scan.errors,
    warnings: scan.warnings,
  };
}

/** Of the source files of one function's folder, from there. */
export async function sourcePaths(dir: string, name: string): Promise<string[]> {
  return await new Scanner(await Deno.realPath(dir)).paths(name);
}

interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
}

class Scanner {
  readonly functions: FunctionOnDisk[] = [];
  readonly errors: SyncFailure[] = [];
  readonly warnings: string[] = [];
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Links count as what they lead to, if that lies in the folder. */
  async list(path: string): Promise<Entry[]> {
    const entries: Entry[] = [];
    for await (const entry of Deno.readDir(join(this.#root, path))) {
      const inside = path === "" ? entry.name : `${path}/${entry.name}`;
      if (!entry.isSymlink) entries.push(entry);
      else if (await this.#staysInside(inside)) {
        const { isDirectory } = await Deno.stat(join(this.#root, inside));
        entries.push({ name: entry.name, isDirectory });
      } else {this.#fail(
          inside,
          `Cannot use ${inside}: it is a link that leads out of the functions folder, or nowhere`,
        );}
    }
    return entries.sort((a, b) => a.name < b.name ? -1 : 1);
  }

  async #staysInside(path: string): Promise<boolean> {
    try {
      return (await Deno.realPath(join(this.#root, path))).startsWith(`${this.#root}/`);
    } catch {
      return false;
    }
  }

  /** @throws {Error} with a sentence */
  async read(path: string): Promise<string> {
    const full = join(this.#root, path);
    const { size, isFile } = await Deno.stat(full);
    if (!isFile) throw new Error(`Cannot use ${path}: it is no file`);
    if (size > FILE_MAX_BYTES) throw new Error(`Cannot use ${path}: it has ${size} bytes`);
    const bytes = await Deno.readFile(full);
    if (path.endsWith(".wasm")) return bytes.toBase64();
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new Error(`Cannot use ${path}: it is not UTF-8 text`);
    }
  }

  async function(name: string, files: () => Promise<Record<string, string>>, envPath: string): Promise<void> {
    const problem = functionNameProblem(name);
    if (problem !== undefined) return this.#fail(name, `Cannot load a function: ${problem}`);
    try {
      this.functions.push({ name, files: await files(), env: await this.#env(envPath) });
    } catch (error) {
      this.#fail(name, error instanceof Error ? error.message : String(error));
    }
  }

  /** Every source file below a function's folder. */
  async tree(folder: string): Promise<Record<string, string>> {
    const files: Record<string, string> = {};
    for (const path of await this.paths(folder)) files[path] = await this.read(`${folder}/${path}`);
    return files;
  }

  async paths(folder: string, below = "", depth = 0): Promise<string[]> {
    const paths: string[] = [];
    for (const { name, isDirectory } of await this.list(`${folder}${below}`)) {
      const path = `${below}/${name}`;
      if (!isDirectory) { if (isSourceFile(name)) paths.push(path.slice(1)); }
      else if (isSourceFolder(name) && depth < DEPTH_MAX) paths.push(...await this.paths(folder, path, depth + 1));
    }
    return paths;
  }

  async modules(below = "_shared", depth = 0): Promise<Record<string, string>> {
    const modules: Record<string, string> = {};
    const entries = await this.list(below).catch(() => []);
    for (const { name, isDirectory } of entries) {
      const path = `${below}/${name}`;
      if (isNoSource(name)) continue;
      if (isDirectory) {
        if (depth < DEPTH_MAX) Object.assign(modules, await this.modules(path, depth + 1));
      } else if (modulePathProblem(path) === undefined) {
        await this.read(path).then((content) => modules[path] = content, (error) => this.#fail(path, error.message));
      } else if (isSourceFile(name)) {
        this.#fail(path, `Cannot load a shared module: ${modulePathProblem(path)}`);
      }
    }
    return modules;
  }

  /** The folder's own, with what it takes from an import map, as plain JSON where it is more than that. */
  async denoJson(names: readonly string[]): Promise<string | null> {
    const name = DENO_JSON_NAMES.find((one) => names.includes(one));
    if (name === undefined) return null;
    try {
      const text = await this.read(name);
      const maps = names.filter((one) => one.endsWith(".json") && one !== name);
      const beside = Object.fromEntries(await Promise.all(maps.map(async (one) => [one, await this.read(one)])));
      const { denoJson, warnings } = parseDenoJson(name, text, beside);
      this.warnings.push(...warnings);
      return isPlain(name, text) ? text : JSON.stringify(denoJson);
    } catch (error) {
      this.#fail(name, error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  async #env(path: string): Promise<Record<string, string> | undefined> {
    try {
      return Object.fromEntries(
        Object.entries(parseEnv(await this.read(path))).map(([name, value]) => [name, value ?? ""]),
      );
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  #fail(name: string, error: string): void {
    this.errors.push({ function: name, name, error, action: "check", problems: [] });
  }
}

/** Whether it stands for itself, read as JSON. */
function isPlain(name: string, text: string): boolean {
  try {
    return name === "deno.json" && !("importMap" in JSON.parse(text));
  } catch {
    return false;
  }
}

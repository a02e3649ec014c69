/**
 * Reads a folder of functions: `name.ts`, `name/index.ts` with the files beside it, `_shared/`, `deno.json`.
 *
 * Owns: which files make a function, and what is wrong with the others.
 * Does not own: what becomes of them (./load.ts).
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import { parseEnv } from "node:util";
import {
  BESIDE_MAX_COUNT,
  BESIDE_PREFIX,
  DEPTH_MAX,
  ENDINGS,
  functionNameProblem,
  isFunctionFolder,
  isNoSource,
  isSourceFile,
  isSourceFolder,
  modulePathProblem,
  namedBeside,
  type SyncFailure,
} from "@fluxbase/contract";
import {
  joinDenoJson,
  mappedPaths,
  ownDenoJson,
  PACKAGE_JSON,
  parseDenoJson,
  parsePackageJson,
} from "../deploy/deno_json.ts";
import { type ConfiguredFunction, readConfigToml } from "./config_toml.ts";

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
  /** Of the folder's own `.env`, for all functions. */
  readonly env: Readonly<Record<string, string>> | undefined;
  /** By function, what `config.toml` says of it. */
  readonly settings: Readonly<Record<string, ConfiguredFunction>>;
  readonly errors: readonly SyncFailure[];
  readonly warnings: readonly string[];
}

const FILE_MAX_BYTES = 10 * 1024 * 1024;
/** What every form of a handler has in its text. */
const MAY_HANDLE =
  /\b(export\s+default|exports|serve|handler|main|fetch|listen|addEventListener|GET|POST|PUT|PATCH|DELETE)\b/;
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
        scan.withoutEntry.add(name);
      }
      continue;
    }
    if (flat.has(name)) scan.warnings.push(`${name}/ was left out: ${flat.get(name)} has the same name`);
    else await scan.function(name, () => scan.tree(name), `${name}/.env`);
  }
  const denoJson = await scan.denoJson(entries.map(({ name }) => name));
  await scan.addBeside(denoJson);
  return {
    functions: scan.functions,
    modules: await scan.modules(),
    denoJson,
    env: await scan.folderEnv(),
    settings: await scan.configToml(),
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
  functions: FunctionOnDisk[] = [];
  /** Folders that hold source and are no function. */
  readonly withoutEntry = new Set<string>();
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
    const hasPackages = names.includes(PACKAGE_JSON);
    if (name === undefined && !hasPackages) return null;
    let read = name ?? PACKAGE_JSON;
    try {
      const maps = names.filter((one) => one.endsWith(".json") && one !== name);
      const beside = Object.fromEntries(await Promise.all(maps.map(async (one) => [one, await this.read(one)])));
      const text = name === undefined ? "{}" : await this.read(name);
      const own = parseDenoJson(name ?? "deno.json", text, beside);
      read = PACKAGE_JSON;
      const packages = hasPackages ? parsePackageJson(beside[PACKAGE_JSON] ?? "{}") : undefined;
      this.warnings.push(...own.warnings, ...packages?.warnings ?? []);
      if (packages !== undefined) return JSON.stringify(joinDenoJson(packages.denoJson, own.denoJson));
      return name !== undefined && isPlain(name, text) ? text : JSON.stringify(own.denoJson);
    } catch (error) {
      this.#fail(read, error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  /** To the files of each function those beside its folder that it imports, and that these import. */
  async addBeside(denoJson: string | null): Promise<void> {
    const folder = denoJson === null ? {} : parseDenoJson("deno.json", denoJson).denoJson;
    /** By path, who does. */
    const imported = new Map<string, string>();
    const added = this.functions.map(async (fn) => {
      const isFolder = !Object.keys(fn.files).some((file) => ENDINGS.some((ending) => file === `${fn.name}${ending}`));
      // A file has no folder of its own, and nothing beside that.
      if (!isFolder) return fn;
      const mapped = mappedPaths(joinDenoJson(folder, ownDenoJson(fn.files).denoJson));
      const files: Record<string, string> = { ...fn.files };
      const tried = new Set<string>();
      for (let isMore = true; isMore;) {
        isMore = false;
        for (const path of namedBeside(files, fn.name, mapped)) {
          if (tried.has(path) || tried.size >= BESIDE_MAX_COUNT) continue;
          tried.add(path);
          const text = await this.#beside(path.slice(BESIDE_PREFIX.length), fn);
          if (text === undefined) continue;
          files[path] = text;
          imported.set(path.slice(BESIDE_PREFIX.length), fn.name);
          isMore = true;
        }
      }
      return { ...fn, files };
    });
    const functions = await Promise.all(added);
    for (const name of this.withoutEntry) {
      const isImported = [...imported.keys()].some((path) => path.startsWith(`${name}/`));
      if (!isImported) this.warnings.push(`${name}/ was left out: it has no index.ts`);
    }
    this.functions = functions.filter(({ files }) => {
      const [[path = "", text = ""] = [], ...more] = Object.entries(files);
      const isHelper = more.length === 0 && imported.has(path) && !MAY_HANDLE.test(text);
      if (isHelper) {
        this.warnings.push(`${path} is no function: it has no handler, and ${imported.get(path)} imports it`);
      }
      return !isHelper;
    });
  }

  /**
   * Undefined for what is not there, and for what is of another namespace: who may save functions of one reads no
   * source of another through the folder.
   */
  async #beside(path: string, fn: FunctionOnDisk): Promise<string | undefined> {
    const top = path.split("/", 1)[0] ?? "";
    const other = this.functions.find(({ name, files }) => name === top || (top === path && Object.hasOwn(files, top)));
    const mayNameNamespace = ({ files }: FunctionOnDisk) =>
      Object.values(files).some((text) => text.includes("@fluxbase:namespace"));
    if (other !== undefined && [fn, other].some(mayNameNamespace)) return undefined;
    if (!await this.#staysInside(path)) return undefined;
    return await this.read(path).catch((error) => {
      this.warnings.push(`${fn.name}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    });
  }

  async folderEnv(): Promise<Record<string, string> | undefined> {
    try {
      return await this.#env(".env");
    } catch (error) {
      this.#fail(".env", error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  /** Supabase's projects have it beside the functions folder. */
  async configToml(): Promise<Readonly<Record<string, ConfiguredFunction>>> {
    if (basename(this.#root) !== "functions") return {};
    try {
      const text = await Deno.readTextFile(join(dirname(this.#root), "config.toml"));
      const { functions, warnings } = readConfigToml(text);
      this.warnings.push(...warnings);
      return functions;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        this.warnings.push(`config.toml was left out: ${error instanceof Error ? error.message : String(error)}`);
      }
      return {};
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

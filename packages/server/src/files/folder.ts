/**
 * Keeps the functions folder in step with what is saved over HTTP.
 *
 * Owns: the order of savings and loads about one name, which files a save writes, and what becomes of files that are no
 * source any more: they go to `.deleted/` of the folder, so that nobody's source is lost. Files appear whole or not at
 * all.
 * Does not own: what becomes of files that people change (./load.ts).
 *
 * A file decides by itself in which namespace its function is (`@fluxbase:namespace`). So a function is written only if
 * its file would load into its own namespace, and only files are touched that belong to that namespace: a key that is
 * limited to one namespace gets at no other through the folder.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { DEFAULT_NAMESPACE, ENDINGS, shapeOf } from "@fluxbase/contract";
import type { Log } from "../core/log.ts";
import { createKeyedMutex } from "../core/keyed_mutex.ts";
import type { Deployer, SaveFunction } from "../deploy/deploy.ts";
import type { FunctionPlace, SaveModule } from "../deploy/shared_modules.ts";
import type { Database } from "../storage/db.ts";
import { findFunction, type FunctionWithVersion } from "../storage/functions.ts";
import { findModule } from "../storage/shared_modules.ts";
import { sourcePaths } from "./functions_dir.ts";

export interface FunctionsFolder {
  /** Does what saves or deletes a function, and then writes it to the folder, or away from it. */
  readonly savingFunction: SaveFunction;
  readonly savingModule: SaveModule;
  /** For what was read from the folder at `momentOf()`: undefined, and not done, if it has been saved since. */
  loading<Result>(name: string, readAt: number, load: () => Promise<Result>): Promise<Result | undefined>;
  moment(): number;
}

export interface FolderParts {
  readonly dir: string;
  readonly db: Database["db"];
  readonly deployer: Deployer;
  readonly log: Log;
}

const DELETED_FOLDER = ".deleted";

/** Where a function of some name lies. */
interface Place {
  readonly path: string;
  readonly shape: "file" | "folder";
  /** Undefined where it cannot be read. */
  readonly namespace: string | undefined;
}

export function createFunctionsFolder({ dir, db, deployer, log }: FolderParts): FunctionsFolder {
  const mutex = createKeyedMutex();
  const savedAt = new Map<string, number>();
  let savesCount = 0;

  function saving<Result>(name: string, save: () => Promise<Result>, keep: () => Promise<void>): Promise<Result> {
    return mutex.run(name, async () => {
      savedAt.set(name, savesCount += 1);
      const result = await save();
      try {
        await keep();
      } catch (error) {
        log.warn("Cannot write to the functions folder; the database has what was saved", { what: name, dir, error });
      }
      return result;
    });
  }

  async function keepFunction({ namespace, name }: FunctionPlace): Promise<void> {
    const places = await placesOf(name);
    const mine = places.filter((place) => place.namespace === namespace);
    const saved = await findFunction(db, namespace, name);
    const shape = saved && shapeInFolder(saved);
    if (saved === undefined || shape === undefined || mine.length < places.length) {
      if (saved !== undefined) {
        log.warn("A function is kept in the database alone: the functions folder cannot hold it", { namespace, name });
      }
      for (const { path } of mine) await putAside(path);
      if (saved === undefined && mine.length > 0) await putAside(`${name}.env`);
      return;
    }
    const { files, entry, paths } = saved.version;
    for (const [path, text] of Object.entries(files)) await write(shape === "folder" ? `${name}/${path}` : path, text);
    // Other shapes that the function had before would win over this one, or come back; files that are gone, too.
    const kept = shape === "folder" ? name : entry;
    for (const { path } of mine) if (path !== kept) await putAside(path);
    if (shape === "file") return;
    for (const path of await sourcePaths(dir, name)) if (!paths.includes(path)) await putAside(`${name}/${path}`);
  }

  async function placesOf(name: string): Promise<Place[]> {
    const places: Place[] = [];
    for (const ending of ENDINGS) await add(`${name}${ending}`, `${name}${ending}`, "file");
    const index = ENDINGS.map((ending) => `index${ending}`);
    const found = (await Promise.all(index.map((entry) => exists(`${name}/${entry}`)))).indexOf(true);
    if (found >= 0) await add(name, `${name}/${index[found]}`, "folder");
    return places;

    async function add(path: string, entry: string, shape: Place["shape"]): Promise<void> {
      if (await exists(entry)) places.push({ path, shape, namespace: await namespaceOfFile(name, entry) });
    }
  }

  /** As the loader would see it. */
  async function namespaceOfFile(name: string, entry: string): Promise<string | undefined> {
    try {
      const code = await Deno.readTextFile(join(dir, entry));
      return await deployer.namespaceOf({ name, files: { [entry.slice(entry.lastIndexOf("/") + 1)]: code } });
    } catch {
      return undefined;
    }
  }

  async function exists(path: string): Promise<boolean> {
    return await Deno.lstat(join(dir, path)).then(() => true, () => false);
  }

  async function write(path: string, text: string): Promise<void> {
    const full = join(dir, path);
    const bytes = path.endsWith(".wasm") ? Uint8Array.fromBase64(text) : new TextEncoder().encode(text);
    await assertNoLinks(path);
    // A file that is the same stays untouched, so that nobody who watches the folder is woken.
    const before = await Deno.readFile(full).catch(() => undefined);
    if (before?.length === bytes.length && before.every((byte, index) => byte === bytes[index])) return;
    await Deno.mkdir(dirname(full), { recursive: true });
    const half = join(dirname(full), `.${crypto.randomUUID()}.tmp`);
    await Deno.writeFile(half, bytes);
    await Deno.rename(half, full);
  }

  async function putAside(path: string): Promise<void> {
    const time = new Date().toISOString().replaceAll(":", "-");
    const place = join(dir, DELETED_FOLDER, `${time}-${path.replaceAll("/", "-")}`);
    await assertNoLinks(path);
    try {
      await Deno.mkdir(dirname(place), { recursive: true });
      await Deno.rename(join(dir, path), place);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** A link on the way may lead anywhere; one at the end is itself replaced or moved. */
  async function assertNoLinks(path: string): Promise<void> {
    for (let parent = dirname(path); parent !== "."; parent = dirname(parent)) {
      const { isSymlink } = await Deno.lstat(join(dir, parent)).catch(() => ({ isSymlink: false }));
      if (isSymlink) throw new Error(`Cannot change ${path}: ${parent} is a link`);
    }
  }

  return {
    savingFunction: (place, save) => saving(place.name, save, () => keepFunction(place)),
    savingModule: ({ namespace, modulePath }, save) =>
      saving(modulePath, save, async () => {
        if (namespace !== DEFAULT_NAMESPACE) return;
        const saved = await findModule(db, namespace, modulePath);
        if (saved === undefined) await putAside(modulePath);
        else await write(modulePath, saved.content);
      }),
    loading: (name, readAt, load) =>
      mutex.run(name, async () => (savedAt.get(name) ?? 0) > readAt ? undefined : await load()),
    moment: () => savesCount,
  };
}

/** Undefined where its files would not be read back as this function. */
export function shapeInFolder({ function: { namespace, name }, version }: FunctionWithVersion) {
  const loadsInto = version.annotations["namespace"] ?? DEFAULT_NAMESPACE;
  return loadsInto === namespace ? shapeOf(name, version) : undefined;
}

/**
 * Writes what is saved over HTTP to the functions folder too, so that folder and database stay the same.
 *
 * Files appear whole or not at all. What is deleted goes to `.deleted/` of the folder: nobody's source is lost.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { DEFAULT_NAMESPACE } from "@fluxbase/contract";
import type { Log } from "../core/log.ts";
import type { FunctionWithVersion } from "../storage/functions.ts";

export interface WriteBack {
  /** Null: deleted. */
  function(place: { namespace: string; name: string }, saved: FunctionWithVersion | null): Promise<void>;
  module(module: { namespace: string; modulePath: string }, content: string | null): Promise<void>;
}

const DELETED_FOLDER = ".deleted";
const ENDINGS = [".ts", ".js", ".tsx", ".jsx"];

export function createWriteBack({ dir, log }: { readonly dir: string; readonly log: Log }): WriteBack {
  async function write(path: string, text: string): Promise<void> {
    const full = join(dir, path);
    const bytes = path.endsWith(".wasm") ? Uint8Array.fromBase64(text) : new TextEncoder().encode(text);
    // A file that is the same stays untouched, so that nobody who watches the folder is woken.
    const before = await Deno.readFile(full).catch(() => undefined);
    if (
      before !== undefined && before.length === bytes.length && before.every((byte, index) => byte === bytes[index])
    ) {
      return;
    }
    await Deno.mkdir(dirname(full), { recursive: true });
    if (!`${await Deno.realPath(dirname(full))}/`.startsWith(`${await Deno.realPath(dir)}/`)) {
      throw new Error(`Cannot write ${path}: a link leads out of the folder`);
    }
    const half = join(dirname(full), `.${crypto.randomUUID()}.tmp`);
    await Deno.writeFile(half, bytes);
    await Deno.rename(half, full);
  }

  async function putAside(path: string): Promise<void> {
    const place = join(
      dir,
      DELETED_FOLDER,
      `${new Date().toISOString().replaceAll(":", "-")}-${path.replaceAll("/", "-")}`,
    );
    try {
      await Deno.mkdir(dirname(place), { recursive: true });
      await Deno.rename(join(dir, path), place);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Where a function lies in the folder now, and whose it is. */
  async function find(name: string): Promise<{ path: string; isFolder: boolean; namespace: string } | undefined> {
    const places = [
      ...ENDINGS.map((ending) => ({ path: `${name}${ending}`, isFolder: false })),
      ...ENDINGS.map((ending) => ({ path: `${name}/index${ending}`, isFolder: true })),
    ];
    for (const place of places) {
      const text = await Deno.readTextFile(join(dir, place.path)).catch(() => undefined);
      if (text === undefined) continue;
      return { ...place, namespace: /@fluxbase:namespace\s+(\S+)/.exec(text)?.[1] ?? DEFAULT_NAMESPACE };
    }
    return undefined;
  }

  async function saveFunction(name: string, { version: { entry, files } }: FunctionWithVersion): Promise<void> {
    const paths = Object.keys(files);
    const isFolder = paths.length > 1 || /^index\.\w+$/.test(entry);
    for (const [path, text] of Object.entries(files)) await write(isFolder ? `${name}/${path}` : path, text);
    // The other shapes that the function had before would win over this one, or come back.
    const others = ENDINGS.map((ending) => `${name}${ending}`).filter((path) => isFolder || path !== entry);
    for (const path of others) await putAside(path);
    if (isFolder) { for (const path of await gone(name, paths)) await putAside(`${name}/${path}`); }
  }

  /** Scripts at the top of a function's folder that are no part of it any more. */
  async function gone(name: string, paths: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for await (const { name: file, isFile } of Deno.readDir(join(dir, name))) {
      if (isFile && ENDINGS.some((ending) => file.endsWith(ending)) && !paths.includes(file)) found.push(file);
    }
    return found;
  }

  async function attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      log.warn("Cannot write to the functions folder; the database has what was saved", { what, dir, error });
    }
  }

  return {
    function: ({ namespace, name }, saved) =>
      attempt(name, async () => {
        const found = await find(name);
        // A file belongs to one namespace, and only those of the default one are made here: who may write to another
        // namespace must not get at the files of this one.
        if (found === undefined ? namespace !== DEFAULT_NAMESPACE : found.namespace !== namespace) return;
        if (saved === null) {
          if (found !== undefined) await putAside(found.isFolder ? name : found.path);
        } else if (!saved.version.isPreBundled) {
          // The folder knows nothing of bundles.
          await saveFunction(name, saved);
        }
      }),
    module: ({ namespace, modulePath }, content) =>
      attempt(modulePath, async () => {
        if (namespace !== DEFAULT_NAMESPACE) return;
        if (content === null) await putAside(modulePath);
        else await write(modulePath, content);
      }),
  };
}

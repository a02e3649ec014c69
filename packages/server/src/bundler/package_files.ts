/**
 * Files of packages that are no code, such as fonts and WebAssembly, which their modules look for beside them.
 *
 * @module
 */
import { join } from "node:path";
import type { StaticFiles } from "./static_files.ts";

/** Code is in the bundle, and what describes a package nobody reads. */
const NO_ASSET =
  /(\.([cm]?[jt]sx?|map|md|markdown|node)|\/(package\.json|LICEN[CS]E[^/]*|README[^/]*|CHANGELOG[^/]*))$/i;
const ENTRIES_MAX_COUNT = 20_000;
const FILE_MAX_BYTES = 20 * 1024 * 1024;

/**
 * Of one package, the files whose names its modules mention.
 *
 * @param dir the folder of the package on this machine
 * @param text of the modules that look for files
 */
export async function packageFiles(dir: string, place: string, text: string): Promise<StaticFiles> {
  const found: Record<string, { readonly base64: string }> = {};
  const waiting = [""];
  let entriesCount = 0;
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    for await (const { name, isDirectory, isFile } of Deno.readDir(join(dir, folder))) {
      entriesCount += 1;
      if (entriesCount > ENTRIES_MAX_COUNT) return found;
      const path = `${folder}${name}`;
      if (isDirectory && name !== "node_modules") waiting.push(`${path}/`);
      if (!isFile || NO_ASSET.test(`/${path}`) || !text.includes(name)) continue;
      const { size } = await Deno.stat(join(dir, path));
      if (size <= FILE_MAX_BYTES) {
        found[`${place}/${path}`] = { base64: (await Deno.readFile(join(dir, path))).toBase64() };
      }
    }
  }
  return found;
}

/**
 * Which files of the functions folder are source, and which functions the folder can hold: one rule for reading and for
 * writing, so that what was written is read back as the same.
 *
 * @module
 */

/** Of a function's entry; the first in this list wins. */
export const ENDINGS = [".ts", ".js", ".tsx", ".jsx"] as const;
/** Folders below a function's own, and below `_shared/`. */
export const DEPTH_MAX = 8;

/** What a function may import of its own files. */
const SOURCE_FILE = /^[A-Za-z0-9_@.-]+\.([cm]?[jt]sx?|jsonc?|txt|md|html|css|sql|graphql|csv|svg|xml|ya?ml|wasm)$/;
const NO_SOURCE = /^\.|\.d\.ts$|[._]test\.[cm]?[jt]sx?$|~$|\.tmp$/;
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set(["node_modules", "_shared"]);

export function isSourceFile(name: string): boolean {
  return SOURCE_FILE.test(name) && !isNoSource(name);
}

/** Tests, declarations, and what editors leave. */
export function isNoSource(name: string): boolean {
  return NO_SOURCE.test(name);
}

/** Of a folder below a function's own. */
export function isSourceFolder(name: string): boolean {
  return !SKIPPED_FOLDERS.has(name) && !name.startsWith(".");
}

/** Of a folder beside the functions. */
export function isFunctionFolder(name: string): boolean {
  return isSourceFolder(name) && !name.startsWith("_");
}

export interface FunctionFiles {
  readonly entry: string;
  /** Of all files, the entry among them. */
  readonly paths: readonly string[];
}

/** Where a function lies: `name.ts`, or the folder `name/` with an `index.ts`; undefined where the folder cannot hold it. */
export function shapeOf(name: string, { entry, paths }: FunctionFiles): "file" | "folder" | undefined {
  const isEntry = (stem: string) => ENDINGS.some((ending) => entry === `${stem}${ending}`);
  if (paths.length === 1 && isEntry(name) && isSourceFile(entry)) return "file";
  const first = ENDINGS.map((ending) => `index${ending}`).find((path) => paths.includes(path));
  return isEntry("index") && entry === first && paths.every(isInFolder) ? "folder" : undefined;
}

function isInFolder(path: string): boolean {
  const folders = path.split("/");
  const file = folders.pop() ?? "";
  return folders.length <= DEPTH_MAX && folders.every(isSourceFolder) && isSourceFile(file);
}

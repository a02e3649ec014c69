/**
 * Files beside a function's folder that it imports, such as `../helpers/embed.ts`: they belong to its version, under a
 * path that begins with `../`. One rule for the server, which reads its functions folder, and the command line.
 *
 * @module
 */
import { isSourceFile, isSourceFolder } from "./source_files.ts";

export const BESIDE_PREFIX = "../";
export const BESIDE_MAX_COUNT = 200;

const SCRIPT = /\.[cm]?[jt]sx?$/;
const QUOTED = /(["'])([^"'\n]+)\1/g;
/** What the build has of its own where these files lie. */
const TAKEN = /^(own|_sdk|_shared)(\/|$)|^(deno|import_map|package|package-lock)\.(jsonc?|lock)$/;

/** Whether `path` may be that of a file beside the function's folder. */
export function isBesidePath(path: string): boolean {
  if (!path.startsWith(BESIDE_PREFIX)) return false;
  const folders = path.slice(BESIDE_PREFIX.length).split("/");
  const file = folders.pop() ?? "";
  return isSourceFile(file) && folders.every(isSourceFolder) && !TAKEN.test(path.slice(BESIDE_PREFIX.length));
}

/** Names of an import map, and the paths that they stand for, from the functions folder. */
export type MappedPaths = Readonly<Record<string, string>>;

/**
 * Files beside the function that its code names, and that `files` does not have yet; not all of them need be there.
 *
 * @param files by path from the function's folder
 * @param mapped for names that lead there, too
 */
export function namedBeside(
  files: Readonly<Record<string, string>>,
  folder: string,
  mapped: MappedPaths = {},
): ReadonlySet<string> {
  const found = new Set<string>();
  for (const [path, code] of Object.entries(files)) {
    if (!SCRIPT.test(path)) continue;
    for (const [, , text = ""] of code.matchAll(QUOTED)) {
      const target = /^\.{1,2}\//.test(text) ? join(dirname(join(folder, path)), text) : throughMap(text, mapped);
      if (target === undefined || target.startsWith(`${folder}/`)) continue;
      const beside = `${BESIDE_PREFIX}${target}`;
      if (isBesidePath(beside) && !Object.hasOwn(files, beside)) found.add(beside);
    }
  }
  return found;
}

function throughMap(text: string, mapped: MappedPaths): string | undefined {
  if (Object.hasOwn(mapped, text)) return mapped[text];
  const prefix = Object.keys(mapped).filter((name) => name.endsWith("/") && text.startsWith(name))
    .sort((a, b) => b.length - a.length)[0];
  return prefix === undefined ? undefined : join(mapped[prefix] ?? "", text.slice(prefix.length));
}

/** Of relative paths; no module of Node, since the types of the SDK come through here. */
function join(...parts: readonly string[]): string {
  const names: string[] = [];
  const path = parts.filter((part) => part !== "").join("/");
  for (const name of path.split("/")) {
    if (name === "" || name === ".") continue;
    if (name === ".." && names.length > 0 && names.at(-1) !== "..") names.pop();
    else names.push(name);
  }
  return `${path.startsWith("/") ? "/" : ""}${names.join("/") || "."}${
    names.length > 0 && path.endsWith("/") ? "/" : ""
  }`;
}

function dirname(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : path.slice(0, Math.max(end, 1));
}

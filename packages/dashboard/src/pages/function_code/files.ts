/**
 * Changes of the files of a function, by the rules that the server has for them.
 *
 * @module
 */
import type { Files } from "../../data/drafts.ts";

const ENTRY = /^index\.[jt]sx?$/;
const PATH = /^(?:[A-Za-z0-9_@-][A-Za-z0-9_@.-]*\/)*[A-Za-z0-9_@-][A-Za-z0-9_@.-]*$/;
const ENDINGS = /\.(?:[cm]?[jt]sx?|jsonc?|txt|md|html|css|sql|graphql|csv|svg|xml|ya?ml)$/;

/** The file that has the handler. A function of one file may call it after itself. */
export function isEntryOf(path: string, files: Files): boolean {
  const paths = Object.keys(files);
  return paths.length === 1 || ENTRY.test(path);
}

export function entryOf(files: Files): string {
  return Object.keys(files).find((path) => isEntryOf(path, files)) ?? Object.keys(files)[0] ?? "";
}

/** Undefined: it may be added. */
export function pathProblem(path: string, files: Files): string | undefined {
  if (!PATH.test(path)) return "Use letters, digits and . _ - between slashes, such as lib/format.ts";
  if (!ENDINGS.test(path)) return "It must end like source or text, such as .ts, .json or .sql";
  if (Object.hasOwn(files, path)) return "There is such a file";
  const isBoth = Object.keys(files).some((other) => other.startsWith(`${path}/`) || path.startsWith(`${other}/`));
  return isBoth ? "It would be a file and a folder" : undefined;
}

/** With a second file, the first one has to be called index. */
export function addFile(files: Files, path: string): Files {
  const [only = "", more] = Object.keys(files);
  if (more !== undefined || ENTRY.test(only) || ENTRY.test(path)) return { ...files, [path]: "" };
  return { [only.replace(/^.*\./, "index.")]: files[only] ?? "", [path]: "" };
}

export function renameFile(files: Files, from: string, to: string): Files {
  const { [from]: text = "", ...others } = files;
  return { ...others, [to]: text };
}

export function removeFile(files: Files, path: string): Files {
  const { [path]: _, ...others } = files;
  return others;
}

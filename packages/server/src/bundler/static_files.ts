/**
 * Files of a function that are no code, put behind its bundle as a comment (../../sandbox_runtime/static_files.ts).
 *
 * @module
 */

const CODE = /\.[cm]?[jt]sx?$/;
/** What configures the build is no file of the function. */
const SETTINGS = new Set(["deno.json", "deno.jsonc", "import_map.json", "package.json", "package-lock.json"]);
/** Who reads a file beside the code asks where the code is, or names the file in a call that reads. */
const ASKS = /import\.meta|\b(readTextFile|readFile)(Sync)?\b/;

/** Text, or bytes as base64, by path from the root of what a function sees. */
export type StaticFiles = Readonly<Record<string, string | { readonly base64: string }>>;

/** Of these, what is no code; none when the code asks for none. */
export function staticFilesOf(files: Readonly<Record<string, string>>): StaticFiles {
  const entries = Object.entries(files);
  if (!entries.some(([path, text]) => CODE.test(path) && ASKS.test(text))) return {};
  return Object.fromEntries(
    entries.filter(([path]) => !CODE.test(path) && !SETTINGS.has(path))
      // What lies beside the function's folder is at the root, too: no URL leads above it.
      .map(([path, text]) => [path.replace(/^\.\.\//, ""), path.endsWith(".wasm") ? { base64: text } : text]),
  );
}

/** Of shared modules, what is no code and is named in the code of a function that asks for files. */
export function sharedFilesOf(shared: Readonly<Record<string, string>>, codes: readonly string[]): StaticFiles {
  if (!codes.some((code) => ASKS.test(code))) return {};
  const isNamed = (path: string) => codes.some((code) => code.includes(path.slice(path.lastIndexOf("/") + 1)));
  return Object.fromEntries(Object.entries(shared).filter(([path]) => !CODE.test(path) && isNamed(path)));
}

/** Empty for no files. */
export function staticFilesComment(files: StaticFiles): string {
  if (Object.keys(files).length === 0) return "";
  return `\n//# fluxbaseFiles=${new TextEncoder().encode(JSON.stringify(files)).toBase64()}\n`;
}

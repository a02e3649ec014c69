/**
 * Files of a function that are no code, put behind its bundle as a comment (../../sandbox_runtime/static_files.ts).
 *
 * @module
 */

const CODE = /\.[cm]?[jt]sx?$/;
/** What configures the build is no file of the function. */
const SETTINGS = new Set(["deno.json", "deno.jsonc", "import_map.json"]);
/** Who reads a file beside the code asks where the code is, or names the file in a call that reads. */
const ASKS = /import\.meta|\b(readTextFile|readFile)(Sync)?\b/;

/** Empty when the code asks for none. */
export function staticFilesComment(files: Readonly<Record<string, string>>): string {
  const entries = Object.entries(files);
  if (!entries.some(([path, text]) => CODE.test(path) && ASKS.test(text))) return "";
  const found = entries.filter(([path]) => !CODE.test(path) && !SETTINGS.has(path))
    .map(([path, text]) => [path, path.endsWith(".wasm") ? { base64: text } : text]);
  if (found.length === 0) return "";
  return `\n//# fluxbaseFiles=${new TextEncoder().encode(JSON.stringify(Object.fromEntries(found))).toBase64()}\n`;
}

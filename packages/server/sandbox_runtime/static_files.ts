/**
 * Files of a function that are no code, such as templates: they travel in its bundle, and are read as if they lay beside
 * it. No permission for the disk is needed, and none is used.
 *
 * Owns: the way from a path or a URL to one of them, and the calls that read files.
 * Does not own: which files there are (../src/bundler/static_files.ts).
 *
 * @module
 */

const COMMENT = "\n//# fluxbaseFiles=";
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NativeResponse = Response;

/** Text, or bytes as base64, by path from the function's folder. */
type Files = Readonly<Record<string, string | { readonly base64: string }>>;

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  csv: "text/csv; charset=utf-8",
  json: "application/json",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
  wasm: "application/wasm",
  xml: "application/xml",
};

/** A bundle without its files. */
export function splitStaticFiles(code: string): { readonly code: string; readonly files: Files | undefined } {
  const at = code.lastIndexOf(COMMENT);
  if (at < 0) return { code, files: undefined };
  const text = decoder.decode(Uint8Array.fromBase64(code.slice(at + COMMENT.length).trimEnd()));
  return { code: code.slice(0, at), files: JSON.parse(text) };
}

/** Makes the calls that read files look among these first; `usesNode`: those of node:fs, too. */
export function installStaticFiles(files: Files, { usesNode }: { readonly usesNode: boolean }): void {
  const bytesOf = (place: unknown): Uint8Array<ArrayBuffer> | undefined => {
    const path = pathOf(place);
    if (path === undefined || !Object.hasOwn(files, path)) return undefined;
    const content = files[path] ?? "";
    return typeof content === "string" ? encoder.encode(content) : Uint8Array.fromBase64(content.base64);
  };
  const textOf = (place: unknown): string | undefined => {
    const bytes = bytesOf(place);
    return bytes && decoder.decode(bytes);
  };
  replace(Deno, "readTextFileSync", textOf);
  replace(Deno, "readFileSync", bytesOf);
  replace(Deno, "readTextFile", (place) => later(textOf(place)));
  replace(Deno, "readFile", (place) => later(bytesOf(place)));
  if (usesNode) replaceInNode(bytesOf);
  replace(globalThis, "fetch", (input) => {
    const url = typeof input === "string" ? URL.parse(input) : input;
    if (!(url instanceof URL) || url.protocol !== "file:") return undefined;
    const bytes = bytesOf(url);
    const type = TYPES[/\.(\w+)$/.exec(url.pathname)?.[1] ?? ""] ?? "application/octet-stream";
    return later(bytes && new NativeResponse(bytes, { headers: { "content-type": type } }));
  });
}

type Callback = (error: Error | null, content?: unknown) => void;

/** Packages read files by these; ./built_ins.ts hands them out as they are here. */
function replaceInNode(bytesOf: (place: unknown) => Uint8Array<ArrayBuffer> | undefined): void {
  const fs = process.getBuiltinModule("node:fs");
  const contentOf = (place: unknown, options: unknown): unknown => {
    const bytes = bytesOf(place);
    const encoding = typeof options === "string" ? options : Reflect.get(Object(options), "encoding");
    if (bytes === undefined) return undefined;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return typeof encoding === "string" ? buffer.toString(encoding as BufferEncoding) : buffer;
  };
  replace(fs, "readFileSync", contentOf);
  replace(fs.promises, "readFile", (place, options) => later(contentOf(place, options)));
  replace(fs, "existsSync", (place) => bytesOf(place) === undefined ? undefined : true);
  replace(fs, "readFile", (place, options, callback = options) => {
    const content = contentOf(place, options);
    if (content === undefined) return undefined;
    queueMicrotask(() => (callback as Callback)(null, content));
    return null;
  });
}

function later<T>(value: T | undefined): Promise<T> | undefined {
  return value === undefined ? undefined : Promise.resolve(value);
}

/** From the function's folder, which is the root of what `import.meta.url` says. */
function pathOf(place: unknown): string | undefined {
  try {
    // `${import.meta.dirname}/x` begins with two slashes, which a URL takes for a host.
    const url = place instanceof URL ? place : new URL(String(place).replace(/^\/+/, "/"), "file:///");
    return url.protocol === "file:" ? decodeURIComponent(url.pathname).slice(1) : undefined;
  } catch {
    return undefined;
  }
}

/** What `find` does not know goes the usual way. */
function replace(target: object, name: string, find: (...args: unknown[]) => unknown): void {
  const native: unknown = Reflect.get(target, name);
  if (typeof native !== "function") return;
  const value = function (this: unknown, ...args: unknown[]): unknown {
    const found = find(...args);
    return found === undefined ? Reflect.apply(native, this, args) : found;
  };
  Object.defineProperty(value, "name", { value: name });
  Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: true });
}

/**
 * Files that were built for browsers, in memory, and how they are served.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { extname, join } from "node:path";
import { NOSNIFF } from "./error_response.ts";

export interface BuiltFile {
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Another one for other bytes. */
  readonly etag: string;
  /** Made once. */
  gzipped(): Promise<Uint8Array<ArrayBuffer>>;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".png": "image/png",
};
const OTHER_TYPE = "application/octet-stream";

/** By path below `dir`; empty when nothing is built. */
async function readBuilt(dir: string): Promise<ReadonlyMap<string, BuiltFile>> {
  const files = new Map<string, BuiltFile>();
  const read = async (below: string) => {
    for await (const { name, isDirectory } of Deno.readDir(join(dir, below))) {
      const path = `${below}${name}`;
      if (isDirectory) await read(`${path}/`);
      else files.set(path, fileOf(path, await Deno.readFile(join(dir, path))));
    }
  };
  try {
    await read("");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    files.clear();
  }
  return files;
}

function fileOf(path: string, bytes: Uint8Array<ArrayBuffer>): BuiltFile {
  let zipped: Promise<Uint8Array<ArrayBuffer>> | undefined;
  return {
    type: TYPES[extname(path)] ?? OTHER_TYPE,
    bytes,
    etag: `"${createHash("sha256").update(bytes).digest("base64url")}"`,
    gzipped: () =>
      zipped ??= new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"))).bytes(),
  };
}

/** Zipped where the client takes that. */
export async function fileResponse(
  request: Request,
  { type, bytes, gzipped }: BuiltFile,
  headers: readonly [string, string][],
): Promise<Response> {
  const mayZip = !type.startsWith("image/png") && /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
  const body = mayZip ? await gzipped() : bytes;
  return new Response(request.method === "HEAD" ? null : body, {
    headers: [
      ["content-type", type],
      ...headers,
      ["vary", "accept-encoding"],
      ...(mayZip ? [["content-encoding", "gzip"] as [string, string]] : []),
      NOSNIFF,
    ],
  });
}

/** A browser, not a program that looks whether somebody is there. */
export function wantsPage({ headers }: Request): boolean {
  return /\btext\/html\b/.test(headers.get("accept") ?? "");
}

export function redirect(to: string): Response {
  return new Response(null, { status: 302, headers: { location: to, "cache-control": "no-store" } });
}

export function plain(status: number, text: string): Response {
  return new Response(`${text}\n`, { status, headers: [["content-type", "text/plain; charset=utf-8"], NOSNIFF] });
}

/** Read once; again while there is nothing, since it may be built by now, and each time while it may change. */
export function builtFiles(dir: string, { mayChange }: { readonly mayChange: boolean }) {
  let files: Promise<ReadonlyMap<string, BuiltFile>> | undefined;
  return async (): Promise<ReadonlyMap<string, BuiltFile>> => {
    if (mayChange) return await readBuilt(dir);
    files ??= readBuilt(dir);
    const known = await files;
    if (known.size === 0) files = undefined;
    return known;
  };
}

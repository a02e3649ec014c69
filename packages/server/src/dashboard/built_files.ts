/**
 * The files of the dashboard, in memory.
 *
 * @module
 */
import { extname, join } from "node:path";

export interface BuiltFile {
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Made once. */
  gzipped(): Promise<Uint8Array<ArrayBuffer>>;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const OTHER_TYPE = "application/octet-stream";

/** By path below `dir`; empty when nothing is built. */
export async function readBuilt(dir: string): Promise<ReadonlyMap<string, BuiltFile>> {
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
    gzipped: () =>
      zipped ??= new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"))).bytes(),
  };
}

/**
 * The main module of a bundling: puts the files of one function and the packages it imports together into one module.
 *
 * One process for each bundling, because it fetches what hostile source names: unprivileged, bounded in memory, reading
 * nothing but the function's folder and the cache of packages. The program that Deno starts to bundle reads some files
 * by itself, without Deno's permissions, so the kernel keeps the rest of the machine from both. It never runs what it
 * bundles. The result is one JSON line on stdout.
 *
 * @module
 */
import { hardenProcess } from "../../sandbox_runtime/harden.ts";
import { type FileRights, giveUpFiles } from "../../sandbox_runtime/landlock.ts";

/** The one command line argument, as JSON. */
export interface BundlingOptions {
  readonly uid: number | null;
  readonly parentPid: number;
  readonly memoryBytes: number;
  readonly entryPath: string;
  /** All files of the machine that there are for it. */
  readonly files: FileRights;
}

export interface BundlingMessage {
  readonly text: string;
  /** Null where the tool does not say. */
  readonly file: string | null;
  /** How many characters the import has in the source, quotes included. */
  readonly length: number;
}

export type BundlingReply =
  | { readonly ok: true; readonly code: string }
  | { readonly ok: false; readonly messages: readonly BundlingMessage[] };

const FILE_BYTES = 512 * 1024 * 1024;

const { entryPath, files, ...options }: BundlingOptions = JSON.parse(Deno.args[0] ?? "{}");
hardenProcess({
  uid: options.uid,
  dataBytes: options.memoryBytes,
  openFilesCount: 1024,
  fileBytes: FILE_BYTES,
  hasNetwork: true,
  mayStartPrograms: true,
  parentPid: options.parentPid,
});
giveUpFiles(files);
Deno.permissions.revokeSync({ name: "ffi" });

async function bundle(): Promise<BundlingReply> {
  try {
    const { success, errors, outputFiles } = await Deno.bundle({
      entrypoints: [entryPath],
      platform: "deno",
      format: "esm",
      sourcemap: "inline",
      write: false,
    });
    const code = outputFiles?.[0]?.text();
    if (success && code !== undefined) return { ok: true, code };
    const messages = errors.map(({ text, location }) => ({
      text,
      file: location?.file ?? null,
      length: location?.length ?? 0,
    }));
    return { ok: false, messages };
  } catch (error) {
    return {
      ok: false,
      messages: [{ text: error instanceof Error ? error.message : String(error), file: null, length: 0 }],
    };
  }
}

const reply = new TextEncoder().encode(`${JSON.stringify(await bundle())}\n`);
for (let written = 0; written < reply.length;) written += Deno.stdout.writeSync(reply.subarray(written));

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
  | {
    readonly ok: true;
    readonly code: string;
    /** What packages ask for and what is not there, in their words; mostly within a try. */
    readonly missing: readonly string[];
  }
  | { readonly ok: false; readonly messages: readonly BundlingMessage[] };

const ATTEMPTS_MAX_COUNT = 6;
const PACKAGE_FILE = /^(?:\.\.\/)+(?:[^/]+\/)*npm\//;
/** How the tool names what is not among the dependencies of a package. */
const NAMED = [
  /^Could not convert path to URL\.\s+Path: (\S+)/,
  /^Could not resolve "([^"]+)"/,
  /^Import "([^"]+)" not/,
];
const NO_LOADER = /^No loader is configured for "(\.\w+)" files/;
const NO_FILE = /^\[ERR_MODULE_NOT_FOUND\] Cannot find module '([^']+)'/;
/** Also what has no ending at all. */
const SCRIPT = /(?:\.[cm]?[jt]sx?|\/[^/.]*)$/;
/**
 * A package whose peer is imported after it is settled twice, and the first time its folder has a name that counts no
 * more. With the lock of the first attempt the second one settles it at once.
 */
const UNSETTLED = /^Could not resolve 'npm:|^\[ERR_MODULE_NOT_FOUND\] Cannot find module '[^']*\/\d[^/']*_\d+\//;
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
  const missing = new Set<string>();
  try {
    for (let attempt = 1;; attempt += 1) {
      const { success, errors, outputFiles } = await Deno.bundle({
        entrypoints: [entryPath],
        platform: "deno",
        format: "esm",
        sourcemap: "inline",
        keepNames: true,
        write: false,
        external: [...missing],
      });
      const code = outputFiles?.[0]?.text();
      if (success && code !== undefined) return { ok: true, code, missing: [...missing] };
      const isUnsettled = attempt === 1 && errors.some(({ text }) => UNSETTLED.test(text));
      const found = isUnsettled ? [] : errors.flatMap((error) => missingSpecifier(error) ?? []);
      const isNew = found.some((specifier) => !missing.has(specifier));
      for (const specifier of found) missing.add(specifier);
      if ((isUnsettled || isNew) && attempt < ATTEMPTS_MAX_COUNT) continue;
      const messages = errors.map(({ text, location }) => ({
        text,
        file: location?.file ?? null,
        length: location?.length ?? 0,
      }));
      return { ok: false, messages };
    }
  } catch (error) {
    return {
      ok: false,
      messages: [{ text: error instanceof Error ? error.message : String(error), file: null, length: 0 }],
    };
  }
}

/**
 * Of a package that asks for what is not there: a driver that nobody uses, an add-on for another system, a peer that is
 * optional. It stays as it is written, so that it fails where the package expects that. What one file asks for by a
 * relative path may be there for another, so only files that no bundle could hold are taken by path.
 */
function missingSpecifier({ text, location }: Deno.bundle.Message): string | undefined {
  if (location === undefined || !PACKAGE_FILE.test(location.file)) return undefined;
  const named = NAMED.map((pattern) => pattern.exec(text)?.[1]).find((name) => name !== undefined);
  const ending = NO_LOADER.exec(text)?.[1];
  const specifier = named ?? (ending === undefined ? specifierOf(text, location) : `*${ending}`);
  return specifier === undefined || (/^[./]/.test(specifier) && SCRIPT.test(specifier)) ? undefined : specifier;
}

/** Of a file that is not there: the tool names the file and where it looked, and of the specifier only its length. */
function specifierOf(text: string, { file, length }: Deno.bundle.MessageLocation): string | undefined {
  const target = NO_FILE.exec(text)?.[1];
  if (target === undefined) return undefined;
  try {
    const quoted = Deno.readTextFileSync(file).matchAll(/(["'`])([^"'`\n]+)\1/g);
    return quoted.map(([, , specifier = ""]) => specifier)
      .find((specifier) => specifier.length + 2 === length && leadsTo(specifier, target));
  } catch {
    return undefined;
  }
}

function leadsTo(specifier: string, target: string): boolean {
  if (/^\.{1,2}\//.test(specifier)) return target.endsWith(specifier.replace(/^(\.{1,2}\/)+/, "/"));
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0];
  return name !== undefined && target.includes(`/${name}/`);
}

const reply = new TextEncoder().encode(`${JSON.stringify(await bundle())}\n`);
for (let written = 0; written < reply.length;) written += Deno.stdout.writeSync(reply.subarray(written));

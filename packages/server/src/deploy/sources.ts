/**
 * The files of a deployment: what was sent on top of what the version before had, and whether it is small enough.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { ORIGINAL } from "../storage/versions.ts";
import { type FunctionInput, invalidFunction } from "./function_input.ts";

export interface Sources {
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
}

export interface SourceLimits {
  readonly sourceFileBytes: number;
  readonly sourceBytes: number;
}

const ENTRIES = ["index.ts", "index.js", "index.tsx", "index.jsx", "index.mts", "index.mjs", "index.cjs"];

/** What was sent, on top of the sources of the version before. */
export function sourcesOf(input: FunctionInput, before: Sources | undefined, name: string): Sources {
  const { code, files, original_code } = input;
  const isPreBundled = input.is_pre_bundled ?? input.is_bundled ?? false;
  if (isPreBundled ? code === undefined || files !== undefined : original_code !== undefined) {
    throw invalidFunction([
      '"is_pre_bundled" goes with "code", the bundle, and may go with "original_code", what it was made of; with nothing else',
    ]);
  }
  if (files === undefined) {
    const entry = before?.entry ?? `${name}.ts`;
    if (code === undefined && before === undefined) throw invalidFunction(['"code" is missing']);
    if (code === undefined) return { entry, files: before?.files ?? {} };
    if (isPreBundled) return { entry, files: { [entry]: code, [ORIGINAL]: original_code ?? code } };
    // With `code` alone a function of several files gets a new entry; the others stay.
    const { [ORIGINAL]: _, ...others } = before?.files ?? {};
    return { entry, files: { ...others, [entry]: code } };
  }
  // A function of one file may have its own name there, as it has in a folder of functions.
  const isFlat = Object.keys(files).length === 1;
  const entries = isFlat ? [...ENTRIES, ...ENTRIES.map((entry) => entry.replace("index", name))] : ENTRIES;
  const entry = entries.find((path) => Object.hasOwn(files, path)) ?? (code === undefined ? undefined : "index.ts");
  if (entry === undefined) {
    throw invalidFunction([`"files" has no entry: one of them must be named ${ENTRIES[0]}, or be sent as "code"`]);
  }
  return { entry, files: code === undefined ? files : { ...files, [entry]: code } };
}

export function assertSourceFits({ files }: Sources, { sourceFileBytes, sourceBytes }: SourceLimits): void {
  const encoder = new TextEncoder();
  // A bundle is as large as all that is in it.
  const fileMaxBytes = ORIGINAL in files ? sourceBytes : sourceFileBytes;
  let total = 0;
  for (const [path, code] of Object.entries(files)) {
    const byteCount = encoder.encode(code).length;
    // The code that a bundle was made of is only kept.
    if (path !== ORIGINAL) total += byteCount;
    if (byteCount > fileMaxBytes) {
      const which = path === ORIGINAL ? '"original_code"' : `file "${path}"`;
      throw tooLarge(`${which} has ${byteCount} bytes`, fileMaxBytes, byteCount);
    }
  }
  if (total > sourceBytes) throw tooLarge(`its files have ${total} bytes together`, sourceBytes, total);
}

function tooLarge(what: string, limit: number, used: number): PlatformError {
  return new PlatformError("BODY_TOO_LARGE", `Cannot accept the function: ${what}, and at most ${limit} are allowed`, {
    details: { limit, used },
  });
}

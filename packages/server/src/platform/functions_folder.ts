/**
 * What the functions folder gives to a start, and why it cannot be read again on request.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { PlatformError } from "@fluxbase/contract";
import type { Config } from "../config/config.ts";
import { withDeadline } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Loader } from "../files/load.ts";
import { StartError } from "../storage/start_error.ts";

const DEFAULT_FUNCTIONS_DIR = "functions";
const BOOT_LOAD_MS = 2_000;

/** Absolute; null where functions are not kept as files. */
export async function findFunctionsDir({ functionsDir, watch }: Config): Promise<string | null> {
  const dir = resolve(functionsDir ?? DEFAULT_FUNCTIONS_DIR);
  try {
    if (functionsDir !== null || watch) await Deno.mkdir(dir, { recursive: true });
    return (await Deno.stat(dir)).isDirectory ? dir : null;
  } catch (error) {
    if (functionsDir === null) return null;
    const reason = error instanceof Error ? error.message : error;
    throw new StartError(
      `Cannot use "${dir}" as functions folder: ${reason}; set FLUXBASE_FUNCTIONS_FUNCTIONS_DIR to a folder`,
    );
  }
}

export async function readNpmrc({ npmrc }: Config, functionsDir: string | null): Promise<string | null> {
  try {
    return npmrc === null && functionsDir === null
      ? null
      : await Deno.readTextFile(npmrc ?? join(functionsDir ?? "", ".npmrc"));
  } catch (error) {
    if (npmrc === null) return null;
    throw new StartError(
      `Cannot read "${npmrc}" (FLUXBASE_FUNCTIONS_NPMRC): ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** A small folder is loaded before the first request; a large one goes on in the background. */
export async function loadOnBoot(loader: Loader, log: Log): Promise<void> {
  const loading = (async () => {
    try {
      const { message, errors, warnings, total } = await loader.load({
        deletes: "nothing",
        dryRun: false,
        createdBy: "boot",
      });
      for (const { name, error } of errors) log.warn(`Functions folder: ${name}: ${error}`);
      for (const warning of warnings) log.warn(`Functions folder: ${warning}`);
      if (total > 0) log.info(message);
    } catch {
      // The loader has said it; what the database has goes on being served.
    }
  })();
  await withDeadline(loading, BOOT_LOAD_MS, () => new Error("goes on in the background")).catch(() => {});
}

export function folderOfAnother(server: string | undefined): PlatformError {
  return new PlatformError(
    "INVALID_ARGUMENT",
    `Cannot reload: of the servers of this database only one uses its functions folder, and that is ${
      server ?? "none at this moment"
    }; ask that one`,
  );
}

export function noFunctionsDir(): PlatformError {
  return new PlatformError(
    "INVALID_ARGUMENT",
    "Cannot reload: this server keeps no functions as files; set FLUXBASE_FUNCTIONS_FUNCTIONS_DIR to a folder",
  );
}

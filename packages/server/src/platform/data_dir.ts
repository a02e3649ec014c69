/**
 * Makes the folder that holds what a server keeps on disk.
 *
 * @module
 */
import { basename, join } from "node:path";
import { StartError } from "../storage/start_error.ts";

export async function makeDataDir(dataDir: string): Promise<void> {
  try {
    // Searchable by others, so that the database's user can reach its own folder below; secrets in it are 0600.
    await Deno.mkdir(dataDir, { recursive: true, mode: 0o711 });
    // In the middle of a project, whose repository keys and rows are not for.
    if (basename(dataDir) === ".fluxbase") await Deno.writeTextFile(join(dataDir, ".gitignore"), "*\n");
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new StartError(
      `Cannot use "${dataDir}" as data directory: ${reason}; set FLUXBASE_DATA_DIR to a folder that can be written`,
    );
  }
}

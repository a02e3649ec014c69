/**
 * The folder that a function with `permissions.write` may write to: empty at first, bounded, wiped with its sandbox.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";

/** With more files than this a folder counts as full: looking at them all would take too long. */
const FILES_MAX_COUNT = 10_000;

/** Whether all files below the folder take more than so many bytes together. */
export async function scratchIsOver(dir: string, maxBytes: number): Promise<boolean> {
  const folders = [dir];
  let bytes = 0;
  let count = 0;
  try {
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for await (const { name, isDirectory } of Deno.readDir(folder)) {
        const path = `${folder}/${name}`;
        if (isDirectory) folders.push(path);
        else bytes += (await Deno.lstat(path)).size;
        count += 1;
        if (bytes > maxBytes || count > FILES_MAX_COUNT) return true;
      }
    }
  } catch {
    // It changes while we look; the next look is soon.
  }
  return false;
}

export function scratchLimit(maxBytes: number): PlatformError {
  return new PlatformError(
    "DISK_LIMIT",
    `The function keeps more than ${maxBytes} bytes or ${FILES_MAX_COUNT} files in its scratch folder`,
    { details: { limit: maxBytes } },
  );
}

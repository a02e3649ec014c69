/**
 * The folder that a function with `permissions.write` may write to: empty at first, bounded, wiped with its sandbox.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";

/** With more files than this a folder counts as full: looking at them all would take too long. */
const FILES_MAX_COUNT = 10_000;

/**
 * Whether all files below the folder, and those that the process holds open without a name, take more than so many bytes
 * together. What goes away while we look is passed over: a function may change its folder all the time.
 */
export async function scratchIsOver({ dir, pid }: { dir: string; pid: number }, maxBytes: number): Promise<boolean> {
  const folders = [dir];
  let bytes = await namelessBytes(pid);
  let count = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    try {
      for await (const { name, isDirectory } of Deno.readDir(folder)) {
        const path = `${folder}/${name}`;
        if (isDirectory) folders.push(path);
        else bytes += await sizeOf(path);
        count += 1;
        if (bytes > maxBytes || count > FILES_MAX_COUNT) return true;
      }
    } catch (error) {
      // A folder that cannot be read may hold anything: one that the function closed, or one too deep to have a path.
      if (!isGone(error)) return true;
    }
  }
  return bytes > maxBytes;
}

function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await Deno.lstat(path)).size;
  } catch (error) {
    return isGone(error) ? 0 : Infinity;
  }
}

/** A file that was removed while it was open takes space until it is closed. */
async function namelessBytes(pid: number): Promise<number> {
  let bytes = 0;
  try {
    for await (const { name } of Deno.readDir(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${name}`;
      const target = await Deno.readLink(path).catch(() => "");
      if (target.startsWith("/") && target.endsWith(" (deleted)")) {
        bytes += await Deno.stat(path).then(({ size }) => size, () => 0);
      }
    }
  } catch {
    // It ended, or this system does not show it.
  }
  return bytes;
}

export function scratchLimit(maxBytes: number): PlatformError {
  return new PlatformError(
    "DISK_LIMIT",
    `The function keeps more than ${maxBytes} bytes or ${FILES_MAX_COUNT} files in its scratch folder`,
    { details: { limit: maxBytes } },
  );
}

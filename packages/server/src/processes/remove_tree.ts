/**
 * Removes a folder that hostile code has filled.
 *
 * `Deno.remove` goes down folder by folder with a frame of its stack and an open file for each: 30,000 folders in each
 * other, which functions make in a second by moving them, overflow the stack and end the whole process. Here every
 * folder is moved right below the root before it is looked into, so no path gets long and nothing gets deep.
 *
 * @module
 */
import { join } from "node:path";

/** Whoever removes for too long leaves the rest to the next start of the server. */
export interface RemoveOptions {
  readonly signal?: AbortSignal;
}

/** A folder that is not there is removed already. */
export async function removeTree(root: string, options: RemoveOptions = {}): Promise<void> {
  await emptyFolder(root, options);
  await unlessGone(() => Deno.remove(root));
}

/** What is added meanwhile may stay. @throws what the system says, and the reason of the signal */
export async function emptyFolder(root: string, { signal }: RemoveOptions = {}): Promise<void> {
  const prefix = join(root, `.${crypto.randomUUID()}-`);
  let movedCount = 0;
  const waiting = [root];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    for (const { name, isDirectory } of await listOf(folder)) {
      signal?.throwIfAborted();
      const path = join(folder, name);
      if (!isDirectory) {
        await unlessGone(() => Deno.remove(path), [folder]);
      } else if (folder === root) {
        waiting.push(path);
      } else {
        const place = `${prefix}${movedCount += 1}`;
        await unlessGone(() => Deno.rename(path, place), [folder, path]);
        waiting.push(place);
      }
    }
    if (folder !== root) await unlessGone(() => Deno.remove(folder));
  }
}

async function listOf(folder: string): Promise<Deno.DirEntry[]> {
  return await unlessGone(() => Array.fromAsync(Deno.readDir(folder)), [folder]) ?? [];
}

/** Folders may have been closed by who filled them; to root they are open anyway. */
async function unlessGone<T>(work: () => Promise<T>, closed: readonly string[] = []): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    if (closed.length === 0 || !(error instanceof Deno.errors.PermissionDenied)) throw error;
    for (const folder of closed) await Deno.chmod(folder, 0o700);
    return await work();
  }
}

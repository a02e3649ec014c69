/**
 * The folder in which sandboxes have theirs: in the temporary directory, since a socket's path must be short.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeTree } from "../processes/remove_tree.ts";
import { StartError } from "../storage/start_error.ts";

const PREFIX = "fluxbase-run-";
const REMOVE_MS = 3_000;

export interface RunDir {
  /** Each sandbox gets a folder in it. */
  readonly sandboxes: string;
  /** For files that a sandbox and the server share while it starts. */
  readonly pages: string;
  /** For what processes run. */
  readonly runtime: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Makes the folder, and removes those of servers that were killed, which may take its time. */
export async function makeRunDir(): Promise<RunDir> {
  const parent = tmpdir();
  const leaving = new AbortController();
  const cleaning = removeStale(parent, leaving.signal).catch(() => {});
  const path = await Deno.makeTempDir({ dir: parent, prefix: `${PREFIX}${Deno.pid}-` }).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : error;
    throw new StartError(
      `Cannot make a folder for sandboxes in "${parent}": ${reason}; set TMPDIR to a folder that can be written`,
    );
  });
  // Searchable by every uid, readable by none: each sandbox knows only the name of its own folder.
  const folders = { sandboxes: join(path, "s"), pages: join(path, "pages"), runtime: join(path, "runtime") };
  for (const folder of [path, folders.sandboxes, folders.pages]) {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.chmod(folder, 0o711);
  }
  return {
    ...folders,
    async [Symbol.asyncDispose]() {
      leaving.abort();
      await cleaning;
      // What takes longer is found by the next start.
      const overdue = new AbortController();
      const timer = setTimeout(() => overdue.abort(), REMOVE_MS);
      await removeTree(path, overdue).catch(() => {});
      clearTimeout(timer);
    },
  };
}

async function removeStale(parent: string, signal: AbortSignal): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(parent)) {
    const pid = Number(/^fluxbase-run-(\d+)-/.exec(name)?.[1]);
    if (!isDirectory || !Number.isInteger(pid) || isAlive(pid)) continue;
    const path = join(parent, name);
    // Anybody may make a folder of this name there: only our own are removed.
    if ((await Deno.lstat(path).catch(() => undefined))?.uid !== Deno.uid()) continue;
    await removeTree(path, { signal }).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/**
 * The spawners of sandboxes: one for all that have no folder of their own, and one for each that has.
 *
 * What a process may reach is decided by the thread that starts it. A scratch folder is in reach of one sandbox only, so
 * the thread that starts it starts nothing else, and ends with it.
 *
 * @module
 */
import type { FileRights } from "../../sandbox_runtime/landlock.ts";
import { type Spawner, startSpawner } from "../processes/confined_process.ts";
import { commonRights, identityOf, joinRights } from "../processes/file_rights.ts";
import type { RuntimeFiles } from "../processes/runtime_files.ts";

export interface SandboxSpawners {
  readonly files: RuntimeFiles;
  /** Where files lie that a sandbox and the server share while the sandbox starts. */
  readonly pagesDir: string;
  common(): Promise<Spawner>;
  /** The caller ends it. */
  withScratch(dir: string, rights: { readonly read: boolean; readonly write: boolean }): Promise<Spawner>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** How often the files of the machine are looked at that may have been replaced. */
const LOOK_EVERY_MS = 2_000;

export async function startSandboxSpawners(
  files: RuntimeFiles,
  { pagesDir, now }: { readonly pagesDir: string; now(): number },
): Promise<SandboxSpawners> {
  const rightsNow = (): FileRights =>
    joinRights(commonRights(files.paths, files.deno), { read: [pagesDir], write: [pagesDir] });
  const spawners: Spawner[] = [];
  let current = startCommon();
  let lookedAtMs = now();
  let identity = identityOf(rightsNow());

  function startCommon(): Promise<Spawner> {
    const starting = startSpawner(rightsNow());
    starting.then((spawner) => spawners.push(spawner), () => {});
    return starting;
  }
  await current;

  return {
    files,
    pagesDir,
    async common() {
      if (!(await current).isAlive) current = startCommon();
      if (now() - lookedAtMs > LOOK_EVERY_MS) {
        lookedAtMs = now();
        const found = identityOf(rightsNow());
        // Sandboxes of the thread before die with it, so it stays until the server ends.
        if (found !== identity) current = startCommon();
        identity = found;
      }
      return current;
    },
    withScratch: (dir, { read, write }) =>
      startSpawner(joinRights(rightsNow(), { read: read ? [dir] : [], write: write ? [dir] : [] })),
    async [Symbol.asyncDispose]() {
      await current.catch(() => {});
      for (const spawner of spawners) spawner.end();
    },
  };
}

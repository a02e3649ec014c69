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
import { commonRights, joinRights } from "../processes/file_rights.ts";
import { startRenewedSpawner } from "../processes/renewed_spawner.ts";
import type { RuntimeFiles } from "../processes/runtime_files.ts";

export interface SandboxSpawners {
  readonly files: RuntimeFiles;
  /** Where files lie that a sandbox and the server share while the sandbox starts. */
  readonly pagesDir: string;
  readonly common: Pick<Spawner, "start">;
  /** The caller ends it. */
  withScratch(dir: string, rights: { readonly read: boolean; readonly write: boolean }): Promise<Spawner>;
  [Symbol.dispose](): void;
}

export async function startSandboxSpawners(
  files: RuntimeFiles,
  { pagesDir, now }: { readonly pagesDir: string; now(): number },
): Promise<SandboxSpawners> {
  const rightsNow = (): FileRights =>
    joinRights(commonRights(files.paths, files.deno), { read: [pagesDir], write: [pagesDir] });
  const common = await startRenewedSpawner(rightsNow, { now });
  return {
    files,
    pagesDir,
    common,
    withScratch: (dir, { read, write }) =>
      startSpawner(joinRights(rightsNow(), { read: read ? [dir] : [], write: write ? [dir] : [] })),
    [Symbol.dispose]: () => common.end(),
  };
}

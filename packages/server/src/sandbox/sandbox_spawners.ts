/**
 * The spawners of sandboxes: one for all that have no folder of their own, and one for each that has.
 *
 * What a process may reach is decided by the thread that starts it. A scratch folder is in reach of one sandbox only, so
 * the thread that starts it starts nothing else, and ends with it.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { FileRights } from "../../sandbox_runtime/landlock.ts";
import { withDeadline } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { type Spawner, startSpawner } from "../processes/confined_process.ts";
import { commonRights, joinRights } from "../processes/file_rights.ts";
import { type RenewedSpawner, startRenewedSpawner } from "../processes/renewed_spawner.ts";
import type { RuntimeFiles } from "../processes/runtime_files.ts";
import { createZygotes, type Zygotes } from "./zygotes.ts";

/** Who fills scratch folders faster than they can be emptied has to wait: so many that take longer than this. */
const SLOW_MS = 1_000;
const SLOW_MAX_COUNT = 8;
/** What is left then, the next start of the server removes. */
const STOP_MS = 2_000;

export interface SandboxSpawners {
  readonly files: RuntimeFiles;
  /** Where files lie that a sandbox and the server share while the sandbox starts. */
  readonly pagesDir: string;
  readonly common: Pick<RenewedSpawner, "start" | "current">;
  /** Copied for sandboxes that have no folder of their own. */
  readonly zygotes: Zygotes;
  /**
   * The caller ends it.
   *
   * @throws {PlatformError} POOL_EXHAUSTED while clearing up behind others takes long
   */
  withScratch(dir: string, rights: { readonly read: boolean; readonly write: boolean }): Promise<Spawner>;
  /** Goes on behind the end of a sandbox, for which nobody has to wait. */
  clearUp(work: () => Promise<void>): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startSandboxSpawners(
  files: RuntimeFiles,
  { pagesDir, log, now }: { readonly pagesDir: string; readonly log: Log; now(): number },
): Promise<SandboxSpawners> {
  const rightsNow = (): FileRights =>
    joinRights(commonRights(files.paths, files.deno), { read: [pagesDir], write: [pagesDir] });
  const common = await startRenewedSpawner(rightsNow, { now });
  /** When each began. */
  const clearing = new Map<Promise<void>, number>();
  const isSlow = (sinceMs: number) => now() - sinceMs > SLOW_MS;
  return {
    files,
    pagesDir,
    common,
    zygotes: createZygotes({ log, now }),
    async withScratch(dir, { read, write }) {
      if ([...clearing.values()].filter(isSlow).length >= SLOW_MAX_COUNT) throw tooMuchToClear();
      return await startSpawner(joinRights(rightsNow(), { read: read ? [dir] : [], write: write ? [dir] : [] }));
    },
    clearUp(work) {
      const done = work().catch((error: unknown) => log.warn("Cannot clear up behind a sandbox", { error })).then(() =>
        void clearing.delete(done)
      );
      clearing.set(done, now());
    },
    async [Symbol.asyncDispose]() {
      await withDeadline(Promise.all(clearing.keys()), STOP_MS, () => new Error("overdue")).catch(() => {});
      common.end();
    },
  };
}

function tooMuchToClear(): PlatformError {
  return new PlatformError(
    "POOL_EXHAUSTED",
    "Cannot start a sandbox with a scratch folder: those of others have to be emptied first",
    { details: { retry_after: 1 } },
  );
}

/**
 * Backups that come by themselves, into a folder that keeps the newest ones.
 *
 * When the last one was made is read from the names of the files, so a server that starts again goes on where it was.
 *
 * @module
 */
import { join } from "node:path";
import type { Log } from "../core/log.ts";
import type { Databases, KeyIds } from "./backup.ts";
import { writeBackupFile } from "./backup_file.ts";

export interface ScheduleOptions {
  readonly dir: string;
  readonly everyHours: number;
  readonly keepCount: number;
  readonly databases: Databases;
  readonly keyIds: KeyIds;
  /** Of several servers one makes them. */
  readonly isOurs: () => boolean;
  readonly log: Log;
  readonly epochMs: () => number;
}

const LOOK_MS = 60_000;
/** After one that failed. */
const AGAIN_MS = 600_000;
const HOUR_MS = 3_600_000;
const NAME = /^fluxbase-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z\.tar\.gz$/;

export function startBackupSchedule(options: ScheduleOptions): AsyncDisposable {
  const { dir, everyHours, keepCount, databases, keyIds, isOurs, log, epochMs } = options;
  const stopping = new AbortController();
  let notBeforeMs = 0;
  let working: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    if (stopping.signal.aborted || !isOurs() || epochMs() < notBeforeMs) return;
    try {
      await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
      const [newest] = await listBackups(dir);
      if (newest !== undefined && momentOf(newest) + everyHours * HOUR_MS > epochMs()) return;
      const file = join(dir, nameOf(epochMs()));
      const summary = await writeBackupFile(file, databases, { keyIds, signal: stopping.signal });
      log.info("Made a backup", { file, ...summary });
      for (const name of (await listBackups(dir)).slice(keepCount)) await Deno.remove(join(dir, name));
    } catch (error) {
      if (stopping.signal.aborted) return;
      notBeforeMs = epochMs() + AGAIN_MS;
      log.error("Cannot make a backup; it is tried again in 10 minutes", { dir, error });
    }
  }

  const next = () => working = working.then(look);
  const timer = setInterval(next, LOOK_MS);
  next();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      stopping.abort();
      await working;
    },
  };
}

function nameOf(epochMs: number): string {
  return `fluxbase-${new Date(epochMs).toISOString().replace(/\.\d+Z$/, "Z").replaceAll(":", "-")}.tar.gz`;
}

function momentOf(name: string): number {
  return Date.parse(name.replace(NAME, "$1T$2:$3:$4Z"));
}

/** Newest first; what others have put there is theirs. */
async function listBackups(dir: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(dir)) if (NAME.test(name)) names.push(name);
  return names.sort().reverse();
}

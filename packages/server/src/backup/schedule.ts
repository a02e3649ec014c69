/**
 * Backups that come by themselves, and when an admin asks, into a folder that keeps the newest ones.
 *
 * When the last one was made is read from the names of the files, so a server that starts again goes on where it was.
 *
 * @module
 */
import { join } from "node:path";
import { PlatformError } from "@fluxbase/contract";
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

export interface Backup {
  readonly name: string;
  readonly sizeBytes: number;
  readonly madeMs: number;
}

export interface Backups extends AsyncDisposable {
  readonly dir: string;
  readonly everyHours: number;
  readonly keepCount: number;
  readonly isRunning: boolean;
  readonly lastError: string | null;
  /** Newest first. */
  list(): Promise<Backup[]>;
  /** Begins one now, whoever makes those of the schedule. @throws {PlatformError} ALREADY_RUNNING */
  begin(): void;
}

export function startBackupSchedule(options: ScheduleOptions): Backups {
  const { dir, everyHours, keepCount, databases, keyIds, isOurs, log, epochMs } = options;
  const stopping = new AbortController();
  let notBeforeMs = 0;
  let working: Promise<void> = Promise.resolve();
  let isRunning = false;
  let lastError: string | null = null;

  async function look(): Promise<void> {
    if (stopping.signal.aborted || !isOurs() || epochMs() < notBeforeMs) return;
    const [newest] = await listBackups(dir).catch(() => []);
    if (newest !== undefined && momentOf(newest) + everyHours * HOUR_MS > epochMs()) return;
    await make();
  }

  async function make(): Promise<void> {
    isRunning = true;
    try {
      await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
      const file = join(dir, nameOf(epochMs()));
      const summary = await writeBackupFile(file, databases, { keyIds, signal: stopping.signal });
      lastError = null;
      log.info("Made a backup", { file, ...summary });
      for (const name of (await listBackups(dir)).slice(keepCount)) await Deno.remove(join(dir, name));
    } catch (error) {
      if (stopping.signal.aborted) return;
      notBeforeMs = epochMs() + AGAIN_MS;
      lastError = error instanceof Error ? error.message : String(error);
      log.error("Cannot make a backup; it is tried again in 10 minutes", { dir, error });
    } finally {
      isRunning = false;
    }
  }

  const next = () => working = working.then(look);
  const timer = setInterval(next, LOOK_MS);
  next();
  return {
    dir,
    everyHours,
    keepCount,
    get isRunning() {
      return isRunning;
    },
    get lastError() {
      return lastError;
    },
    async list() {
      const names = await listBackups(dir).catch(unlessGone([]));
      const found = await Promise.all(names.map(async (name) => {
        // An older one goes when a new one is whole.
        const info = await Deno.stat(join(dir, name)).catch(unlessGone(null));
        return info === null ? [] : [{ name, sizeBytes: info.size, madeMs: momentOf(name) }];
      }));
      return found.flat();
    },
    begin() {
      if (isRunning) throw new PlatformError("ALREADY_RUNNING", "Cannot start a backup: one is being made already");
      isRunning = true;
      working = working.then(make);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      stopping.abort();
      await working;
    },
  };
}

function unlessGone<Instead>(instead: Instead): (error: unknown) => Instead {
  return (error) => {
    if (error instanceof Deno.errors.NotFound) return instead;
    throw error;
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

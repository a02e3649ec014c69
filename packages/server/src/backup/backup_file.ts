/**
 * A backup as a file: under its own name it is whole, and only its owner reads it, since it has everybody's rows in it.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import { StartError } from "../storage/start_error.ts";
import { type BackupOptions, type BackupSummary, type Databases, messageOf, writeBackup } from "./backup.ts";

export interface BackupFileSummary extends BackupSummary {
  readonly bytesOnDisk: number;
}

/** Replaces what has that name. */
export async function writeBackupFile(
  path: string,
  databases: Databases,
  options: BackupOptions,
): Promise<BackupFileSummary> {
  const unfinished = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`);
  try {
    const file = await Deno.open(unfinished, { write: true, createNew: true, mode: 0o600 }).catch((error) => {
      throw new StartError(`Cannot write the backup to "${path}": ${messageOf(error)}`);
    });
    const summary = await writeBackup(databases, file.writable, options);
    await Deno.rename(unfinished, path);
    return { ...summary, bytesOnDisk: (await Deno.stat(path)).size };
  } finally {
    await Deno.remove(unfinished).catch(() => {});
  }
}

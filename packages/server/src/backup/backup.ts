/**
 * Writes both databases into one file while servers use them: each as it was at one moment.
 *
 * @module
 */
import type { Secret } from "../core/secret.ts";
import { countServers, type DatabaseContents, listKeyIds, readContents } from "../storage/dump/contents.ts";
import { readRows } from "../storage/dump/rows.ts";
import { dumpSchema } from "../storage/dump/schema_dump.ts";
import { beginReading, type DumpSession, openSession } from "../storage/dump/session.ts";
import { RELEASE } from "../storage/release.ts";
import { StartError } from "../storage/start_error.ts";
import { type ArchiveWriter, createArchiveWriter } from "./archive.ts";
import { MANIFEST, writeManifest } from "./manifest.ts";

export interface Databases {
  readonly platform: Secret;
  /** Null: users' tables are in the platform's database. */
  readonly users: Secret | null;
}

/** Of keys that are at hand, the present one first. */
export type KeyIds = readonly string[];

export interface Progress {
  readonly database: DatabaseName;
  readonly table: string;
  readonly bytes: number;
}

export type DatabaseName = "platform" | "users";

export interface BackupOptions {
  readonly keyIds: KeyIds;
  readonly onProgress?: (progress: Progress) => void;
  /** A copy that is to take the place of what it is of: nothing may change in between. */
  readonly isMove?: boolean;
  readonly signal?: AbortSignal;
}

export interface BackupSummary {
  readonly tables: number;
  readonly bytes: number;
}

const PIECE_BYTES = 4 * 1024 * 1024;

/** @throws {StartError} with a sentence for the operator */
export async function writeBackup(
  databases: Databases,
  file: WritableStream<Uint8Array>,
  options: BackupOptions,
): Promise<BackupSummary> {
  await using sessions = new AsyncDisposableStack();
  const open = async (url: Secret) => {
    const session = await openSession(url);
    return session === undefined ? undefined : sessions.use(session);
  };
  const archive = createArchiveWriter(file);
  try {
    const platform = await open(databases.platform);
    const users = databases.users === null ? undefined : await open(databases.users);
    if (platform === undefined || !await hasPlatform(platform)) {
      throw new StartError("Cannot make a backup: the database has no platform yet; start a server on it first");
    }
    if (options.isMove) await refuseRunning(platform);
    // At once, one right after the other: no snapshot reaches over two databases.
    const snapshots = [await beginReading(platform), users === undefined ? "" : await beginReading(users)] as const;
    const contents = [
      await readContents(platform.client),
      users === undefined ? null : await readContents(users.client),
    ] as const;
    await archive.add(
      MANIFEST,
      writeManifest({
        release: RELEASE.version,
        created_at: new Date().toISOString(),
        key_ids: await neededKeys(platform, options.keyIds),
        platform: contents[0],
        users: contents[1],
      }),
    );
    const parts = { archive, ...options };
    let bytes = await addDatabase("platform", platform, { ...parts, contents: contents[0], snapshot: snapshots[0] });
    if (users !== undefined && contents[1] !== null) {
      bytes += await addDatabase("users", users, { ...parts, contents: contents[1], snapshot: snapshots[1] });
    }
    await archive.finish();
    return { tables: contents[0].tables.length + (contents[1]?.tables.length ?? 0), bytes };
  } catch (error) {
    await archive.abort(error);
    throw error instanceof StartError ? error : new StartError(`Cannot make a backup: ${messageOf(error)}`);
  }
}

async function hasPlatform({ client }: DumpSession): Promise<boolean> {
  const { rows: [found] } = await client.query("select pg_catalog.to_regclass('fluxbase.functions') is not null as is");
  return found.is;
}

/** @throws {StartError} while servers may still write */
export async function refuseRunning({ client }: DumpSession): Promise<void> {
  const count = await countServers(client);
  if (count === 0) return;
  throw new StartError(
    `Cannot go on while servers use the database (${count} connections of theirs): stop them first`,
  );
}

/**
 * The present key, and others that values are still encrypted under.
 *
 * @throws {StartError} when one is not at hand: nobody would notice before the backup is needed
 */
async function neededKeys({ client }: DumpSession, [present = "", ...previous]: KeyIds): Promise<string[]> {
  const used = await listKeyIds(client);
  const missing = used.filter((id) => id !== present && !previous.includes(id));
  if (missing.length > 0) {
    throw new StartError(
      `Cannot make a backup: values in the database are encrypted under another key (${
        missing[0]
      }) than the one here (${present}); give this command the server's settings, FLUXBASE_ENCRYPTION_KEY above all`,
    );
  }
  return [...new Set([present, ...used])];
}

interface DatabaseParts extends BackupOptions {
  readonly archive: ArchiveWriter;
  readonly contents: DatabaseContents;
  readonly snapshot: string;
}

async function addDatabase(
  database: DatabaseName,
  { client, url }: DumpSession,
  { archive, contents, snapshot, onProgress, signal }: DatabaseParts,
): Promise<number> {
  const { before, after } = await dumpSchema({ url, snapshot });
  await archive.add(`${database}/before.sql`, before);
  let bytes = 0;
  for (const [index, table] of contents.tables.entries()) {
    onProgress?.({ database, table: table.name, bytes });
    let piece = 0;
    for await (const rows of readRows(client, table, PIECE_BYTES)) {
      signal?.throwIfAborted();
      await archive.add(`${database}/${index}/${piece++}.copy`, rows);
      bytes += rows.length;
      onProgress?.({ database, table: table.name, bytes });
    }
  }
  await archive.add(`${database}/after.sql`, after);
  return bytes;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Makes both databases what a backup says: each in one transaction, so that a file that turns out to be damaged at its
 * end has changed nothing.
 *
 * @module
 */
import { silentLog } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import { connectDatabase, type Db } from "../storage/db.ts";
import { type DatabaseContents, isEmpty, listNamespaces } from "../storage/dump/contents.ts";
import {
  emptyDatabase,
  listLogins,
  makeRoles,
  readTarget,
  refreshViews,
  type RoleNames,
  roleNames,
  runScript,
  setPassword,
  setSequences,
  takeBackRights,
  type Target,
} from "../storage/dump/rebuild.ts";
import { type RowsWriter, writeRows } from "../storage/dump/rows.ts";
import { type DumpSession, openSession } from "../storage/dump/session.ts";
import { compareVersions, RELEASE } from "../storage/release.ts";
import { StartError } from "../storage/start_error.ts";
import { type ArchiveEntry, readArchive } from "./archive.ts";
import { type DatabaseName, type Databases, type KeyIds, messageOf, type Progress, refuseRunning } from "./backup.ts";
import { MANIFEST, type Manifest, readManifest } from "./manifest.ts";

export interface RestoreOptions {
  readonly keyIds: KeyIds;
  /** What the databases hold is lost. */
  readonly replaces: boolean;
  readonly passwordOf: PasswordOf;
  readonly onProgress?: (progress: Progress) => void;
}

/** Takes the password of a role that logs in from the platform's database, or makes one. */
export type PasswordOf = (db: Db, name: string) => Promise<string>;

/** @throws {StartError} with a sentence for the operator */
export async function restoreBackup(
  databases: Databases,
  file: ReadableStream<Uint8Array<ArrayBuffer>>,
  options: RestoreOptions,
): Promise<Manifest> {
  await using sessions = new AsyncDisposableStack();
  try {
    const entries = readArchive(file);
    const first = await entries.next();
    if (first.done || first.value.name !== MANIFEST) throw new StartError("Cannot restore: the file is no backup");
    const manifest = readManifest(textOf(first.value));
    checkManifest(manifest, databases, options);
    const platform = sessions.use(await openEmpty(databases.platform, options));
    const users = databases.users === null ? undefined : sessions.use(await openEmpty(databases.users, options));
    const open = {
      platform: await beginRebuild(platform, manifest.platform, options),
      ...(users === undefined || manifest.users === null
        ? {}
        : { users: await beginRebuild(users, manifest.users, options) }),
    };
    let namespaces: readonly string[] = [];
    for await (const entry of entries) {
      const [database, part = "", piece] = entry.name.split("/");
      const rebuild = open[database as DatabaseName];
      if (rebuild === undefined) throw new StartError(`Cannot restore: "${entry.name}" belongs to no database`);
      if (part === "before.sql") await rebuild.begin(textOf(entry), namespaces);
      else if (part === "after.sql") await rebuild.finish(textOf(entry));
      else await rebuild.addRows(Number(part), entry.bytes);
      if (database === "platform" && part === "after.sql") namespaces = await listNamespaces(platform.client);
      if (piece !== undefined) {
        options.onProgress?.({ database: database as DatabaseName, table: rebuild.table, bytes: rebuild.bytes });
      }
    }
    const all = [open.users, open.platform].filter((one) => one !== undefined);
    const unfinished = all.find(({ isFinished }) => !isFinished);
    if (unfinished !== undefined) throw new StartError("Cannot restore: the backup lacks the end of a database");
    for (const { commit } of all) await commit();
    await setPasswords(databases, (users ?? platform).client, options);
    return manifest;
  } catch (error) {
    throw error instanceof StartError ? error : new StartError(`Cannot restore the backup: ${messageOf(error)}`);
  }
}

/** Passwords are no part of a backup: roles of another database have other names. */
async function setPasswords(
  { platform: url }: Databases,
  client: DumpSession["client"],
  { passwordOf }: RestoreOptions,
): Promise<void> {
  await using platform = await connectDatabase({ url, maxConnectionsCount: 1, log: silentLog });
  for (const name of await listLogins(client)) await setPassword(client, name, await passwordOf(platform.db, name));
}

function checkManifest(manifest: Manifest, { users }: Databases, { keyIds }: RestoreOptions): void {
  const missing = manifest.key_ids.filter((id) => !keyIds.includes(id));
  if (missing.length > 0) {
    throw new StartError(
      `Cannot restore: what the backup holds is encrypted under the key ${missing[0]}, and here is ${
        keyIds[0]
      }; set FLUXBASE_ENCRYPTION_KEY to that key, or FLUXBASE_ENCRYPTION_PREVIOUS_KEYS; with the embedded database, put the data directory's secrets.json back first`,
    );
  }
  if (compareVersions(manifest.release, RELEASE.version) > 0) {
    throw new StartError(
      `Cannot restore: the backup is of release ${manifest.release}, and this is ${RELEASE.version}; use that release or a newer one`,
    );
  }
  if ((manifest.users === null) !== (users === null)) {
    throw new StartError(
      manifest.users === null
        ? "Cannot restore: in the backup users' tables share the platform's database, or there was no other; set FLUXBASE_DATABASE_SHARED=true"
        : "Cannot restore: in the backup users' tables have a database of their own, and here they would share the platform's; leave FLUXBASE_DATABASE_SHARED out, or create the database for them",
    );
  }
}

async function openEmpty(url: Secret, { replaces }: RestoreOptions): Promise<DumpSession> {
  const session = await openSession(url);
  if (session === undefined) throw new StartError(`Cannot restore: there is no database ${placeOf(url)}; create it`);
  await refuseRunning(session);
  if (!replaces && !await isEmpty(session.client)) {
    await session[Symbol.asyncDispose]();
    throw new StartError(
      `Cannot restore: the database ${placeOf(url)} is not empty; --replace drops what is in it, or restore elsewhere`,
    );
  }
  return session;
}

function placeOf(url: Secret): string {
  return new URL(url.reveal()).pathname.slice(1);
}

interface Rebuild {
  readonly table: string;
  readonly bytes: number;
  readonly isFinished: boolean;
  begin(script: string, namespaces: readonly string[]): Promise<void>;
  addRows(table: number, rows: Uint8Array): Promise<void>;
  finish(script: string): Promise<void>;
  commit(): Promise<void>;
}

/** Entries come in the order in which a backup writes them; in another one the database refuses. */
async function beginRebuild(
  { client }: DumpSession,
  contents: DatabaseContents,
  { replaces }: RestoreOptions,
): Promise<Rebuild> {
  await client.query("begin");
  const target: Target = await readTarget(client);
  if (replaces) await emptyDatabase(target);
  let names: RoleNames = (name) => name;
  let writer: RowsWriter | undefined;
  let index = -1;
  const rebuild = {
    table: "",
    bytes: 0,
    isFinished: false,
    async begin(script: string, namespaces: readonly string[]) {
      names = roleNames(contents, target, namespaces);
      await makeRoles(target, contents.roles, names);
      await runScript(target, script, names);
    },
    async addRows(at: number, rows: Uint8Array) {
      if (at !== index) {
        await writer?.end();
        const table = contents.tables[at];
        if (table === undefined) {
          throw new StartError("Cannot restore: the backup has rows of a table it does not name");
        }
        rebuild.table = table.name;
        writer = await writeRows(client, table);
        index = at;
      }
      await writer?.write(rows);
      rebuild.bytes += rows.length;
    },
    async finish(script: string) {
      await writer?.end();
      await setSequences(client, contents.sequences);
      await runScript(target, script, names);
      await takeBackRights(target);
      await refreshViews(client, contents.views);
      rebuild.isFinished = true;
    },
    async commit() {
      await client.query("commit");
    },
  };
  return rebuild;
}

function textOf({ bytes }: ArchiveEntry): string {
  return new TextDecoder().decode(bytes);
}

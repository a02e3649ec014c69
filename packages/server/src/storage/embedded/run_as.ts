/**
 * Who runs the embedded Postgres: the server's own user, or an unprivileged one when the server runs as root, since
 * Postgres refuses root and any uid without an entry in /etc/passwd.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { StartError } from "../start_error.ts";
import { mayBecome, readStanding } from "./user_ids.ts";

/** Null uid and gid: the server's own user. */
export interface RunAs {
  readonly uid: number | null;
  readonly gid: number | null;
}

const CANDIDATES = ["postgres", "nobody"];

export async function chooseRunAs(): Promise<RunAs> {
  if (Deno.uid() !== 0) return { uid: null, gid: null };
  const entries = (await Deno.readTextFile("/etc/passwd")).split("\n").map((line) => line.split(":"));
  for (const name of CANDIDATES) {
    const entry = entries.find(([user]) => user === name);
    const uid = Number(entry?.[2]);
    const gid = Number(entry?.[3]);
    if (!(Number.isInteger(uid) && uid > 0 && Number.isInteger(gid))) continue;
    const standing = readStanding();
    if ([uid, gid].every((first) => mayBecome({ first, count: 1 }, standing))) return { uid, gid };
    throw new StartError(
      `Cannot run the embedded Postgres: it refuses root, and this root may not become user ${name} (no capabilities, or a user namespace without that user); start as an ordinary user, or set DATABASE_URL to another Postgres`,
    );
  }
  throw new StartError(
    "Cannot run the embedded Postgres as root, and neither user postgres nor nobody exists: create one, or start as an ordinary user",
  );
}

/** The folder for what `runAs` has to reach: the data directory, or one elsewhere when that is out of its reach. */
export async function chooseHome(dataDir: string, runAs: RunAs): Promise<string> {
  if (await isReachable(dataDir, runAs)) return dataDir;
  const digest = createHash("sha256").update(dataDir).digest("hex").slice(0, 12);
  const home = join("/var/lib/fluxbase", digest);
  await Deno.mkdir(home, { recursive: true, mode: 0o755 });
  return home;
}

/** Whether the user can pass through every folder above `path` and read it. Only asked for a user other than ours. */
export async function isReachable(path: string, { uid, gid }: RunAs): Promise<boolean> {
  if (uid === null) return true;
  for (let dir = path;; dir = dirname(dir)) {
    const info = await Deno.stat(dir);
    const bit = info.uid === uid ? 0o100 : info.gid === gid ? 0o010 : 0o001;
    if (info.isDirectory && ((info.mode ?? 0) & bit) === 0) return false;
    if (dir === dirname(dir)) return true;
  }
}

export async function chownTree(path: string, { uid, gid }: RunAs): Promise<void> {
  if (uid === null) return;
  const info = await Deno.lstat(path);
  if (info.isSymlink) return;
  await Deno.chown(path, uid, gid);
  if (!info.isDirectory) return;
  for await (const entry of Deno.readDir(path)) await chownTree(join(path, entry.name), { uid, gid });
}

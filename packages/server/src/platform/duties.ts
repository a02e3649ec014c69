/**
 * The servers of one database, and what one of them does for all: backups, and ending what is kept for long enough.
 *
 * @module
 */
import { type Backups, startBackupSchedule } from "../backup/schedule.ts";
import { startNodes } from "../nodes/nodes.ts";
import { startPurging } from "../storage/purge.ts";
import { RELEASE } from "../storage/release.ts";
import { type Base, ownName } from "./base.ts";
import type { Databases } from "./databases.ts";
import { loadOf } from "./node_load.ts";
import type { RootSecrets } from "./root_secrets.ts";
import type { Sandboxes } from "./sandboxes.ts";

export type Duties = Awaited<ReturnType<typeof startDuties>>;

export async function startDuties(
  { config, log, clock, dataDir, parts }: Base,
  { db, directUrl, usersUrl, keyRing, sandboxes }: Databases & RootSecrets & Sandboxes,
) {
  const nodes = parts.use(
    await startNodes({
      db,
      clock,
      log,
      version: RELEASE.version,
      place: ownName(`${Deno.hostname()}:${dataDir}`, config),
      load: () => loadOf(sandboxes),
    }),
  );
  const retention = await nodes.lease("retention");
  let backups: Backups | null = null;
  if (config.backup !== null) {
    const lease = await nodes.lease("backup");
    backups = parts.use(startBackupSchedule({
      ...config.backup,
      databases: { platform: directUrl, users: config.databaseShared ? null : usersUrl ?? null },
      keyIds: keyRing.ids,
      isOurs: () => lease.isOurs,
      log,
      epochMs: clock.epochMs,
    }));
  }
  parts.use(
    startPurging({ db, log, auditLogDays: config.auditLogDays, tasks: config.tasks, isOurs: () => retention.isOurs }),
  );
  return { nodes, backups };
}

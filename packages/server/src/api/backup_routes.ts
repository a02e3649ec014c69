/**
 * Routes by which admins see the backups of the server, and make one.
 *
 * @module
 */
import { type BackupsView, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import type { Backups } from "../backup/schedule.ts";
import type { Route } from "./route.ts";

const view = z.object({
  schedule: z.object({ dir: z.string(), every_hours: z.number(), keep: z.int() }).nullable(),
  backups: z.array(z.object({ name: z.string(), size_bytes: z.int(), created_at: z.iso.datetime() })),
  running: z.boolean(),
  last_error: z.string().nullable(),
}) satisfies z.ZodType<BackupsView>;

export function backupRoutes(backups: Backups | null): Route[] {
  return [
    {
      method: "GET",
      path: "/admin/backups",
      summary: "List backups of this server, newest first, and when the next one is due",
      access: "admin",
      answer: { status: 200, schema: view },
      handle: async () => ({ status: 200, body: await viewOf(backups) }),
    },
    {
      method: "POST",
      path: "/admin/backups",
      summary: "Starts a backup into the folder of this server; the list shows it when it is whole",
      access: "admin",
      audit: { target: () => "backup" },
      answer: { status: 202, schema: view },
      async handle() {
        if (backups === null) {
          throw new PlatformError(
            "FEATURE_DISABLED",
            "Cannot start a backup: this server has no folder for them; set FLUXBASE_BACKUP_DIR, or run `fluxbase backup <file>` on its machine",
          );
        }
        backups.begin();
        return { status: 202, body: await viewOf(backups) };
      },
    },
  ];
}

async function viewOf(backups: Backups | null): Promise<BackupsView> {
  if (backups === null) return { schedule: null, backups: [], running: false, last_error: null };
  const { dir, everyHours, keepCount, isRunning, lastError } = backups;
  return {
    schedule: { dir, every_hours: everyHours, keep: keepCount },
    backups: (await backups.list()).map(({ name, sizeBytes, madeMs }) => ({
      name,
      size_bytes: sizeBytes,
      created_at: new Date(madeMs).toISOString(),
    })),
    running: isRunning,
    last_error: lastError,
  };
}

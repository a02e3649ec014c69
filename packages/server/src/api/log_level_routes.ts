/**
 * Routes that show and change how much servers log, while they run.
 *
 * Owns: that every server follows what was set, and goes back to its own configuration when it is set no more.
 *
 * @module
 */
import { LOG_LEVELS, type LogLevelView, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import type { AdjustableLog } from "../core/log.ts";
import type { Db } from "../storage/db.ts";
import type { Listener } from "../storage/listener.ts";
import { findServerSetting, setServerSetting } from "../storage/server_settings.ts";
import type { ApiCall, Route } from "./route.ts";

const SETTINGS_CHANNEL = "fluxbase_server_settings";
const NAME = "log_level";

const levels = z.enum(LOG_LEVELS);
const change = z.object({ level: levels.nullable() });
const view = z.object({ level: levels, configured: levels }) satisfies z.ZodType<LogLevelView>;

export interface LogLevelParts {
  readonly db: Db;
  readonly listener: Listener;
  readonly log: AdjustableLog;
}

export async function logLevelRoutes({ db, listener, log }: LogLevelParts): Promise<Route[]> {
  const configured = log.level;

  async function read(): Promise<void> {
    const { data } = levels.safeParse(await findServerSetting(db, NAME));
    log.level = data ?? configured;
  }

  const follower = await listener.follow({ what: "server settings", channels: [SETTINGS_CHANNEL], read });
  const shown = (): LogLevelView => ({ level: log.level, configured });

  async function put(call: ApiCall) {
    const { data } = change.safeParse(await call.body());
    if (data === undefined) {
      throw new PlatformError(
        "INVALID_ARGUMENT",
        `Cannot set the log level: the body must be such as {"level": "debug"}, with one of ${
          LOG_LEVELS.join(", ")
        }, or null for that of the configuration`,
      );
    }
    await setServerSetting(db, NAME, data.level);
    await follower.refresh();
    return { status: 200, body: shown() };
  }

  return [
    {
      method: "GET",
      path: "/admin/log-level",
      summary: "Get the log level",
      access: "admin",
      answer: { status: 200, schema: view },
      handle: () => ({ status: 200, body: shown() }),
    },
    {
      method: "PUT",
      path: "/admin/log-level",
      summary: "Set the log level of all servers; null resets it",
      access: "admin",
      body: change,
      answer: { status: 200, schema: view },
      audit: { before: () => Promise.resolve(shown()), target: () => NAME },
      handle: put,
    },
  ];
}

/**
 * `fluxbase audit`, `fluxbase limits` and `fluxbase log-level`: what happened on a server, what it allows, what it logs.
 *
 * @module
 */
import { createClient, type ListAuditLog, type LogLevel } from "@fluxbase/sdk";
import type { Command } from "commander";
import { withClient, withOptions } from "../action.ts";
import { printObject, printRows } from "../output.ts";
import { urlOf } from "../connection.ts";

const FILTERS: Readonly<Record<string, string>> = {
  "--actor <id>": "only entries of this user or key",
  "--action <action>": "only this action, such as 'PATCH /functions/{name}'",
  "--target <target>": "only this target, such as default/hello",
  "--code <code>": "only requests refused with this error code",
  "--since <instant>": "from this instant on, such as 2026-01-31T12:00:00Z",
  "--until <instant>": "up to this instant, such as 2026-01-31T12:00:00Z",
  "--before <id>": "only entries before this one, for the next page",
};

export function addAudit(program: Command): void {
  const audit = program.command("audit").description("Show who changed what and who was refused, newest first")
    .option("--limit <count>", "number of entries", "50");
  for (const [flags, description] of Object.entries(FILTERS)) audit.option(flags, description);
  audit.action(withClient<Omit<ListAuditLog, "limit"> & { limit: string }, []>(
    async ({ admin }, { url: _, key: __, profile: ___, output, limit, ...filter }) => {
      const entries = await admin.auditLog.list({ ...filter, limit: Number(limit) });
      const columns = ["id", "timestamp", "actor_kind", "actor_id", "action", "target", "status", "code"];
      printRows(entries, columns, { output });
    },
  ));

  program.command("log-level [level]").description("Show the log level, or set it on all servers")
    .option("--reset", "return to the configured level")
    .action(withClient<{ reset?: boolean }, [string | undefined]>(async ({ admin }, { reset, ...options }, level) => {
      const wanted = reset ? null : level;
      const view = wanted === undefined
        ? await admin.logLevel.get()
        : await admin.logLevel.set(wanted as LogLevel | null);
      printObject(view, ["level", "configured"], options);
    }));

  program.command("limits").description("List the limits of the server with their bounds")
    .action(withOptions(async (options) => {
      const limits = await createClient(urlOf(options)).admin.limits.list();
      const rows = Object.entries(limits).map(([name, limit]) => ({ name, ...limit }));
      printRows(rows, ["name", "value", "min", "max"], options);
    }));
}

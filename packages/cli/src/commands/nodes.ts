/**
 * `fluxbase nodes`, `config` and `backups`: the servers that share a database, and what each is set to and keeps.
 *
 * @module
 */
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { printJson, printRows, say } from "../output.ts";

const COLUMNS = ["name", "version", "status", "seen_at", "sandboxes", "busy", "waiting", "memory_mb", "leases"];

export function addNodes(program: Command): void {
  program.command("nodes").description("List the servers that share the database, with their load")
    .action(withClient(async ({ admin }, options) => {
      const nodes = await admin.nodes.list();
      const rows = options.output === "json"
        ? nodes
        : nodes.map(({ load, leases, ...node }) => ({ ...node, ...load, leases: leases.join(", ") }));
      printRows(rows, COLUMNS, options);
    }));

  program.command("config").description("List the settings of the server with their value, default and source")
    .option("--set", "only settings that are not at their default")
    .action(withClient<{ set?: boolean }, []>(async ({ admin }, options) => {
      const settings = await admin.config.list();
      const shown = options.set ? settings.filter(({ source }) => source !== "default") : settings;
      const rows = options.output === "json"
        ? shown
        : shown.map((one) => ({ ...one, value: one.is_secret && one.source !== "default" ? "(secret)" : one.value }));
      printRows(rows, ["name", "value", "default", "source"], options);
    }));

  const backups = program.command("backups").description("Manage backups in the folder of the server");
  backups.command("list").description("List backups, newest first").action(withClient(async ({ admin }, options) => {
    const found = await admin.backups.list();
    if (options.output === "json") return printJson(found);
    const { schedule, running, last_error: lastError } = found;
    printRows(found.backups, ["name", "size_bytes", "created_at"], options);
    say(
      schedule === null
        ? "This server makes no backups: set FLUXBASE_BACKUP_DIR"
        : `Every ${schedule.every_hours} hours into ${schedule.dir}, which keeps ${schedule.keep}`,
    );
    if (running) say("A backup is being made");
    if (lastError !== null) say(`The last one failed: ${lastError}`);
  }));
  backups.command("create").description("Start a backup into the folder of the server").action(
    withClient(async ({ admin }) => {
      await admin.backups.create();
      say('Started a backup: "fluxbase backups list" shows it when it is whole');
    }),
  );
}

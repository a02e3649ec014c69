/**
 * `fluxbase nodes`: the servers that share a database.
 *
 * @module
 */
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { printRows } from "../output.ts";

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
}

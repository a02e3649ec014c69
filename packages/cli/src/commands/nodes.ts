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
  program.command("nodes").description("the servers that share the database, and what each has to do")
    .action(withClient(async ({ admin }, options) => {
      const nodes = await admin.nodes.list();
      const rows = options.output === "json"
        ? nodes
        : nodes.map(({ load, leases, ...node }) => ({ ...node, ...load, leases: leases.join(", ") }));
      printRows(rows, COLUMNS, options);
    }));
}

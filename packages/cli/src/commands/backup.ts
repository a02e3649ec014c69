/**
 * `fluxbase backup` and `fluxbase restore`: everything that the server of this folder keeps, in one file.
 *
 * @module
 */
import type { Command } from "commander";
import { withOptions } from "../action.ts";
import { runMaintenance } from "../launcher.ts";
import { pathOf } from "../connection.ts";

export function addBackup(program: Command): void {
  program.command("backup <file>").description("Write a backup of all data to a file; works while the server runs")
    .option("--force", "overwrite an existing file")
    .action(
      withOptions<{ force?: boolean }, [string]>(({ force }, file) =>
        runMaintenance(["backup", pathOf(file), ...(force ? ["--force"] : [])])
      ),
    );

  program.command("restore <file>").description("Restore the databases from a backup; the server must be stopped")
    .option("--replace", "drop what the databases hold")
    .action(
      withOptions<{ replace?: boolean }, [string]>(({ replace }, file) =>
        runMaintenance(["restore", pathOf(file), ...(replace ? ["--replace"] : [])])
      ),
    );
}

/**
 * `fluxbase backup` and `fluxbase restore`: everything that the server of this folder keeps, in one file; and whether
 * another release may have it (`fluxbase upgrade --check`).
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

  program.command("upgrade").description("Show what starting the installed release changes; changes nothing itself")
    .requiredOption("--check", "compare the installed release with the database")
    .action(withOptions<{ check: boolean }, []>(() => runMaintenance(["upgrade-check"])));
}

/**
 * `fluxbase backup` and `fluxbase restore`: everything that the server of this folder keeps, in one file.
 *
 * @module
 */
import type { Command } from "commander";
import { withOptions } from "../action.ts";
import { runMaintenance } from "../launcher.ts";
import { pathOf } from "../place.ts";

export function addBackup(program: Command): void {
  program.command("backup <file>").description("write all that the server keeps to a file, while it runs or not")
    .option("--force", "replace a file that is there")
    .action(
      withOptions<{ force?: boolean }, [string]>(({ force }, file) =>
        runMaintenance(["backup", pathOf(file), ...(force ? ["--force"] : [])])
      ),
    );

  program.command("restore <file>").description("make the databases what a backup says; the server must not run")
    .option("--replace", "drop what the databases hold")
    .action(
      withOptions<{ replace?: boolean }, [string]>(({ replace }, file) =>
        runMaintenance(["restore", pathOf(file), ...(replace ? ["--replace"] : [])])
      ),
    );
}

/**
 * `fluxbase start` and `fluxbase dev`: the server on this machine, in this folder.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import process from "node:process";
import type { Command } from "commander";
import { withOptions } from "../action.ts";
import { launcher } from "../launcher.ts";
import { pathOf } from "../place.ts";

export function addServer(program: Command): void {
  program.command("start").description("run the server here: its data in .fluxbase/, functions of functions/")
    .action(withOptions(async () => {
      const { startServer } = await launcher();
      process.exitCode = await startServer({ cwd: pathOf(".") });
    }));

  program.command("dev").description("run the server here, follow changes of functions/, and show what functions log")
    .action(withOptions(async () => {
      const { startServer, DEVELOPMENT } = await launcher();
      mkdirSync(pathOf("functions"), { recursive: true });
      process.exitCode = await startServer({ cwd: pathOf("."), env: DEVELOPMENT });
    }));
}

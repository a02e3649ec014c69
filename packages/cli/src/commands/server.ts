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
import { pathOf } from "../connection.ts";

interface Options {
  readonly port?: string;
}

export function addServer(program: Command): void {
  const command = (name: string, description: string) =>
    program.command(name).description(description).option(
      "-p, --port <number>",
      "port (default: 8080); 0 picks a free one",
    );

  command("start", "Run the server in this folder, with data in .fluxbase/ and functions from functions/")
    .action(withOptions<Options, []>((options) => run(options)));

  command("dev", "Run the server in this folder, redeploy functions/ on every change, and show their logs")
    .action(withOptions<Options, []>(async (options) => {
      mkdirSync(pathOf("functions"), { recursive: true });
      await run(options, (await launcher()).DEVELOPMENT);
    }));
}

async function run({ port }: Options, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const { startServer } = await launcher();
  // What was typed wins over what was exported.
  if (port !== undefined) process.env["FLUXBASE_SERVER_ADDRESS"] = `:${port}`;
  process.exitCode = await startServer({ cwd: pathOf("."), env });
}

/**
 * The `fluxbase` command.
 *
 * @module
 */
import process from "node:process";
import { FluxbaseError } from "@fluxbase/sdk";
import { Command, CommanderError, Option } from "commander";
import { UsageError } from "./src/context.ts";
import { addFunctions } from "./src/functions.ts";
import { addInspection } from "./src/inspect.ts";
import { say } from "./src/output.ts";
import { addDatabase, addKeys, addLogin, addSettings, addShared } from "./src/settings.ts";

const EXIT = { failure: 1, usage: 2 } as const;

const program = new Command("fluxbase").description("The command line of Fluxbase").version("0.1.0")
  .option("--url <url>", "the server; FLUXBASE_URL, else the profile's, else http://localhost:8080")
  .option("--key <key>", "key or token; FLUXBASE_SERVICE_ROLE_KEY or FLUXBASE_CLIENT_KEY, else the profile's")
  .option("--profile <name>", "a profile of `fluxbase login`")
  .addOption(new Option("--output <format>", "how answers are shown").choices(["table", "json"]).default("table"))
  .showSuggestionAfterError().showHelpAfterError("(--help says more)").exitOverride();
addLogin(program);
addFunctions(program);
addShared(program);
addSettings(program);
addKeys(program);
addDatabase(program);
addInspection(program);
inherit(program);

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
  else {
    say(`error: ${error instanceof Error ? error.message : error}`);
    if (error instanceof FluxbaseError && error.requestId !== null) {
      say(`code ${error.code}, request ${error.requestId}`);
    }
    process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failure;
  }
}

/** Commander does not hand its behaviour at errors down by itself. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    inherit(child);
  }
}

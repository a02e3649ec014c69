/**
 * The `fluxbase` command.
 *
 * @module
 */
import process from "node:process";
import { FluxbaseError } from "@fluxbase/sdk";
import completion from "@bomb.sh/tab/commander";
import { Command, CommanderError, Option } from "commander";
import { addAudit } from "./src/commands/audit.ts";
import { addBackup } from "./src/commands/backup.ts";
import { addDatabase } from "./src/commands/database.ts";
import { addDoctor } from "./src/commands/doctor.ts";
import { addExecutions } from "./src/commands/executions.ts";
import { addFunctions } from "./src/commands/functions.ts";
import { addHooks } from "./src/commands/hooks.ts";
import { addAlerts } from "./src/commands/alerts.ts";
import { addTasks } from "./src/commands/tasks.ts";
import { addImport } from "./src/commands/import.ts";
import { addKeys } from "./src/commands/keys.ts";
import { addLogin } from "./src/commands/login.ts";
import { addTop } from "./src/commands/metrics.ts";
import { addSchedules } from "./src/commands/schedules.ts";
import { addSecrets } from "./src/commands/secrets.ts";
import { addNodes } from "./src/commands/nodes.ts";
import { addServer } from "./src/commands/server.ts";
import { addService } from "./src/commands/service.ts";
import { addSettings } from "./src/commands/settings.ts";
import { addShared } from "./src/commands/shared.ts";
import { addTypes } from "./src/commands/types.ts";
import { addUsers } from "./src/commands/users.ts";
import { paint, say } from "./src/output.ts";
import { UsageError } from "./src/place.ts";
import manifest from "./package.json" with { type: "json" };

const EXIT = { failure: 1, usage: 2 } as const;

const program = new Command("fluxbase").description("The command line of Fluxbase").version(manifest.version)
  .option("--url <url>", "the server; FLUXBASE_URL, else the profile's, else http://localhost:8080")
  .option("--key <key>", "key or token; FLUXBASE_SERVICE_ROLE_KEY or FLUXBASE_CLIENT_KEY, else the profile's")
  .option("--profile <name>", "a profile of `fluxbase login`")
  .addOption(new Option("--output <format>", "how answers are shown").choices(["table", "json"]).default("table"))
  .showSuggestionAfterError().showHelpAfterError("(--help says more)").exitOverride();
addServer(program);
addLogin(program);
addFunctions(program, manifest.version);
addShared(program);
addSettings(program);
addSecrets(program);
addImport(program);
addKeys(program);
addDatabase(program);
addBackup(program);
addTypes(program);
addTop(program);
addExecutions(program);
addHooks(program);
addTasks(program);
addAlerts(program);
addNodes(program);
addService(program);
addSchedules(program);
addUsers(program);
addAudit(program);
addDoctor(program);
completion(program);

// Whoever read has read enough, as `head` has.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
  else {
    say(`${paint("red", "error:", process.stderr)} ${error instanceof Error ? error.message : error}`);
    if (error instanceof FluxbaseError && error.requestId !== null) {
      say(`code ${error.code}, request ${error.requestId}`);
    }
    process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failure;
  }
}

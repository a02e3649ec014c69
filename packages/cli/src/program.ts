/**
 * Every command, with what it takes.
 *
 * @module
 */
import completion from "@bomb.sh/tab/commander";
import { Command, Option } from "commander";
import { addAlerts } from "./commands/alerts.ts";
import { addAudit } from "./commands/audit.ts";
import { addBackup } from "./commands/backup.ts";
import { addDatabase } from "./commands/database.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExecutions } from "./commands/executions.ts";
import { addFunctions } from "./commands/functions.ts";
import { addHooks } from "./commands/hooks.ts";
import { addImport } from "./commands/import.ts";
import { addKeys } from "./commands/keys.ts";
import { addLogin } from "./commands/login.ts";
import { addTop } from "./commands/metrics.ts";
import { addNodes } from "./commands/nodes.ts";
import { addSchedules } from "./commands/schedules.ts";
import { addSecrets } from "./commands/secrets.ts";
import { addServer } from "./commands/server.ts";
import { addService } from "./commands/service.ts";
import { addSettings } from "./commands/settings.ts";
import { addShared } from "./commands/shared.ts";
import { addTasks } from "./commands/tasks.ts";
import { addTypes } from "./commands/types.ts";
import { addUsers } from "./commands/users.ts";

export function createProgram(version: string): Command {
  const program = new Command("fluxbase").description("The command line of Fluxbase").version(version)
    .option("--url <url>", "URL of the server (default: FLUXBASE_URL, the profile, or http://localhost:8080)")
    .option("--key <key>", "key or token (default: FLUXBASE_SERVICE_ROLE_KEY, FLUXBASE_CLIENT_KEY, or the profile)")
    .option("--profile <name>", "profile saved by `fluxbase login`")
    .addOption(new Option("--output <format>", "output format").choices(["table", "json"]).default("table"))
    .showSuggestionAfterError().showHelpAfterError("Run `fluxbase --help` for usage.").exitOverride();
  addServer(program);
  addLogin(program);
  addFunctions(program, version);
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
  return program;
}

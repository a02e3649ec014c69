/**
 * `fluxbase settings secrets …`
 *
 * @module
 */
import type { FluxbaseClient, SettingsClient } from "@fluxbase/sdk";
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { printObject, printRows, readSecret, say, warn } from "../output.ts";

interface Scope {
  readonly user?: boolean;
  readonly namespace?: readonly string[];
}

const FIELDS = ["key", "namespaces", "description", "updated_at", "updated_by"];

export function addSettings(program: Command): void {
  const secrets = program.command("settings").description("settings of the server, and of users")
    .command("secrets").description("secrets that functions read; values are set, never shown");
  const command = (usage: string, description: string) =>
    secrets.command(usage).description(description).option("--user", "of the user who speaks, not of the server");
  const one = (usage: string, description: string) =>
    command(usage, description).option("-n, --namespace <name...>", "the one for functions of these namespaces");
  const placeOf = ({ namespace }: Scope) => namespace === undefined ? {} : { namespaces: namespace };
  const of = ({ settings, admin }: FluxbaseClient, { user }: Scope): SettingsClient => user ? settings : admin.settings;

  one("set <key> [value]", "set one; without a value it is read from stdin or a prompt")
    .option("--description <text>", "what it is for")
    .action(withClient<Scope & { description?: string }, [string, string | undefined]>(
      async (client, { description, ...scope }, key, value) => {
        const given = value ?? await readSecret(`Value of ${key}: `);
        const fields = description === undefined ? {} : { description };
        await of(client, scope).setSecret(key, given, { ...fields, ...placeOf(scope) });
        say(`Set secret ${key}`);
        if (value !== undefined) warn("others on this machine can see a value on the command line; a pipe they cannot");
      },
    ));
  one("get <key>", "show what is known of one; never its value")
    .action(withClient<Scope, [string]>(async (client, options, key) => {
      printObject(await of(client, options).getSecret(key, placeOf(options)), FIELDS, options);
    }));
  command("list", "list them, without values").action(withClient<Scope, []>(async (client, options) => {
    printRows(await of(client, options).listSecrets(), FIELDS, options);
  }));
  one("delete <key>", "delete one").action(withClient<Scope, [string]>(async (client, options, key) => {
    await of(client, options).deleteSecret(key, placeOf(options));
    say(`Deleted secret ${key}`);
  }));
}

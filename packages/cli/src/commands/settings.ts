/**
 * `fluxbase settings …` and `fluxbase settings secrets …`
 *
 * @module
 */
import type { FluxbaseClient, SettingsClient } from "@fluxbase/sdk";
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { print, printJson, printObject, printRows, readSecret, say, warn } from "../output.ts";

interface Scope {
  readonly user?: boolean;
  readonly namespace?: readonly string[];
}

const FIELDS = ["key", "namespaces", "description", "updated_at", "updated_by"];

export function addSettings(program: Command): void {
  const settings = program.command("settings").description("Manage settings that programs store on the server");
  addValues(settings);
  const secrets = settings.command("secrets").description("Manage secrets that functions read; values are never shown");
  const command = (usage: string, description: string) =>
    secrets.command(usage).description(description).option(
      "--user",
      "your own, as the signed-in user, instead of the server's",
    );
  const one = (usage: string, description: string) =>
    command(usage, description).option("-n, --namespace <name...>", "only for functions of these namespaces");
  const placeOf = ({ namespace }: Scope) => namespace === undefined ? {} : { namespaces: namespace };
  const of = ({ settings, admin }: FluxbaseClient, { user }: Scope): SettingsClient => user ? settings : admin.settings;

  one("set <key> [value]", "Set a secret; reads the value from stdin or a prompt if it is not given")
    .option("--description <text>", "description")
    .action(withClient<Scope & { description?: string }, [string, string | undefined]>(
      async (client, { description, ...scope }, key, value) => {
        const given = value ?? await readSecret(`Value of ${key}: `);
        const fields = description === undefined ? {} : { description };
        await of(client, scope).setSecret(key, given, { ...fields, ...placeOf(scope) });
        say(`Set secret ${key}`);
        if (value !== undefined) warn("others on this machine can see a value on the command line; a pipe they cannot");
      },
    ));
  one("get <key>", "Show a secret without its value")
    .action(withClient<Scope, [string]>(async (client, options, key) => {
      printObject(await of(client, options).getSecret(key, placeOf(options)), FIELDS, options);
    }));
  command("list", "List secrets without their values").action(withClient<Scope, []>(async (client, options) => {
    printRows(await of(client, options).listSecrets(), FIELDS, options);
  }));
  one("delete <key>", "Delete a secret").action(withClient<Scope, [string]>(async (client, options, key) => {
    await of(client, options).deleteSecret(key, placeOf(options));
    say(`Deleted secret ${key}`);
  }));
}

/** What programs keep on the server. */
function addValues(settings: Command): void {
  const command = (usage: string, description: string) =>
    settings.command(usage).description(description).option(
      "--user",
      "your own, as the signed-in user, instead of the server's",
    );
  const of = ({ settings, admin }: FluxbaseClient, { user }: Scope) => user ? settings : admin.settings;

  command("set <key> <value>", "Set a setting to a JSON value or text")
    .option("--description <text>", "description").option("--public", "readable by everybody")
    .option("--private", "readable only by admins")
    .action(withClient<Scope & { description?: string; public?: boolean; private?: boolean }, [string, string]>(
      async (client, { description, ...options }, key, value) => {
        const isPublic = options.public ?? (options.private ? false : undefined);
        await of(client, options).setSetting(key, jsonOf(value), {
          ...(description === undefined ? {} : { description }),
          ...(isPublic === undefined ? {} : { is_public: isPublic }),
        });
        say(`Set ${key}`);
      },
    ));
  command("get <key>", "Show the value of a setting").action(
    withClient<Scope, [string]>(async (client, options, key) => {
      const { value } = await of(client, options).getSetting(key);
      if (typeof value === "string" && options.output !== "json") print(value);
      else printJson(value);
    }),
  );
  command("list", "List settings").action(withClient<Scope, []>(async (client, options) => {
    const fields = ["key", "value", ...(options.user ? [] : ["is_public"]), "description", "updated_at"];
    printRows(await of(client, options).listSettings(), fields, options);
  }));
  command("delete <key>", "Delete a setting").action(withClient<Scope, [string]>(async (client, options, key) => {
    await of(client, options).deleteSetting(key);
    say(`Deleted ${key}`);
  }));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

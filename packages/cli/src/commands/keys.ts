/**
 * `fluxbase keys …`
 *
 * @module
 */
import type { FluxbaseClient, KeyFields, KeysClient } from "@fluxbase/sdk";
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { print, printJson, printObject, printRows, say } from "../output.ts";
import { UsageError } from "../connection.ts";

interface Kind {
  readonly service?: boolean;
}

interface Fields {
  readonly name?: string;
  readonly description?: string;
  readonly scope?: readonly string[];
  readonly namespace?: readonly string[];
  readonly expiresAt?: string;
  readonly rateLimit?: string;
  readonly rateLimitPerHour?: string;
  readonly rateLimitPerDay?: string;
}

const FIELDS = [
  "id",
  "name",
  "key_prefix",
  "scopes",
  "namespaces",
  "rate_limit_per_minute",
  "rate_limit_per_hour",
  "rate_limit_per_day",
  "expires_at",
  "revoked_at",
  "last_used_at",
];

export function addKeys(program: Command): void {
  const keys = program.command("keys").description("Manage client keys, and with --service service keys");
  const command = (usage: string, description: string) =>
    keys.command(usage).description(description).option("--service", "a service key instead of a client key");
  const withFields = (made: Command) =>
    made.option("--description <text>", "description")
      .option("--scope <scope...>", "scopes, such as functions:invoke")
      .option("--namespace <name...>", "limit the key to these namespaces")
      .option("--expires-at <instant>", "expiry, such as 2030-01-31T12:00:00Z")
      .option("--rate-limit <count>", "requests per minute; 0 for no limit")
      .option("--rate-limit-per-hour <count>", "requests per hour; 0 for no limit")
      .option("--rate-limit-per-day <count>", "requests per day; 0 for no limit");
  const of = ({ keys: client, admin }: FluxbaseClient, { service }: Kind): KeysClient =>
    service ? admin.serviceKeys : client;

  withFields(command("create <name>", "Create a key; it is shown only once")).option(
    "--user-id <id>",
    "id of the user who owns the key",
  )
    .action(withClient<Kind & Fields & { userId?: string }, [string]>(async (client, options, name) => {
      const owner = options.userId === undefined ? {} : { user_id: options.userId };
      showKey(await of(client, options).create({ ...fieldsOf(options), ...owner, name }), options.output);
    }));
  command("list", "List keys").action(withClient<Kind, []>(async (client, options) => {
    printRows(await of(client, options).list(), FIELDS, options);
  }));
  command("get <id>", "Show a key without its value").action(
    withClient<Kind, [string]>(async (client, options, id) => {
      printObject(await of(client, options).get(id), FIELDS, options);
    }),
  );
  withFields(command("update <id>", "Change a key").option("--name <name>", "new name"))
    .action(withClient<Kind & Fields, [string]>(async (client, options, id) => {
      const change = fieldsOf(options);
      if (Object.keys(change).length === 0) throw new UsageError("Nothing to change: --help lists the fields");
      printObject(await of(client, options).update(id, change), FIELDS, options);
    }));
  command("revoke <id>", "Revoke a key permanently").action(withClient<Kind, [string]>(async (client, options, id) => {
    await of(client, options).revoke(id);
    say(`Revoked ${id}`);
  }));
  command("disable <id>", "Disable a key until it is enabled again").action(
    withClient<Kind, [string]>(async (client, options, id) => {
      await of(client, options).disable(id);
      say(`Disabled ${id}`);
    }),
  );
  command("enable <id>", "Enable a disabled key").action(withClient<Kind, [string]>(async (client, options, id) => {
    await of(client, options).enable(id);
    say(`Enabled ${id}`);
  }));
  command("deprecate <id>", "Let a key expire after a grace period")
    .option("--grace <duration>", "time it still works, such as 48h (default: 24h)")
    .action(withClient<Kind & Grace, [string]>(async (client, options, id) => {
      const { grace_period_ends_at } = await of(client, options).deprecate(id, options.grace);
      say(`Deprecated ${id}: it works until ${grace_period_ends_at}`);
    }));
  command("rotate <id>", "Replace a key by a new value, which is shown only once")
    .option("--grace <duration>", "time the old key still works, such as 1h")
    .action(withClient<Kind & Grace, [string]>(async (client, options, id) => {
      showKey(await of(client, options).rotate(id, options.grace), options.output);
    }));
  command("delete <id>", "Delete a key").action(withClient<Kind, [string]>(async (client, options, id) => {
    await of(client, options).delete(id);
    say(`Deleted ${id}`);
  }));
}

interface Grace {
  readonly grace?: string;
}

function fieldsOf(fields: Fields): KeyFields {
  const { name, description, scope, namespace, expiresAt, rateLimit, rateLimitPerHour, rateLimitPerDay } = fields;
  return {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(scope === undefined ? {} : { scopes: scope }),
    ...(namespace === undefined ? {} : { namespaces: namespace }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    ...(rateLimit === undefined ? {} : { rate_limit_per_minute: Number(rateLimit) }),
    ...(rateLimitPerHour === undefined ? {} : { rate_limit_per_hour: Number(rateLimitPerHour) }),
    ...(rateLimitPerDay === undefined ? {} : { rate_limit_per_day: Number(rateLimitPerDay) }),
  };
}

function showKey(made: { readonly key: string }, output: "table" | "json"): void {
  if (output === "json") printJson(made);
  else print(made.key);
}

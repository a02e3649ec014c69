/**
 * `fluxbase keys …`
 *
 * @module
 */
import type { FluxbaseClient, KeyFields, KeysClient } from "@fluxbase/sdk";
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { print, printJson, printObject, printRows, say } from "../output.ts";
import { UsageError } from "../place.ts";

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
  const keys = program.command("keys").description("client keys; with --service service keys");
  const command = (usage: string, description: string) =>
    keys.command(usage).description(description).option("--service", "a service key, not a client key");
  const withFields = (made: Command) =>
    made.option("--description <text>", "what it is for")
      .option("--scope <scope...>", "such as functions:invoke")
      .option("--namespace <name...>", "limits it to namespaces")
      .option("--expires-at <instant>", "such as 2030-01-31T12:00:00Z")
      .option("--rate-limit <count>", "requests in a minute; 0 is no limit")
      .option("--rate-limit-per-hour <count>", "requests in an hour")
      .option("--rate-limit-per-day <count>", "requests in a day");
  const of = ({ keys: client, admin }: FluxbaseClient, { service }: Kind): KeysClient =>
    service ? admin.serviceKeys : client;

  withFields(command("create <name>", "make one; it is shown once")).option("--user-id <id>", "whose key it is")
    .action(withClient<Kind & Fields & { userId?: string }, [string]>(async (client, options, name) => {
      const owner = options.userId === undefined ? {} : { user_id: options.userId };
      showKey(await of(client, options).create({ ...fieldsOf(options), ...owner, name }), options.output);
    }));
  command("list", "list them").action(withClient<Kind, []>(async (client, options) => {
    printRows(await of(client, options).list(), FIELDS, options);
  }));
  command("get <id>", "show one; never the key itself").action(
    withClient<Kind, [string]>(async (client, options, id) => {
      printObject(await of(client, options).get(id), FIELDS, options);
    }),
  );
  withFields(command("update <id>", "change what one may do").option("--name <name>", "its name"))
    .action(withClient<Kind & Fields, [string]>(async (client, options, id) => {
      const change = fieldsOf(options);
      if (Object.keys(change).length === 0) throw new UsageError("Nothing to change: --help lists the fields");
      printObject(await of(client, options).update(id, change), FIELDS, options);
    }));
  command("revoke <id>", "revoke one for ever").action(withClient<Kind, [string]>(async (client, options, id) => {
    await of(client, options).revoke(id);
    say(`Revoked ${id}`);
  }));
  command("disable <id>", "refuse one until it is enabled").action(
    withClient<Kind, [string]>(async (client, options, id) => {
      await of(client, options).disable(id);
      say(`Disabled ${id}`);
    }),
  );
  command("enable <id>", "let one work again").action(withClient<Kind, [string]>(async (client, options, id) => {
    await of(client, options).enable(id);
    say(`Enabled ${id}`);
  }));
  command("deprecate <id>", "let one run out after a while")
    .option("--grace <duration>", "such as 48h; 24h without it")
    .action(withClient<Kind & Grace, [string]>(async (client, options, id) => {
      const { grace_period_ends_at } = await of(client, options).deprecate(id, options.grace);
      say(`Deprecated ${id}: it works until ${grace_period_ends_at}`);
    }));
  command("rotate <id>", "give one another value; it is shown once")
    .option("--grace <duration>", "the old value goes on for so long, such as 1h")
    .action(withClient<Kind & Grace, [string]>(async (client, options, id) => {
      showKey(await of(client, options).rotate(id, options.grace), options.output);
    }));
  command("delete <id>", "delete one").action(withClient<Kind, [string]>(async (client, options, id) => {
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

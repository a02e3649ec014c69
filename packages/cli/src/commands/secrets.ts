/**
 * `fluxbase secrets …`
 *
 * @module
 */
import { FluxbaseError, type SecretChange, type SecretNamespace } from "@fluxbase/sdk";
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { print, printJson, printObject, printRows, readSecret, say, warn } from "../output.ts";
import { UsageError } from "../connection.ts";

const FIELDS = ["name", "scope", "namespaces", "version", "expires_at", "description", "updated_at", "updated_by"];
const DAY_MS = 86_400_000;
const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: DAY_MS,
  w: 7 * DAY_MS,
  y: 365 * DAY_MS,
};

interface Setting extends SecretNamespace {
  readonly scope?: "global" | "namespace";
  readonly description?: string;
  readonly expires?: string;
}

export function addSecrets(program: Command): void {
  const secrets = program.command("secrets").alias("secret")
    .description("Manage secrets with versions and expiry; values are never shown");
  const one = (usage: string, description: string) =>
    secrets.command(usage).description(description).option("-n, --namespace <name>", "secret of this namespace");
  const placeOf = ({ namespace }: SecretNamespace) => namespace === undefined ? {} : { namespace };

  one("set <name> [value]", "Set a secret; reads the value from stdin or a prompt if it is not given")
    .option("--scope <scope>", "scope of a new secret: global, or namespace together with --namespace")
    .option("--description <text>", "description")
    .option("--expires <duration>", "time until it expires, such as 30d; `never` removes the expiry")
    .action(withClient<Setting, [string, string | undefined]>(async (client, options, name, value) => {
      const place = placeOf(options);
      const change = {
        ...changeOf(options),
        value: value ?? await readSecret(`Value of ${name}: `),
      };
      const { version } = await client.secrets.update(name, change, place).catch(async (error) => {
        if (!(error instanceof FluxbaseError) || error.status !== 404) throw error;
        const { scope } = options;
        return await client.secrets.create({ name, ...change, ...place, ...(scope === undefined ? {} : { scope }) });
      });
      say(`Set secret ${name}, version ${version}`);
      if (value !== undefined) warn("others on this machine can see a value on the command line; a pipe they cannot");
    }));
  secrets.command("list").description("List secrets without their values")
    .option("-n, --namespace <name>", "only secrets of this namespace").option(
      "--scope <scope>",
      "only this scope: global or namespace",
    )
    .action(withClient<SecretNamespace & { scope?: "global" | "namespace" }, []>(async (client, options) => {
      const { scope } = options;
      const asked = { ...placeOf(options), ...(scope === undefined ? {} : { scope }) };
      printRows(await client.secrets.list(asked), FIELDS, options);
    }));
  one("get <name>", "Show a secret without its value")
    .action(withClient<SecretNamespace, [string]>(async (client, options, name) => {
      printObject(await client.secrets.get(name, placeOf(options)), FIELDS, options);
    }));
  one("history <name>", "List the versions of a secret, the current one first").alias("versions")
    .action(withClient<SecretNamespace, [string]>(async (client, options, name) => {
      const versions = await client.secrets.getVersions(name, placeOf(options));
      printRows(versions, ["version", "created_at", "created_by"], options);
    }));
  one("rollback <name> <version>", "Restore an earlier value as a new version")
    .action(withClient<SecretNamespace, [string, string]>(async (client, options, name, version) => {
      const now = await client.secrets.rollback(name, Number(version), placeOf(options));
      say(`Restored version ${version} of secret ${name} as version ${now.version}`);
    }));
  one("delete <name>", "Delete a secret with all its versions").alias("rm")
    .action(withClient<SecretNamespace, [string]>(async (client, options, name) => {
      await client.secrets.delete(name, placeOf(options));
      say(`Deleted secret ${name}`);
    }));
  secrets.command("stats").description("Count secrets: all, expiring within 7 days, expired")
    .action(withClient<object, []>(async (client, { output }) => {
      const stats = await client.secrets.stats();
      if (output === "json") return printJson(stats);
      print(`${stats.total} secrets, ${stats.expiring_soon} expire within 7 days, ${stats.expired} have expired`);
    }));
}

function changeOf({ description, expires }: Setting): SecretChange {
  return {
    ...(description === undefined ? {} : { description }),
    ...(expires === undefined ? {} : { expires_at: expires === "never" ? null : instantAfter(expires) }),
  };
}

function instantAfter(duration: string): string {
  const [, count, unit = ""] = /^(\d{1,9})([smhdwy])$/.exec(duration) ?? [];
  const at = new Date(Date.now() + Number(count) * (UNIT_MS[unit] ?? NaN));
  if (!Number.isNaN(at.getTime())) return at.toISOString();
  throw new UsageError(`Cannot use "${duration}" as --expires: use a duration such as 12h, 30d, 2w or 1y, or never`);
}

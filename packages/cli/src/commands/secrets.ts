/**
 * `fluxbase secrets …`
 *
 * @module
 */
import { FluxbaseError, type SecretChange, type SecretNamespace } from "@fluxbase/sdk";
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { print, printJson, printObject, printRows, readSecret, say, warn } from "../output.ts";
import { UsageError } from "../place.ts";

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
    .description("secrets of the server with versions and an end; values are set, never shown");
  const one = (usage: string, description: string) =>
    secrets.command(usage).description(description).option("-n, --namespace <name>", "the one for this namespace");
  const placeOf = ({ namespace }: SecretNamespace) => namespace === undefined ? {} : { namespace };

  one("set <name> [value]", "set one; without a value it is read from stdin or a prompt")
    .option("--scope <scope>", "of a new one: global, or namespace with --namespace")
    .option("--description <text>", "what it is for")
    .option("--expires <duration>", "functions see it for so long, such as 30d; `never` takes an end away")
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
  secrets.command("list").description("list them, without values")
    .option("-n, --namespace <name>", "those for this namespace").option("--scope <scope>", "global or namespace")
    .action(withClient<SecretNamespace & { scope?: "global" | "namespace" }, []>(async (client, options) => {
      const { scope } = options;
      const asked = { ...placeOf(options), ...(scope === undefined ? {} : { scope }) };
      printRows(await client.secrets.list(asked), FIELDS, options);
    }));
  one("get <name>", "show what is known of one; never its value")
    .action(withClient<SecretNamespace, [string]>(async (client, options, name) => {
      printObject(await client.secrets.get(name, placeOf(options)), FIELDS, options);
    }));
  one("history <name>", "list versions of one, the one in use first").alias("versions")
    .action(withClient<SecretNamespace, [string]>(async (client, options, name) => {
      const versions = await client.secrets.getVersions(name, placeOf(options));
      printRows(versions, ["version", "created_at", "created_by"], options);
    }));
  one("rollback <name> <version>", "make an earlier value the one in use, as a new version")
    .action(withClient<SecretNamespace, [string, string]>(async (client, options, name, version) => {
      const now = await client.secrets.rollback(name, Number(version), placeOf(options));
      say(`Rolled secret ${name} back to version ${version}: it is version ${now.version}`);
    }));
  one("delete <name>", "delete one with all its versions").alias("rm")
    .action(withClient<SecretNamespace, [string]>(async (client, options, name) => {
      await client.secrets.delete(name, placeOf(options));
      say(`Deleted secret ${name}`);
    }));
  secrets.command("stats").description("count them: all, those that expire within 7 days, those that have")
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
  throw new UsageError(`Cannot use "${duration}" as --expires: it must be such as 12h, 30d, 2w, 1y, or never`);
}

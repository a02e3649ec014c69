/**
 * `fluxbase settings secrets …`, `fluxbase keys …`, `fluxbase shared …`, `fluxbase db …`, `fluxbase login`
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { createClient, FluxbaseError, type SettingsClient } from "@fluxbase/sdk";
import type { Command } from "commander";
import { clientOf, type GlobalOptions, keepProfile, pathOf, placeOf } from "./context.ts";
import { runSql } from "./sql.ts";
import { print, printObject, printRows, readSecret, say } from "./output.ts";

const KEY_COLUMNS = ["id", "name", "key_prefix", "scopes", "namespaces", "expires_at", "revoked_at", "last_used_at"];

export function addLogin(program: Command): void {
  program.command("login").description(
    "keep a server and a key for later commands; the key comes from stdin or a prompt",
  )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      const url = options.url ?? process.env["FLUXBASE_URL"] ?? "http://localhost:8080";
      const key = options.key ?? await readSecret("Key: ");
      await createClient(url, key).functions.list();
      const path = keepProfile(options.profile ?? "default", { url, key });
      say(`Logged in to ${url}; kept in ${path}`);
    });
}

export function addSettings(program: Command): void {
  const secrets = program.command("settings").description("settings of the server, and of users")
    .command("secrets").description("secrets that functions read");
  const of = (command: Command): { client: SettingsClient; options: GlobalOptions } => {
    const options = command.optsWithGlobals<GlobalOptions & { user?: boolean }>();
    const client = clientOf(options);
    return { client: options.user ? client.settings : client.admin.settings, options };
  };
  secrets.command("set <key> [value]").description("set one; without a value it is read from stdin or a prompt")
    .option("--user", "of the user whose token is used").option("--description <text>", "what it is for")
    .action(
      async (key: string, value: string | undefined, { description }: { description?: string }, command: Command) => {
        const { client } = of(command);
        const given = value ?? await readSecret(`Value of ${key}: `);
        await client.setSecret(key, given, description === undefined ? {} : { description });
        say(`Set secret ${key}`);
        if (value !== undefined) {
          say("A value on the command line can be seen by others on this machine: a pipe cannot");
        }
      },
    );
  secrets.command("get <key>").description("show what is known of one; never its value").option("--user", "of the user")
    .action(async (key: string, _: unknown, command: Command) => {
      const { client, options } = of(command);
      printObject(await client.getSecret(key), ["key", "description", "updated_at", "updated_by"], options);
    });
  secrets.command("list").description("list them, without values").option("--user", "of the user")
    .action(async (_: unknown, command: Command) => {
      const { client, options } = of(command);
      printRows(await client.listSecrets(), ["key", "description", "updated_at"], options);
    });
  secrets.command("delete <key>").description("delete one").option("--user", "of the user")
    .action(async (key: string, _: unknown, command: Command) => {
      await of(command).client.deleteSecret(key);
      say(`Deleted secret ${key}`);
    });
}

export function addKeys(program: Command): void {
  const keys = program.command("keys").description("client keys; with --service service keys");
  const of = (command: Command) => {
    const options = command.optsWithGlobals<GlobalOptions & { service?: boolean }>();
    const client = clientOf(options);
    return { keys: options.service ? client.admin.serviceKeys : client.keys, options };
  };
  keys.command("create <name>").description("make one; it is shown once").option("--service", "a service key")
    .option("--scope <scope...>", "such as functions:invoke").option("--namespace <name...>", "limits it to namespaces")
    .option("--expires-at <instant>", "such as 2030-01-31T12:00:00Z").option("--user-id <id>", "whose key it is")
    .action(async (
      name: string,
      { scope, namespace, expiresAt, userId }: {
        scope?: string[];
        namespace?: string[];
        expiresAt?: string;
        userId?: string;
      },
      command: Command,
    ) => {
      const { keys: client, options } = of(command);
      const made = await client.create({
        name,
        ...(scope === undefined ? {} : { scopes: scope }),
        ...(namespace === undefined ? {} : { namespaces: namespace }),
        ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
        ...(userId === undefined ? {} : { user_id: userId }),
      });
      print(options.output === "json" ? JSON.stringify(made, null, 2) : made.key);
    });
  keys.command("list").description("list them").option("--service", "service keys")
    .action(async (_: unknown, command: Command) => {
      const { keys: client, options } = of(command);
      printRows(await client.list(), KEY_COLUMNS, options);
    });
  keys.command("revoke <id>").description("revoke one for ever").option("--service", "a service key")
    .action(async (id: string, _: unknown, command: Command) => {
      await of(command).keys.revoke(id);
      say(`Revoked ${id}`);
    });
  keys.command("rotate <id>").description("give one another value; it is shown once").option(
    "--service",
    "a service key",
  )
    .action(async (id: string, _: unknown, command: Command) => print((await of(command).keys.rotate(id)).key));
  keys.command("delete <id>").description("delete one").option("--service", "a service key")
    .action(async (id: string, _: unknown, command: Command) => {
      await of(command).keys.delete(id);
      say(`Deleted ${id}`);
    });
}

export function addShared(program: Command): void {
  const shared = program.command("shared").description("shared modules, which functions import from _shared/");
  shared.command("list").description("list them").action(async (_: unknown, command: Command) => {
    const options = command.optsWithGlobals<GlobalOptions>();
    printRows(await clientOf(options).functions.listSharedModules(), [
      "module_path",
      "version",
      "description",
      "updated_at",
    ], options);
  });
  shared.command("get <path>").description("print the source of one").action(
    async (path: string, _: unknown, command: Command) => {
      print((await clientOf(command.optsWithGlobals<GlobalOptions>()).functions.getSharedModule(path)).content);
    },
  );
  shared.command("set <path> <file>").description("make or change one from a file")
    .action(async (path: string, file: string, _: unknown, command: Command) => {
      const { functions: client } = clientOf(command.optsWithGlobals<GlobalOptions>());
      const content = readFileSync(pathOf(file), "utf8");
      const module = await client.updateSharedModule(path, { content }).catch((error) => {
        if (!(error instanceof FluxbaseError) || error.status !== 404) throw error;
        return client.createSharedModule({ module_path: path, content });
      });
      say(`${module.module_path} is at version ${module.version}`);
    });
  shared.command("delete <path>").description("delete one").action(
    async (path: string, _: unknown, command: Command) => {
      await clientOf(command.optsWithGlobals<GlobalOptions>()).functions.deleteSharedModule(path);
      say(`Deleted ${path}`);
    },
  );
}

export function addDatabase(program: Command): void {
  program.command("db").description("the database that functions use").command("query [sql]")
    .description("run SQL; without it, it is read from stdin or --file").option("--file <path>", "a file with SQL")
    .action(async (sql: string | undefined, { file }: { file?: string }, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      const text = sql ?? (file === undefined ? await readSecret("SQL: ") : readFileSync(pathOf(file), "utf8"));
      const answer = await runSql(placeOf(options), text);
      if (answer.columns.length > 0 || options.output === "json") printRows(answer.rows, answer.columns, options);
      say(`${answer.command} ${answer.row_count}`);
    });
}

/**
 * `fluxbase users …`
 *
 * @module
 */
import type { UserFields } from "@fluxbase/sdk";
import { type Command, Option } from "commander";
import { withClient } from "../action.ts";
import { print, printJson, printObject, printRows, say } from "../output.ts";

const FIELDS = ["id", "email", "role", "email_verified", "created_at", "disabled_at"];

interface ListOptions {
  readonly search?: string;
  readonly role?: "authenticated" | "admin";
  readonly limit: number;
  readonly cursor?: string;
}

interface ChangeOptions {
  readonly email?: string;
  readonly password?: string;
  readonly role?: "authenticated" | "admin";
}

export function addUsers(program: Command): void {
  const users = program.command("users").alias("user").description("Manage users");
  const role = () => new Option("--role <role>", "role of the user").choices(["authenticated", "admin"]);

  users.command("list").description("List users, newest first").option(
    "--search <text>",
    "part of the e-mail, or of the id",
  )
    .addOption(role()).option("--limit <count>", "number of results, at most 1000", Number, 100)
    .option("--cursor <cursor>", "continue after this cursor, which --output json of the page before shows")
    .action(withClient<ListOptions, []>(async ({ admin }, { search, role, limit, cursor, ...options }) => {
      const query = { search, role, cursor };
      const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
      const found = await admin.users.list({ ...given, limit });
      if (options.output === "json") return printJson(found);
      printRows(found.users, FIELDS, options);
      if (found.users.length < found.total) say(`${found.users.length} of ${found.total}`);
    }));
  users.command("get <id>").description("Show a user").action(
    withClient<object, [string]>(async ({ admin }, options, id) => {
      printObject(await admin.users.get(id), [...FIELDS, "user_metadata", "app_metadata", "updated_at"], options);
    }),
  );
  users.command("create <email>").description("Create a user").option(
    "--password <text>",
    "password; without it, nobody can sign in as this user",
  )
    .addOption(role())
    .action(withClient<ChangeOptions, [string]>(async ({ admin }, options, email) => {
      printObject(await admin.users.create({ ...fieldsOf(options), email }), FIELDS, options);
    }));
  users.command("update <id>").description("Change a user").option("--email <email>", "new email address")
    .option("--password <text>", "new password; ends all sessions of the user").addOption(role())
    .action(withClient<ChangeOptions, [string]>(async ({ admin }, options, id) => {
      printObject(await admin.users.update(id, fieldsOf(options)), FIELDS, options);
    }));
  const switching = (name: string, description: string, disabled: boolean) =>
    users.command(`${name} <id>`).description(description).action(
      withClient<object, [string]>(async ({ admin }, _, id) => {
        await admin.users.update(id, { disabled });
        say(`${disabled ? "Disabled" : "Enabled"} user ${id}`);
      }),
    );
  switching("disable", "Disable a user: ends all sessions and refuses sign-in and keys", true);
  switching("enable", "Enable a disabled user", false);
  users.command("delete <id>").description("Delete a user with their sessions and keys").action(
    withClient<object, [string]>(async ({ admin }, _, id) => {
      await admin.users.delete(id);
      say(`Deleted user ${id}`);
    }),
  );
  users.command("sign-out <id>").description("End all sessions of a user").action(
    withClient<object, [string]>(async ({ admin }, _, id) => {
      await admin.users.signOut(id);
      say(`Ended every session of user ${id}`);
    }),
  );
  users.command("token <id>").description("Print a short-lived token to test as a user")
    .option("--seconds <count>", "lifetime in seconds, at most 3600", Number)
    .action(withClient<{ seconds?: number }, [string]>(async ({ admin }, { seconds, ...options }, id) => {
      const token = await admin.users.tokenFor(id, seconds === undefined ? {} : { seconds });
      if (options.output === "json") printJson(token);
      else print(token.access_token);
    }));
}

function fieldsOf({ email, password, role }: ChangeOptions): UserFields {
  return {
    ...(email === undefined ? {} : { email }),
    ...(password === undefined ? {} : { password }),
    ...(role === undefined ? {} : { role }),
  };
}

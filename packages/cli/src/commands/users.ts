/**
 * `fluxbase users …`
 *
 * @module
 */
import type { UserFields } from "@fluxbase/sdk";
import { type Command, Option } from "commander";
import { withClient } from "../action.ts";
import { print, printJson, printObject, printRows, say } from "../output.ts";

const FIELDS = ["id", "email", "role", "email_verified", "created_at"];

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
  const users = program.command("users").alias("user").description("who can sign in");
  const role = () => new Option("--role <role>", "of the user").choices(["authenticated", "admin"]);

  users.command("list").description("list users, newest first").option(
    "--search <text>",
    "part of the e-mail, or of the id",
  )
    .addOption(role()).option("--limit <count>", "how many, at most 1000", Number, 100)
    .option("--cursor <cursor>", "those after this one, from --json of the page before")
    .action(withClient<ListOptions, []>(async ({ admin }, { search, role, limit, cursor, ...options }) => {
      const query = { search, role, cursor };
      const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
      const found = await admin.users.list({ ...given, limit });
      if (options.output === "json") return printJson(found);
      printRows(found.users, FIELDS, options);
      if (found.users.length < found.total) say(`${found.users.length} of ${found.total}`);
    }));
  users.command("get <id>").description("show one").action(
    withClient<object, [string]>(async ({ admin }, options, id) => {
      printObject(await admin.users.get(id), [...FIELDS, "user_metadata", "app_metadata", "updated_at"], options);
    }),
  );
  users.command("create <email>").description("make one").option("--password <text>", "else nobody can sign in as one")
    .addOption(role())
    .action(withClient<ChangeOptions, [string]>(async ({ admin }, options, email) => {
      printObject(await admin.users.create({ ...fieldsOf(options), email }), FIELDS, options);
    }));
  users.command("update <id>").description("change one").option("--email <email>", "another e-mail")
    .option("--password <text>", "another password, which ends every session").addOption(role())
    .action(withClient<ChangeOptions, [string]>(async ({ admin }, options, id) => {
      printObject(await admin.users.update(id, fieldsOf(options)), FIELDS, options);
    }));
  users.command("delete <id>").description("delete one, with sessions and keys").action(
    withClient<object, [string]>(async ({ admin }, _, id) => {
      await admin.users.delete(id);
      say(`Deleted user ${id}`);
    }),
  );
  users.command("sign-out <id>").description("end every session of one").action(
    withClient<object, [string]>(async ({ admin }, _, id) => {
      await admin.users.signOut(id);
      say(`Ended every session of user ${id}`);
    }),
  );
  users.command("token <id>").description("print a short-lived token for trying out what a user gets")
    .option("--seconds <count>", "how long it is good, at most 3600", Number)
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

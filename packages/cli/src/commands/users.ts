/**
 * `fluxbase users …`
 *
 * @module
 */
import type { Command } from "commander";
import { withClient } from "../action.ts";
import { printJson, printObject, printRows, say } from "../output.ts";

const FIELDS = ["id", "email", "role", "email_verified", "created_at"];

export function addUsers(program: Command): void {
  const users = program.command("users").alias("user").description("accounts of users");
  users.command("list").description("list them, newest first")
    .option("--search <text>", "part of the e-mail").option("--limit <count>", "at most so many", "100")
    .option("--offset <count>", "after so many", "0")
    .action(withClient<{ search?: string; limit: string; offset: string }, []>(async ({ admin }, options) => {
      const { search, limit, offset } = options;
      const query = { ...(search === undefined ? {} : { search }), limit: Number(limit), offset: Number(offset) };
      const found = await admin.users.list(query);
      if (options.output === "json") return printJson(found);
      printRows(found.users, FIELDS, options);
      if (found.users.length < found.total) say(`${found.users.length} of ${found.total}`);
    }));
  users.command("get <id>").description("show one").action(withClient<object, [string]>(async (client, options, id) => {
    printObject(await client.admin.users.get(id), [...FIELDS, "user_metadata", "app_metadata"], options);
  }));
  users.command("delete <id>").description("delete one, with sessions and keys")
    .action(withClient<object, [string]>(async ({ admin }, _options, id) => {
      await admin.users.delete(id);
      say(`Deleted user ${id}`);
    }));
}

/**
 * `fluxbase hooks …`: what the server asks functions about and tells them, and the way out when one does not work.
 *
 * @module
 */
import { ACCOUNT_EVENTS, type AccountEvent, AUTH_HOOKS, type AuthHook } from "@fluxbase/contract";
import { Argument, type Command, Option } from "commander";
import { withClient } from "../action.ts";
import { print, printObject, printRows, say } from "../output.ts";

const DB_HOOK = ["id", "table", "events", "function", "where", "ordered", "waiting", "dead", "problem", "last_error"];

interface DbHookOptions {
  readonly namespace?: string;
  readonly event: readonly ("INSERT" | "UPDATE" | "DELETE")[];
  readonly column?: readonly string[];
  readonly where?: string;
  readonly ordered?: boolean;
}

export function addHooks(program: Command): void {
  const hooks = program.command("hooks").description(
    "Manage hooks: functions that are called on sign-up, sign-in and changes of rows",
  );
  const event = () => new Argument("<event>", "authentication event").choices([...AUTH_HOOKS, ...ACCOUNT_EVENTS]);

  hooks.command("list").description("List authentication events and the functions that handle them").action(
    withClient<object, []>(async ({ admin }, options) => {
      printRows(await admin.hooks.list(), ["event", "functions", "enabled", "waiting", "dead", "last_error"], options);
    }),
  );
  hooks.command("enable").description("Call functions for an event again").addArgument(event()).action(
    withClient<object, [AuthHook | AccountEvent]>(async ({ admin }, _, name) => {
      const { functions } = await admin.hooks.enable(name);
      say(`Enabled ${name}: it calls ${functions.join(", ") || "no function yet"}`);
    }),
  );
  hooks.command("disable").description("Stop calling functions for an event, for example when a hook is broken")
    .addArgument(event())
    .action(withClient<object, [AuthHook | AccountEvent]>(async ({ admin }, _, name) => {
      await admin.hooks.disable(name);
      say(`Disabled ${name}: no function is called`);
    }));

  hooks.command("retry").description("Deliver events again whose attempts are used up")
    .addArgument(new Argument("<event>", "of accounts").choices(ACCOUNT_EVENTS))
    .action(withClient<object, [AccountEvent]>(async ({ admin }, _, name) => {
      say(`Retrying ${(await admin.hooks.retry(name)).retried} events`);
    }));

  const tables = hooks.command("db").description("Manage functions that are called when rows change");
  tables.command("list").description("List database hooks with their waiting events").action(
    withClient<object, []>(async ({ admin }, options) => {
      printRows(await admin.hooks.database.list(), DB_HOOK, options);
    }),
  );
  tables.command("add <function> <table>").description("Call a function when rows of a table change")
    .option("-n, --namespace <name>", "namespace of the function")
    .addOption(
      new Option("--event <event...>", "changes to deliver").choices(["INSERT", "UPDATE", "DELETE"])
        .default(["INSERT", "UPDATE", "DELETE"]),
    )
    .option("--column <column...>", "deliver updates only if one of these columns changes")
    .option("--where <conditions>", "conditions, such as 'status=eq.paid&amount=gt.100'")
    .option("--ordered", "deliver one event at a time, in order")
    .action(withClient<DbHookOptions, [string, string]>(async ({ admin }, options, name, table) => {
      const { namespace, event, column, where, ordered } = options;
      const { id } = await admin.hooks.database.create({
        function: name,
        table,
        events: event,
        ...(namespace === undefined ? {} : { namespace }),
        ...(column === undefined ? {} : { columns: column }),
        ...(where === undefined ? {} : { where }),
        ...(ordered === undefined ? {} : { ordered }),
      });
      print(id);
    }));
  tables.command("get <id>").description("Show a database hook").action(
    withClient<object, [string]>(async ({ admin }, options, id) => {
      printObject(await admin.hooks.database.get(id), [...DB_HOOK, "columns", "created_at", "created_by"], options);
    }),
  );
  tables.command("remove <id>").description("Remove a database hook and its waiting events").action(
    withClient<object, [string]>(async ({ admin }, _, id) => {
      await admin.hooks.database.delete(id);
      say(`Removed hook ${id}`);
    }),
  );
  tables.command("retry <id>").description("Deliver events again whose attempts are used up").action(
    withClient<object, [string]>(async ({ admin }, _, id) => {
      say(`Retrying ${(await admin.hooks.database.retry(id)).retried} events`);
    }),
  );
}

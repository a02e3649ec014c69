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
    "events of sign-up and sign-in that functions are asked about, and of tables that they are told",
  );
  const event = () => new Argument("<event>", "of the authentication").choices([...AUTH_HOOKS, ...ACCOUNT_EVENTS]);

  hooks.command("list").description("list events and who is asked about them").action(
    withClient<object, []>(async ({ admin }, options) => {
      printRows(await admin.hooks.list(), ["event", "functions", "enabled", "waiting", "dead", "last_error"], options);
    }),
  );
  hooks.command("enable").description("ask functions about an event again").addArgument(event()).action(
    withClient<object, [AuthHook | AccountEvent]>(async ({ admin }, _, name) => {
      const { functions } = await admin.hooks.enable(name);
      say(`Switched ${name} on: it asks ${functions.join(", ") || "no function yet"}`);
    }),
  );
  hooks.command("disable").description("ask nobody about an event, such as when a hook is broken").addArgument(event())
    .action(withClient<object, [AuthHook | AccountEvent]>(async ({ admin }, _, name) => {
      await admin.hooks.disable(name);
      say(`Switched ${name} off: no function is asked`);
    }));

  hooks.command("retry").description("tell functions again of events whose attempts are used up")
    .addArgument(new Argument("<event>", "of accounts").choices(ACCOUNT_EVENTS))
    .action(withClient<object, [AccountEvent]>(async ({ admin }, _, name) => {
      say(`Trying ${(await admin.hooks.retry(name)).retried} events again`);
    }));

  const tables = hooks.command("db").description("functions that are called when rows of tables change");
  tables.command("list").description("list them, with the events that wait").action(
    withClient<object, []>(async ({ admin }, options) => {
      printRows(await admin.hooks.database.list(), DB_HOOK, options);
    }),
  );
  tables.command("add <function> <table>").description("call a function when rows of a table change")
    .option("-n, --namespace <name>", "of the function")
    .addOption(
      new Option("--event <event...>", "which changes").choices(["INSERT", "UPDATE", "DELETE"])
        .default(["INSERT", "UPDATE", "DELETE"]),
    )
    .option("--column <column...>", "an update counts when one of them changes")
    .option("--where <conditions>", "such as 'status=eq.paid&amount=gt.100'")
    .option("--ordered", "one event at a time, in their order")
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
  tables.command("get <id>").description("show one").action(
    withClient<object, [string]>(async ({ admin }, options, id) => {
      printObject(await admin.hooks.database.get(id), [...DB_HOOK, "columns", "created_at", "created_by"], options);
    }),
  );
  tables.command("remove <id>").description("call it no more; events that wait are gone").action(
    withClient<object, [string]>(async ({ admin }, _, id) => {
      await admin.hooks.database.delete(id);
      say(`Removed hook ${id}`);
    }),
  );
  tables.command("retry <id>").description("try events again whose attempts are used up").action(
    withClient<object, [string]>(async ({ admin }, _, id) => {
      say(`Trying ${(await admin.hooks.database.retry(id)).retried} events again`);
    }),
  );
}

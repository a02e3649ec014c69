/**
 * `fluxbase shared …`
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { type InNamespace, inNamespace, withClient } from "../action.ts";
import { print, printRows, say } from "../output.ts";
import { pathOf } from "../connection.ts";
import { setSharedModule } from "../shared_modules.ts";

export function addShared(program: Command): void {
  const shared = program.command("shared").description("Manage shared modules, which functions import from _shared/");
  const command = (usage: string, description: string) =>
    shared.command(usage).description(description).option("-n, --namespace <name>", "namespace of the modules");

  command("list", "List shared modules").action(withClient<InNamespace, []>(async ({ functions }, options) => {
    const columns = ["module_path", "version", "description", "updated_at"];
    printRows(await functions.listSharedModules(inNamespace(options.namespace)), columns, options);
  }));
  command("get <path>", "Print the source of a shared module").option("--at <version>", "as it was in this version")
    .action(withClient<InNamespace & { at?: string }, [string]>(async ({ functions }, options, path) => {
      const version = options.at === undefined ? {} : { version: Number(options.at) };
      print((await functions.getSharedModule(path, { ...inNamespace(options.namespace), ...version })).content);
    }));
  command("users <path>", "List the functions that import a shared module, and whether they build with it")
    .action(withClient<InNamespace, [string]>(async ({ functions }, options, path) => {
      const { used_by: users } = await functions.getSharedModule(path, inNamespace(options.namespace));
      printRows(users, ["function", "version", "state", "problem"], options);
    }));
  command("versions <path>", "List the versions of a shared module")
    .action(withClient<InNamespace, [string]>(async ({ functions }, options, path) => {
      const { versions } = await functions.getSharedModule(path, inNamespace(options.namespace));
      printRows(versions, ["version", "created_at", "created_by"], options);
    }));
  command("set <path> <file>", "Create or change a shared module from a file")
    .action(withClient<InNamespace, [string, string]>(async (client, options, path, file) => {
      const content = readFileSync(pathOf(file), "utf8");
      const module = await setSharedModule(client, path, content, inNamespace(options.namespace));
      say(`${module.module_path} is at version ${module.version}`);
    }));
  command("delete <path>", "Delete a shared module").option("--force", "delete it even if functions import it")
    .action(
      withClient<InNamespace & { force?: boolean }, [string]>(async ({ functions }, { force, ...options }, path) => {
        await functions.deleteSharedModule(path, { ...inNamespace(options.namespace), ...(force ? { force } : {}) });
        say(`Deleted ${path}`);
      }),
    );
}

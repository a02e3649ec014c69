/**
 * The page of the command line, from the definitions of its commands.
 *
 * @module
 */
import type { Argument, Command, Option } from "commander";
import { createProgram } from "../packages/cli/src/program.ts";
import { code, generatedFrom, table } from "./markdown.ts";

export function cliPage(): string {
  const program = createProgram("");
  const groups = program.commands.toSorted((a, b) => a.name().localeCompare(b.name()));
  return `# Command line reference

[Command line](../command-line.md) says how to install it and which server a command talks to.

${generatedFrom("packages/cli/src/commands/")}
## Options of every command

${optionTable(program.options.filter(({ long }) => long !== "--version"))}
Exit codes: 0 done, 1 failed, 2 wrong usage.

${groups.map((group) => groupText(group)).join("")}`;
}

function groupText(group: Command): string {
  const title = `## ${group.name()}\n\n`;
  const leaves = leavesOf(group, "fluxbase");
  const about = leaves.length === 1 && leaves[0]?.command === group ? "" : `${sentence(group.description())}\n\n`;
  return title + about + leaves.map(({ command, path }) => commandText(command, path)).join("");
}

function leavesOf(command: Command, parent: string): { readonly command: Command; readonly path: string }[] {
  const path = `${parent} ${command.name()}`;
  const below = command.commands.flatMap((one) => leavesOf(one, path));
  return below.length === 0 ? [{ command, path }] : below;
}

function commandText(command: Command, path: string): string {
  const args = command.registeredArguments.map(usageOf).join("");
  const aliases = command.aliases().map((name) => `Also \`${name}\`. `).join("");
  const options = command.options.length === 0 ? "" : `${optionTable(command.options)}\n`;
  return `### \`${path}${args}\`\n\n${aliases}${sentence(command.description())}\n\n${options}`;
}

function usageOf(argument: Argument): string {
  const { required, variadic } = argument;
  const name = argument.name() + (variadic ? "..." : "");
  return required ? ` <${name}>` : ` [${name}]`;
}

function optionTable(options: readonly Option[]): string {
  const rows = options.map(({ flags, description, argChoices, defaultValue, negate }) => {
    const choices = argChoices === undefined ? "" : `; one of ${argChoices.join(", ")}`;
    const otherwise = defaultValue === undefined || negate ? "" : code(String(defaultValue));
    return [code(flags), sentence(description + choices), otherwise];
  });
  return table(["Option", "Meaning", "Default"], rows);
}

function sentence(text: string): string {
  const end = /[.!?]$/.test(text) ? "" : ".";
  return text === "" ? "" : text.charAt(0).toUpperCase() + text.slice(1) + end;
}

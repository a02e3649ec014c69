/**
 * Modules that no function may import, in every spelling that leads to them.
 *
 * What really holds at run time are the permissions of the sandbox; this list gives the clear error at deploy.
 *
 * @module
 */
const BLOCKED: readonly string[] = ["child_process", "vm", "fs", "process"];

/** The blocked module that `specifier` leads to, or undefined: `node:fs`, `fs/promises`, `npm:vm@1`, `npm:/fs` all do. */
export function blockedModuleOf(specifier: string): string | undefined {
  const bare = specifier.toLowerCase().replace(/^(node|npm):\/*/, "");
  const name = bare.split(/[/@?#]/, 1)[0] ?? "";
  return BLOCKED.find((blocked) => blocked === name);
}

/**
 * Checks that every InvariantError has an id of its own, so that a line of a log leads to one place in the source.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGES = fileURLToPath(new URL("../packages", import.meta.url));
const places = new Map<string, string[]>();

function visit(dir: string): void {
  for (const { name, isDirectory } of Deno.readDirSync(dir)) {
    const path = join(dir, name);
    if (isDirectory && name !== "node_modules") visit(path);
    if (!name.endsWith(".ts") || name.endsWith("_test.ts")) continue;
    for (const [, id] of Deno.readTextFileSync(path).matchAll(/new InvariantError\(\s*"([^"]+)"/g)) {
      places.set(id ?? "", [...places.get(id ?? "") ?? [], path]);
    }
  }
}

visit(PACKAGES);
const repeated = [...places].filter(([, paths]) => paths.length > 1);
for (const [id, paths] of repeated) {
  Deno.stderr.writeSync(
    new TextEncoder().encode(`InvariantError "${id}" is used ${paths.length} times: ${paths.join(", ")}\n`),
  );
}
Deno.exit(repeated.length === 0 ? 0 : 1);

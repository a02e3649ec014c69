/**
 * Builds what `npm pack` puts into the package of the command line: one file, the SDK in it.
 *
 * @module
 */
import { join } from "node:path";
import { bundle, ROOT } from "./esbuild.ts";
import { writeLicences } from "./notices.ts";

const CLI = join(ROOT, "packages/cli");

await Deno.remove(join(CLI, "dist"), { recursive: true }).catch(() => {});
await bundle(join(CLI, "mod.ts"), { outfile: join(CLI, "dist/cli.js"), format: "esm", platform: "node" });

// `functions new --template` takes them from beside the command.
const EXAMPLES = join(ROOT, "examples");
for await (const { name } of Deno.readDir(EXAMPLES)) {
  const code = await Deno.readTextFile(join(EXAMPLES, name, "index.ts")).catch(() => undefined);
  if (code === undefined) continue;
  await Deno.mkdir(join(CLI, "dist/templates", name), { recursive: true });
  await Deno.writeTextFile(join(CLI, "dist/templates", name, "index.ts"), code);
}

await writeLicences(join(CLI, "dist"), [CLI]);

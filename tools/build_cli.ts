/**
 * Builds what `npm pack` puts into the package of the command line: one file, the SDK in it.
 *
 * @module
 */
import { join } from "node:path";
import { bundle, ROOT } from "./esbuild.ts";

const CLI = join(ROOT, "packages/cli");

await Deno.remove(join(CLI, "dist"), { recursive: true }).catch(() => {});
await bundle(join(CLI, "mod.ts"), { outfile: join(CLI, "dist/cli.js"), format: "esm", platform: "node" });

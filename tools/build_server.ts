/**
 * Builds what `npm pack` puts into the package of the server: the same tree without types, because Deno runs no
 * TypeScript below `node_modules`, with the contract and the SDK in it.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import { transformSync } from "oxc-transform";
import { buildDashboard } from "../packages/dashboard/build.mjs";
import { bundle, ROOT } from "./esbuild.ts";

const PACKAGES = join(ROOT, "packages");
const DIST = join(PACKAGES, "server/dist");
/** Folders and files that the package has; of the SDK it holds what functions import. */
const PARTS = ["contract/mod.ts", "contract/src", "server/src", "server/sandbox_runtime", "server/migrations"];

await Deno.remove(DIST, { recursive: true }).catch(() => {});
for (const part of PARTS) await copy(part);
await bundle(join(PACKAGES, "sdk/mod.ts"), {
  outfile: join(DIST, "sdk/dist/index.js"),
  format: "esm",
  platform: "neutral",
});
await buildDashboard();
await copy("dashboard/dist");
const { unstable } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
await Deno.writeTextFile(join(DIST, "deno.json"), JSON.stringify({ nodeModulesDir: "manual", lock: false, unstable }));

async function copy(path: string): Promise<void> {
  const from = join(PACKAGES, path);
  if ((await Deno.stat(from)).isDirectory) {
    for await (const { name } of Deno.readDir(from)) await copy(`${path}/${name}`);
    return;
  }
  if (path.endsWith("_test.ts")) return;
  const to = join(DIST, path);
  await Deno.mkdir(dirname(to), { recursive: true });
  if (!path.endsWith(".ts")) return await Deno.copyFile(from, to);
  const { code, errors } = transformSync(from, await Deno.readTextFile(from), {
    sourceType: "module",
    target: "esnext",
    typescript: { onlyRemoveTypeImports: true, rewriteImportExtensions: "rewrite" },
  });
  if (errors.length > 0) throw new Error(`${path}: ${errors.map(({ message }) => message).join("; ")}`);
  const contract = relative(dirname(to), join(DIST, "contract/mod.js"));
  const text = code.replaceAll('"@fluxbase/contract"', JSON.stringify(contract))
    // Main modules of other processes.
    .replaceAll(/(new URL\("\.[^"]+)\.ts(", import\.meta\.url\))/g, "$1.js$2");
  await Deno.writeTextFile(to.replace(/\.ts$/, ".js"), text);
}

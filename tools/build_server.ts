/**
 * Builds what `npm pack` puts into the package of the server: the same tree without types, because Deno runs no
 * TypeScript below `node_modules`, with the contract and the SDK in it.
 *
 * @module
 */
import { basename, dirname, join, relative } from "node:path";
import { transformSync } from "oxc-transform";
import { buildDashboard } from "../packages/dashboard/build.mjs";
import { buildDocs } from "../packages/docs/build.mjs";
import { bundle, ROOT } from "./esbuild.ts";
import { writeLicences } from "./notices.ts";
import { declareSdk } from "./sdk_declarations.ts";

const PACKAGES = join(ROOT, "packages");
const DIST = join(PACKAGES, "server/dist");
/** Folders and files that the package has; of the SDK it holds what functions import. */
const PARTS = ["contract/mod.ts", "contract/src", "server/src", "server/sandbox_runtime", "server/migrations"];
/** A copy: the package itself would bring a whole database along, which it was made for. */
const PG_DUMP = "@electric-sql/pglite-tools/pg_dump";
const PG_DUMP_FROM = join(ROOT, "node_modules/@electric-sql/pglite-tools");
const PG_DUMP_TO = join(DIST, "pg_dump");

await Deno.remove(DIST, { recursive: true }).catch(() => {});
for (const part of PARTS) await copy(part);
await bundle(join(PACKAGES, "sdk/mod.ts"), {
  outfile: join(DIST, "sdk/dist/index.js"),
  format: "esm",
  platform: "neutral",
});
await buildDashboard();
await copy("dashboard/dist");
await buildDocs();
await copy("docs/dist");
await bundle(join(PG_DUMP_FROM, "dist/pg_dump.js"), {
  outfile: join(PG_DUMP_TO, "pg_dump.js"),
  format: "esm",
  platform: "node",
});
for (const name of ["dist/pg_dump.wasm", "LICENSE"]) {
  await Deno.copyFile(join(PG_DUMP_FROM, name), join(PG_DUMP_TO, basename(name)));
}
// For editors of functions.
await declareSdk(join(DIST, "sdk/dist"));
const { unstable } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
await Deno.writeTextFile(join(DIST, "deno.json"), JSON.stringify({ nodeModulesDir: "manual", lock: false, unstable }));
await writeLicences(DIST, [join(PACKAGES, "dashboard"), join(PACKAGES, "docs")]);

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
  const own = (path: string) => JSON.stringify(relative(dirname(to), join(DIST, path)));
  const text = code.replaceAll('"@fluxbase/contract"', own("contract/mod.js"))
    .replaceAll(JSON.stringify(PG_DUMP), own("pg_dump/pg_dump.js"))
    // Main modules of other processes.
    .replaceAll(/(new URL\("\.[^"]+)\.ts(", import\.meta\.url\))/g, "$1.js$2");
  await Deno.writeTextFile(to.replace(/\.ts$/, ".js"), text);
}

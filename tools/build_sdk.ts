/**
 * Builds what `npm pack` puts into the package of the SDK: one module for `import`, one for `require`, and types.
 *
 * @module
 */
import { join } from "node:path";
import { bundle, ROOT } from "./esbuild.ts";
import { writeLicences } from "./notices.ts";
import { declareSdk } from "./sdk_declarations.ts";

const SDK = join(ROOT, "packages/sdk");
const DIST = join(SDK, "dist");

await Deno.remove(DIST, { recursive: true }).catch(() => {});
await Deno.mkdir(DIST, { recursive: true });
for (const [format, name] of [["esm", "index.js"], ["cjs", "index.cjs"]] as const) {
  await bundle(join(SDK, "mod.ts"), { outfile: join(DIST, name), format, platform: "neutral" });
}
await declareSdk(DIST);
// It brings nothing of others along.
await writeLicences(DIST, []);

/**
 * Builds the dashboard into `dist/` when what it is made of has changed, and not otherwise.
 *
 * Plain JavaScript for Node, because `npm start` runs it before anything else is there.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildOnce } from "../../tools/build_once.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "../..");
const DIST = join(HERE, "dist");
const SOURCES = [
  "packages/dashboard/index.html",
  "packages/dashboard/build.mjs",
  "tools/build_once.mjs",
  "packages/dashboard/package.json",
  "packages/dashboard/src",
  "packages/sdk/mod.ts",
  "packages/sdk/src",
  "examples",
];

/** Resolves with whether it had to build. @throws what the build says */
export function buildDashboard() {
  return buildOnce(DIST, SOURCES, async (outDir) => {
    const { build } = await import("vite");
    await build({
      root: HERE,
      configFile: false,
      logLevel: "warn",
      // The server says where it is, in the page's <base>.
      base: "./",
      publicDir: false,
      resolve: { alias: { "@fluxbase/sdk": join(ROOT, "packages/sdk/mod.ts") } },
      server: { fs: { allow: [ROOT] } },
      oxc: { jsx: { runtime: "automatic" } },
      build: {
        outDir,
        emptyOutDir: true,
        target: "es2022",
        modulePreload: { polyfill: false },
        // The page allows no data: URLs.
        assetsInlineLimit: 0,
        chunkSizeWarningLimit: 1_000,
        // Packages say "use client" to servers that render; there is none.
        rolldownOptions: { checks: { moduleLevelDirective: false } },
      },
    });
  });
}

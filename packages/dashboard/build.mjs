/**
 * Builds the dashboard into `dist/` when what it is made of has changed, and not otherwise.
 *
 * Plain JavaScript for Node, because `npm start` runs it before anything else is there.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "../..");
const DIST = join(HERE, "dist");
/** Holds the hash of what was built. */
const STAMP = ".built";
const SOURCES = [
  "packages/dashboard/index.html",
  "packages/dashboard/build.mjs",
  "packages/dashboard/package.json",
  "packages/dashboard/src",
  "packages/sdk/mod.ts",
  "packages/sdk/src",
  "examples",
];

/** Resolves with whether it had to build. @throws what the build says */
export async function buildDashboard() {
  const hash = hashOfSources();
  const stamp = join(DIST, STAMP);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return false;
  const { build } = await import("vite");
  // Beside it first: a server that runs goes on with what it has, and a build that fails leaves it.
  const fresh = `${DIST}.${process.pid}`;
  try {
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
        outDir: fresh,
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
    writeFileSync(join(fresh, STAMP), hash);
    rmSync(DIST, { recursive: true, force: true });
    renameSync(fresh, DIST);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return true;
}

function hashOfSources() {
  const hash = createHash("sha256");
  for (const source of SOURCES) add(join(ROOT, source), source);
  return hash.digest("hex");

  function add(path, name) {
    const names = foldersNames(path);
    if (names === undefined) return void hash.update(`${name}\0`).update(readFileSync(path)).update("\0");
    for (const child of names) add(join(path, child), `${name}/${child}`);
  }
}

/** Sorted; undefined for a file. */
function foldersNames(path) {
  try {
    return readdirSync(path).filter((name) => name !== "node_modules").sort();
  } catch (error) {
    if (error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

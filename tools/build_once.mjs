/**
 * Builds into a folder when what it is made of has changed, and not otherwise.
 *
 * Plain JavaScript for Node, because `npm start` runs it before anything else is there.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Holds the hash of what was built. */
const STAMP = ".built";

/**
 * `sources` are files and folders below the root; `build` gets the folder to write into. Resolves with whether it had to.
 *
 * @throws what the build says
 */
export async function buildOnce(dist, sources, build) {
  const hash = hashOf(sources);
  const stamp = join(dist, STAMP);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return false;
  // Beside it first: a server that runs goes on with what it has, and a build that fails leaves it.
  const fresh = `${dist}.${process.pid}`;
  try {
    await build(fresh);
    writeFileSync(join(fresh, STAMP), hash);
    rmSync(dist, { recursive: true, force: true });
    renameSync(fresh, dist);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return true;
}

function hashOf(sources) {
  const hash = createHash("sha256");
  for (const source of sources) add(join(ROOT, source), source);
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

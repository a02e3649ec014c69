/**
 * Starts the server: finds the Deno that npm has brought, hands over to it, and passes signals on.
 *
 * Plain JavaScript for Node, because it runs before anything else does: `npm start` and `fluxbase start` use it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const PACKAGES = {
  "linux-x64": "@deno/linux-x64-glibc",
  "linux-arm64": "@deno/linux-arm64-glibc",
  "darwin-x64": "@deno/darwin-x64",
  "darwin-arm64": "@deno/darwin-arm64",
};
const SIGNALLED_EXIT = 130;

/** In the repository the source, in a package what was built of it. */
const [SOURCE, MAIN, CONFIG] = existsSync(join(HERE, "src"))
  ? [join(HERE, "src"), "main.ts", join(HERE, "../../deno.json")]
  : [join(HERE, "dist/server/src"), "main.js", join(HERE, "dist/deno.json")];
const { SERVER_V8_FLAGS } = await import(pathToFileURL(join(SOURCE, "core/v8_flags.mjs")).href);

/** Undefined while it is not installed. @throws where there is none for this system */
export function denoPath() {
  const system = `${process.platform}-${process.arch}`;
  const name = PACKAGES[system];
  if (name === undefined) {
    throw new Error(`Cannot run on ${system}: use Linux with glibc, macOS, or Windows through WSL`);
  }
  try {
    const resolve = createRequire(createRequire(import.meta.url).resolve("deno/package.json")).resolve;
    return join(dirname(resolve(`${name}/package.json`)), "deno");
  } catch {
    return undefined;
  }
}

/** Resolves with the exit code. @throws when Deno cannot be started */
export function runDeno(args, { cwd, env = {} } = {}) {
  const path = denoPath();
  if (path === undefined) throw new Error("Cannot find Deno: install the packages again, optional ones included");
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, {
      cwd,
      stdio: "inherit",
      env: { ...env, ...process.env, DENO_NO_UPDATE_CHECK: "1" },
    });
    // The child decides when to end: it has requests to finish.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
      process.on(signal, () => child.kill(signal === "SIGHUP" ? "SIGTERM" : signal));
    }
    child.on("error", (error) => reject(new Error(`Cannot start Deno: ${error.message}`)));
    child.on("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : SIGNALLED_EXIT)));
  });
}

/** Data and functions are kept below `cwd`; `env` holds settings that the user's own win over. */
export function startServer(options) {
  return runDeno(["run", "-A", `--config=${CONFIG}`, `--v8-flags=${SERVER_V8_FLAGS}`, join(SOURCE, MAIN)], options);
}

/** What makes of a start one for writing functions. */
export const DEVELOPMENT = { FLUXBASE_DEVELOPMENT: "true", FLUXBASE_FUNCTIONS_WATCH: "true" };

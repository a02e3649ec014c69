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
/** Of a panic of Deno, and of V8 when memory is used up. */
const CRASH_CODES = [101, 133, 134];
/** A server that ends sooner after its start, so often in a row, will not get better. */
const STABLE_MS = 10_000;
const EARLY_ENDS_MAX_COUNT = 3;

/** In the repository the source, in a package what was built of it. */
const [SOURCE, EXTENSION, CONFIG] = existsSync(join(HERE, "src"))
  ? [join(HERE, "src"), "ts", join(HERE, "../../deno.json")]
  : [join(HERE, "dist/server/src"), "js", join(HERE, "dist/deno.json")];
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
export async function runDeno(args, options = {}) {
  return exitCode(await runOnce(args, { ...options, stdin: "inherit" }));
}

/** Data and functions are kept below `cwd`; `env` holds settings that the user's own win over. */
export async function startServer(options) {
  // The server ends when its standard input does, which is when this process is gone, whatever ended it.
  const args = [...programArgs("main"), "--launched"];
  for (let early = 0;;) {
    const startedMs = performance.now();
    const end = await runOnce(args, { ...options, stdin: "pipe" });
    if (end.isStopping || !isCrash(end)) return exitCode(end);
    early = performance.now() - startedMs < STABLE_MS ? early + 1 : 0;
    if (early === EARLY_ENDS_MAX_COUNT) {
      say(`The server ended ${early} times soon after its start: not starting it again`);
      return exitCode(end);
    }
    say(`The server ended by itself (${end.signal ?? `exit code ${end.code}`}): starting it again`);
  }
}

/** Backup, restore, move: `args` are the command and what it takes. Resolves with the exit code. */
export async function runMaintenance(args, options) {
  return await runDeno([...programArgs("maintenance"), ...args], options);
}

function programArgs(name) {
  return [
    "run",
    "-A",
    `--config=${CONFIG}`,
    `--v8-flags=${SERVER_V8_FLAGS}`,
    join(SOURCE, `${name}.${EXTENSION}`),
  ];
}

/** A signal that nobody sent through us, or a crash of the runtime: what the server itself decides has another code. */
function isCrash({ code, signal }) {
  return signal !== null || CRASH_CODES.includes(code);
}

function exitCode({ code, signal }) {
  return code ?? (signal === null ? 1 : SIGNALLED_EXIT);
}

/** As the server's own log does. */
function say(message) {
  const isJson = process.env["FLUXBASE_LOG_FORMAT"] === "json";
  const line = isJson ? JSON.stringify({ time: new Date().toISOString(), level: "error", message }) : message;
  process.stderr.write(`${line}\n`);
}

/** Resolves with how it ended. */
function runOnce(args, { cwd, env = {}, stdin }) {
  const path = denoPath();
  if (path === undefined) throw new Error("Cannot find Deno: install the packages again, optional ones included");
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, {
      cwd,
      stdio: [stdin, "inherit", "inherit"],
      env: { ...env, ...process.env, DENO_NO_UPDATE_CHECK: "1" },
    });
    let isStopping = false;
    // The child decides when to end: it has requests to finish.
    const handlers = ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => {
      const pass = () => {
        isStopping = true;
        child.kill(signal === "SIGHUP" ? "SIGTERM" : signal);
      };
      process.on(signal, pass);
      return () => process.off(signal, pass);
    });
    child.on("error", (error) => reject(new Error(`Cannot start Deno: ${error.message}`)));
    child.on("exit", (code, signal) => {
      for (const remove of handlers) remove();
      resolve({ code, signal, isStopping });
    });
  });
}

/** What makes of a start one for writing functions. */
export const DEVELOPMENT = { FLUXBASE_DEVELOPMENT: "true", FLUXBASE_FUNCTIONS_WATCH: "true" };

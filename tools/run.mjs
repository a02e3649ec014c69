/**
 * What `npm start`, `npm test` and the other scripts run: makes sure that everything is installed, then hands over to
 * Deno. Plain JavaScript for Node, because it runs before anything else is there.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SERVER_V8_FLAGS } from "../packages/server/src/core/v8_flags.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SECOND_SIGNAL_EXIT = 130;

/** Arguments of Deno for each script; what the user adds goes to the end. */
const SCRIPTS = {
  start: [["run", "-A", `--v8-flags=${SERVER_V8_FLAGS}`, "packages/server/src/main.ts"]],
  dev: [["run", "-A", `--v8-flags=${SERVER_V8_FLAGS}`, "packages/server/src/main.ts"]],
  test: [["run", "-A", "tools/test.ts"]],
  ok: [["run", "-A", "tools/test.ts"]],
  fmt: [["fmt", "--quiet"]],
  docs: [["run", "-A", "tools/settings_reference.ts"]],
  "build-sdk": [["run", "-A", "tools/build_sdk.ts"]],
  "build-cli": [["run", "-A", "tools/build_cli.ts"]],
  cli: [["run", "-A", "packages/cli/mod.ts"]],
  bench: [["run", "-A", "bench/main.ts"]],
};

/** Settings of the server that a script brings; the user's own win. */
const SCRIPT_ENV = { dev: { FLUXBASE_DEVELOPMENT: "true", FLUXBASE_FUNCTIONS_WATCH: "true" } };

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Every package that the lock file names is there in its version; those of other platforms may be missing. */
function isInstalled() {
  const installed = join(ROOT, "node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  const wanted = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")).packages;
  const present = JSON.parse(readFileSync(installed, "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, optional, link }]) =>
    !path.startsWith("node_modules/") || link || (optional && present[path] === undefined) ||
    present[path]?.version === version
  ) && denoPath() !== undefined;
}

function install() {
  process.stderr.write("Installing packages, once …\n");
  // Nothing here needs install scripts, and what never runs cannot do harm.
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status } = spawnSync("npm", args, {
    cwd: ROOT,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    fail("Cannot install the packages: see the lines above; `npm ci --ignore-scripts` repeats this step");
  }
}

function denoPath() {
  const names = {
    "linux-x64": ["linux-x64-glibc"],
    "linux-arm64": ["linux-arm64-glibc"],
    "darwin-x64": ["darwin-x64"],
    "darwin-arm64": ["darwin-arm64"],
  }[`${process.platform}-${process.arch}`];
  if (names === undefined) {
    fail(`Cannot run on ${process.platform} ${process.arch}: use Linux with glibc, macOS, or Windows through WSL`);
  }
  return names.map((name) => join(ROOT, "node_modules", "@deno", name, "deno")).find(existsSync);
}

function runDeno(args) {
  return new Promise((resolve) => {
    const child = spawn(denoPath(), args, {
      cwd: ROOT,
      stdio: "inherit",
      env: { ...SCRIPT_ENV[script], ...process.env, DENO_NO_UPDATE_CHECK: "1" },
    });
    // The child decides when to end: it has requests to finish.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
      process.on(signal, () => child.kill(signal === "SIGHUP" ? "SIGTERM" : signal));
    }
    child.on("error", (error) => fail(`Cannot start Deno: ${error.message}`));
    child.on("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : SECOND_SIGNAL_EXIT)));
  });
}

const [script, ...rest] = process.argv.slice(2);
const steps = SCRIPTS[script];
if (steps === undefined) fail(`Unknown script "${script}": use one of ${Object.keys(SCRIPTS).join(", ")}`);
if (!isInstalled()) install();
for (const [index, step] of steps.entries()) {
  const code = await runDeno(index === steps.length - 1 ? [...step, ...rest] : step);
  if (code !== 0) process.exit(code);
}

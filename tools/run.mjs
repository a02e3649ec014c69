/**
 * What `npm start`, `npm test` and the other scripts run: makes sure that everything is installed, then hands over to
 * Deno. Plain JavaScript for Node, because it runs before anything else is there.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, watch } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildDashboard } from "../packages/dashboard/build.mjs";
import { buildDocs } from "../packages/docs/build.mjs";
import { denoPath, DEVELOPMENT, runDeno, startServer } from "../packages/server/launch.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const deno = (...args) => (rest) => runDeno([...args, ...rest], { cwd: ROOT });

/** What each script does with the arguments that the user adds. */
const SCRIPTS = {
  start: () => start(),
  dev: () => start(DEVELOPMENT),
  test: deno("run", "-A", "tools/test.ts"),
  "test:browser": deno("run", "-A", "tools/test.ts", "--browser"),
  "test:previous": deno("run", "-A", "tools/previous.ts"),
  ok: deno("run", "-A", "tools/test.ts"),
  chaos: deno("run", "-A", "tools/chaos.ts"),
  schedules: () =>
    runDeno(["test", "--no-check", "-A", "packages/server/src/schedules/timing_test.ts"], {
      cwd: ROOT,
      env: { FLUXBASE_TEST_SCHEDULES: "long" },
    }),
  attacks: deno("run", "-A", "tools/attacks.ts"),
  packages: deno("run", "-A", "tools/packages.ts"),
  fmt: deno("fmt", "--quiet"),
  docs: deno("run", "-A", "tools/references.ts"),
  "build-sdk": deno("run", "-A", "tools/build_sdk.ts"),
  "build-cli": deno("run", "-A", "tools/build_cli.ts"),
  "build-server": deno("run", "-A", "tools/build_server.ts"),
  cli: deno("run", "-A", "packages/cli/mod.ts"),
  release: deno("run", "-A", "tools/release.ts"),
  bench: deno("run", "-A", "bench/main.ts"),
};

const PAGES = [["dashboard", buildDashboard], ["documentation", buildDocs]];
/** What they are made of, in `npm run dev`. */
const WATCHED = ["packages/dashboard/src", "packages/sdk/src", "docs", "examples"];
const SETTLES_MS = 200;

async function start(env = {}) {
  await buildPages();
  const watchers = env === DEVELOPMENT ? watchPages() : [];
  try {
    return await startServer({ cwd: ROOT, env });
  } finally {
    for (const watcher of watchers) watcher.close();
  }
}

/** Those that are made of something that has changed. A server is of use without its pages. */
async function buildPages(onBuilt = () => {}) {
  for (const [what, build] of PAGES) {
    try {
      if (await build()) onBuilt(what);
    } catch (error) {
      process.stderr.write(`Cannot build the ${what}: ${error.message}\n`);
    }
  }
}

/** Builds again after a change; the browser has it when the page is loaded again. */
function watchPages() {
  let timer;
  let building = Promise.resolve();
  const say = (what) => process.stderr.write(`Built the ${what} again: reload the page\n`);
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => building = building.then(() => buildPages(say)), SETTLES_MS);
  };
  return WATCHED.map((dir) => watch(join(ROOT, dir), { recursive: true }, changed));
}

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

const [script, ...rest] = process.argv.slice(2);
const run = SCRIPTS[script];
if (run === undefined) fail(`Unknown script "${script}": use one of ${Object.keys(SCRIPTS).join(", ")}`);
try {
  if (!isInstalled()) install();
  process.exitCode = await run(rest);
} catch (error) {
  fail(error.message);
}

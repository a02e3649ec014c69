/**
 * Whether servers of the last release can go on beside this one: its core tests, on this schema.
 *
 * `npm run test:previous` takes the newest tag that this commit follows, `npm run test:previous -- REF` another commit.
 *
 * @module
 */
import { join } from "node:path";
import { ROOT } from "./esbuild.ts";
import { print } from "./test_run.ts";

const MIGRATIONS = "packages/server/migrations";
/** What nobody can do without, as long as two releases share a database. */
const CORE = ["calls", "deploying", "versions", "tasks", "tables", "secrets", "users", "keys", "schedules", "nodes"]
  .map((name) => `packages/server/test/${name}_test.ts`);
const decoder = new TextDecoder();

try {
  Deno.exit(await testPrevious(Deno.args[0] ?? await lastRelease()));
} catch (error) {
  print(`${error instanceof Error ? error.message : error}\n`);
  Deno.exit(1);
}

async function testPrevious(ref: string | undefined): Promise<number> {
  if (ref === undefined) {
    print("There is no release before this one: no tag v… is an ancestor of this commit\n");
    return 0;
  }
  const dir = await Deno.makeTempDir({ prefix: "fluxbase-previous-" });
  try {
    await Deno.chmod(dir, 0o755);
    await run("sh", ["-c", `git -C "$0" archive "$1" | tar -x -C "$2"`, ROOT, ref, dir]);
    const added = await addMigrations(dir);
    print(`${ref} on the schema of this commit, with ${added.join(", ") || "no more migrations"}\n`);
    await run(
      "npm",
      ["ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"],
      dir,
    );
    const tests = CORE.filter((file) => exists(join(dir, file)));
    const args = ["run", "-A", "tools/test.ts", ...tests];
    const { code } = await new Deno.Command(Deno.execPath(), { args, cwd: dir }).spawn().status;
    return code;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Those that came after it. One of its own that is another here would be a released migration that was changed. */
async function addMigrations(dir: string): Promise<string[]> {
  const [own, theirs] = [join(ROOT, MIGRATIONS), join(dir, MIGRATIONS)];
  const added: string[] = [];
  for (const { name } of [...Deno.readDirSync(own)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (exists(join(theirs, name))) continue;
    await Deno.copyFile(join(own, name), join(theirs, name));
    added.push(name);
  }
  for (const { name } of Deno.readDirSync(theirs)) {
    const isSame = exists(join(own, name)) &&
      await Deno.readTextFile(join(own, name)) === await Deno.readTextFile(join(theirs, name));
    if (!isSame) {
      throw new Error(`${MIGRATIONS}/${name} was released and is another now: put it back, and add another migration`);
    }
  }
  return added;
}

async function lastRelease(): Promise<string | undefined> {
  const args = ["-C", ROOT, "describe", "--tags", "--abbrev=0", "--match", "v*"];
  const { success, stdout } = await new Deno.Command("git", { args, stderr: "null" }).output();
  return success ? decoder.decode(stdout).trim() : undefined;
}

async function run(command: string, args: string[], cwd = ROOT): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, cwd, stdout: "null" }).output();
  if (!success) throw new Error(`Cannot run ${command} ${args[0]}: ${decoder.decode(stderr).slice(-2_000)}`);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

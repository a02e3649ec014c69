/**
 * Everything that must hold before a change is done: format, lint, types, our own checks, tests.
 *
 * `npm test` runs all of it; `npm test -- packages/server/test/calls_test.ts` only the tests given.
 *
 * @module
 */
import { createLog } from "../packages/server/src/core/log.ts";
import { Secret } from "../packages/server/src/core/secret.ts";
import { connectDatabase } from "../packages/server/src/storage/db.ts";
import { startEmbeddedPostgres } from "../packages/server/src/storage/embedded/embedded_postgres.ts";
import { migrate } from "../packages/server/src/storage/migrate.ts";
import { administer, TEMPLATE } from "../packages/server/test/support/database.ts";

interface Check {
  readonly name: string;
  readonly args: readonly string[];
}

const CHECKS: readonly Check[] = [
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  { name: "types", args: ["check", "packages", "tools", "bench"] },
  { name: "layers", args: ["run", "-A", "tools/check_layers.ts"] },
  { name: "ids", args: ["run", "-A", "tools/check_ids.ts"] },
  { name: "settings reference", args: ["run", "-A", "tools/settings_reference.ts", "--check"] },
];
/** Most of a test is waiting for processes to start. */
const LANES_COUNT = 2;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function print(text: string): void {
  Deno.stdout.writeSync(encoder.encode(text));
}

async function runCheck({ name, args }: Check): Promise<boolean> {
  const started = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args] }).output();
  print(`check ${name} ... ${success ? "ok" : "FAILED"} (${Math.round(performance.now() - started)}ms)\n`);
  if (!success) print(decoder.decode(stdout) + decoder.decode(stderr));
  return success;
}

interface Count {
  passed: number;
  failed: number;
}

async function runTests(files: readonly string[]): Promise<Count> {
  const dataDir = await Deno.makeTempDir({ prefix: "fluxbase-test-server-" });
  await Deno.chmod(dataDir, 0o755);
  const log = createLog({ level: "warn", format: "text", write: (line) => print(`${line}\n`) });
  try {
    await using postgres = await startEmbeddedPostgres({ dataDir, log });
    const server = postgres.url.reveal();
    // Nothing in it outlives the run, and every test makes two databases: a machine that fails may take it along.
    await administer(server, "alter system set fsync = off");
    await administer(server, "select pg_reload_conf()");
    await administer(server, `create database ${TEMPLATE}`);
    const template = new URL(server);
    template.pathname = `/${TEMPLATE}`;
    {
      await using database = await connectDatabase({ url: new Secret(template.href), maxConnectionsCount: 2, log });
      await migrate(database.db, log);
    }
    return await runFiles(files.length > 0 ? files : await testFiles("packages"), {
      FLUXBASE_TEST_DATABASE_URL: server,
      FLUXBASE_TEST_DATABASE_DIR: postgres.dir,
      FLUXBASE_TEST_DATABASE_LOG: postgres.logFile,
    });
  } finally {
    await Deno.remove(dataDir, { recursive: true }).catch(() => {});
  }
}

/** Two at a time, each in a process of its own, so that what one leaves behind is not laid at the other's door. */
async function runFiles(files: readonly string[], env: Record<string, string>): Promise<Count> {
  const total: Count = { passed: 0, failed: 0 };
  const waiting = [...files];
  await Promise.all(Array.from({ length: LANES_COUNT }, async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const { passed, failed } = await runFile(file, env);
      total.passed += passed;
      total.failed += failed;
    }
  }));
  return total;
}

/** The largest first: what takes long must not begin last. */
async function testFiles(dir: string): Promise<string[]> {
  const found: { path: string; size: number }[] = [];
  const read = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      const path = `${folder}/${name}`;
      if (isDirectory && name !== "node_modules" && name !== "dist") await read(path);
      if (name.endsWith("_test.ts")) found.push({ path, size: (await Deno.stat(path)).size });
    }
  };
  await read(dir);
  return found.sort((a, b) => b.size - a.size).map(({ path }) => path);
}

/** Prints what it said when it is over, and reads the counts from its summary. */
async function runFile(file: string, env: Record<string, string>): Promise<Count> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--allow-all", file],
    env: { ...env, NO_COLOR: "1" },
  }).output();
  const text = decoder.decode(stdout);
  print(text + decoder.decode(stderr));
  // The last one: a test may have quoted another.
  const summary = [...text.matchAll(/(\d+) passed (?:\((\d+) steps?\) )?\| (\d+) failed(?: \((\d+) steps?\))?/g)].at(
    -1,
  );
  const count = { passed: sum(summary?.[1], summary?.[2]), failed: sum(summary?.[3], summary?.[4]) };
  if (!success && count.failed === 0) count.failed = 1;
  return count;
}

function sum(...texts: (string | undefined)[]): number {
  return texts.reduce((total, text) => total + Number(text ?? 0), 0);
}

const files = Deno.args;
const total: Count = { passed: 0, failed: 0 };
if (files.length === 0) {
  for (const check of CHECKS) total[await runCheck(check) ? "passed" : "failed"] += 1;
}
const { passed, failed } = await runTests(files);
print(`${total.passed + passed} passed, ${total.failed + failed} failed\n`);
Deno.exit(total.failed + failed === 0 ? 0 : 1);

/**
 * Runs files of tests beside a Postgres that is prepared once for all of them.
 *
 * @module
 */
import { createLog } from "../packages/server/src/core/log.ts";
import { Secret } from "../packages/server/src/core/secret.ts";
import { connectDatabase } from "../packages/server/src/storage/db.ts";
import { startEmbeddedPostgres } from "../packages/server/src/storage/embedded/embedded_postgres.ts";
import { migrate } from "../packages/server/src/storage/migrate.ts";
import { administer, TEMPLATE } from "../packages/server/test/support/database.ts";

/** Files that are named at the end: where to look when the whole takes too long. */
const SLOWEST_COUNT = 12;
/** Most of a test is waiting for processes to start. */
const LANES_COUNT = 3;
/** Those that mostly wait, for leases, deadlines and other servers, have a lane of their own: it takes little. */
const WAITING =
  /\/(notifications|server_program|server_end|chaos|task_runner|log_tail|alerts|schedules|nodes)_test\.ts$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function print(text: string): void {
  Deno.stdout.writeSync(encoder.encode(text));
}

export interface Count {
  passed: number;
  failed: number;
}

export interface RunOptions {
  /** For the tests, beside where their Postgres is. */
  readonly env?: Readonly<Record<string, string>>;
  /** Takes what a file of tests said; without, it is printed. */
  readonly said?: (text: string) => void;
}

export async function runTests(files: readonly string[], { env = {}, said = print }: RunOptions = {}): Promise<Count> {
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
    return await runFiles(files, {
      said,
      env: {
        ...env,
        FLUXBASE_TEST_DATABASE_URL: server,
        FLUXBASE_TEST_DATABASE_DIR: postgres.dir,
        FLUXBASE_TEST_DATABASE_LOG: postgres.logFile,
      },
    });
  } finally {
    await Deno.remove(dataDir, { recursive: true }).catch(() => {});
  }
}

/** A few at a time, each in a process of its own, so that what one leaves behind is not laid at the other's door. */
async function runFiles(files: readonly string[], options: Required<RunOptions>): Promise<Count> {
  const total: Count = { passed: 0, failed: 0 };
  const times: { file: string; sec: number }[] = [];
  const { slow = [], others = [] } = Object.groupBy(files, (file) => WAITING.test(file) ? "slow" : "others");
  const lanes = [slow, ...Array.from({ length: LANES_COUNT }, () => others)];
  await Promise.all(lanes.map(async (lane) => {
    for (let file = lane.shift(); file !== undefined; file = lane.shift()) {
      const startedMs = performance.now();
      const { passed, failed } = await runFile(file, options);
      times.push({ file, sec: Math.round((performance.now() - startedMs) / 1_000) });
      total.passed += passed;
      total.failed += failed;
    }
  }));
  const slowest = times.sort((a, b) => b.sec - a.sec).slice(0, SLOWEST_COUNT);
  options.said(`slowest: ${slowest.map(({ file, sec }) => `${file} ${sec} s`).join(", ")}\n`);
  return total;
}

/** The largest first: what takes long must not begin last. */
export async function testFiles(dir: string): Promise<string[]> {
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
async function runFile(file: string, { env, said }: Required<RunOptions>): Promise<Count> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--allow-all", file],
    env: { ...env, NO_COLOR: "1" },
  }).output();
  const text = decoder.decode(stdout);
  said(text + decoder.decode(stderr));
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

/**
 * Runs a real Postgres of our own beside the server, from binaries that npm installed.
 *
 * Owns: the database's folder, password and port; start, stop, and that nothing stays behind when the server is killed.
 * Does not own: connections and statements (../db.ts).
 *
 * A small shell stands between us and Postgres. It waits for the end of its standard input, which comes when we close
 * it and also when we are killed, and then asks Postgres for a fast shutdown: one mechanism for both ends.
 *
 * @module
 */
import { LIMITS } from "@fluxbase/contract";
import { statfsSync } from "node:fs";
import { join, resolve } from "node:path";
import pg from "pg";
import { delay } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { Secret } from "../../core/secret.ts";
import { StartError } from "../start_error.ts";
import { type PostgresBinaries, prepareBinaries } from "./binaries.ts";
import { explainFailure } from "./failure.ts";
import { endOrphans } from "./orphans.ts";
import { chooseHome, chooseRunAs, chownTree, type RunAs } from "./run_as.ts";

export interface EmbeddedPostgresOptions {
  readonly dataDir: string;
  readonly log: Log;
  /** What one session may have for itself: no setting of Postgres bounds what its SQL asks for. */
  readonly sessionMemoryMiB?: number;
  readonly connectionsCount?: number;
  /** A fixed port; without it a free one is taken and kept for the next starts. */
  readonly port?: number;
}

export interface EmbeddedPostgres {
  readonly url: Secret;
  readonly port: number;
  /** The folder of the database's files. */
  readonly dir: string;
  readonly logFile: string;
  /** Resolves when Postgres ended by itself and cannot be brought back. */
  readonly gaveUp: Promise<StartError>;
  [Symbol.asyncDispose](): Promise<void>;
}

const DATABASE = "fluxbase";
const HOST = "127.0.0.1";
const START_MS = 30_000;
const POLL_MS = 10;
const RECOVERING_POLL_MS = 100;
/** A server that was killed a moment ago needs this long until its Postgres is down. */
const LOCK_WAIT_MS = 10_000;
const STOP_MS = 15_000;
const PORT_TRIES_COUNT = 5;
/** Ends of Postgres within a minute that are answered with a new start. */
const RESTARTS_MAX_COUNT = 3;
const RESTARTS_WINDOW_MS = 60_000;

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: HOST,
  unix_socket_directories: "",
  shared_buffers: "32MB",
  log_min_messages: "warning",
  password_encryption: "scram-sha-256",
};

// $1: log file; $2: memory that a process of Postgres may have for itself, in KiB; the rest: the command. See the module
// comment.
const WATCHDOG = `
log=$1; ulimit -d "$2"; shift 2
exec 3<&0
"$@" >>"$log" 2>&1 </dev/null 3<&- &
child=$!
{ cat <&3 >/dev/null; kill -INT $child 2>/dev/null; sleep 10; kill -QUIT $child 2>/dev/null; } &
watcher=$!
wait $child; code=$?
kill $watcher 2>/dev/null
exit $code
`;

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  await makeDataDir(dataDir);
  const runAs = await chooseRunAs();
  const home = await chooseHome(dataDir, runAs);
  if (home !== dataDir) {
    options.log.info("Database files are outside the data directory, which its user cannot reach", { dir: home });
  }
  const binaries = await prepareBinaries(runAs, home);
  const dir = join(home, "postgres");
  const password = await readPassword(dataDir);

  await checkMajorVersion(dir, binaries);
  if (!(await exists(dir))) await initialise(binaries, { dir, runAs, password });

  const logFile = join(home, "postgres.log");
  const launch = { ...options, dataDir, dir, logFile, runAs, password };
  const first = await startOnSomePort(binaries, launch);
  const { port } = first;
  const supervisor = supervise(first, () => startOnSomePort(binaries, { ...launch, port }), options.log);
  return { url: new Secret(urlOf(password, port, DATABASE)), port, dir, logFile, ...supervisor };
}

/** The one that another process has started on this data directory, if one runs. */
export async function findRunningPostgres(dataDir: string): Promise<Secret | undefined> {
  const port = await rememberedPort(join(dataDir, "postgres-port"));
  const password = await Deno.readTextFile(join(dataDir, "postgres-password")).catch(() => "");
  if (port === undefined || password === "") return undefined;
  const url = new Secret(urlOf(new Secret(password), port, DATABASE));
  const client = new pg.Client({ connectionString: url.reveal(), connectionTimeoutMillis: 2_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    return url;
  } catch {
    return undefined;
  } finally {
    await client.end().catch(() => {});
  }
}

/** Starts Postgres again when it ends by itself: killed, out of memory, or crashed. */
function supervise(
  first: Running,
  restart: () => Promise<Running>,
  log: Log,
): Pick<EmbeddedPostgres, "gaveUp" | typeof Symbol.asyncDispose> {
  const { promise: gaveUp, resolve: giveUp } = Promise.withResolvers<StartError>();
  let running = first;
  let isStopping = false;

  async function watch(): Promise<void> {
    const endsMs: number[] = [];
    while (true) {
      await running.ended;
      if (isStopping) return;
      const nowMs = performance.now();
      endsMs.push(nowMs);
      const recentCount = endsMs.filter((endMs) => nowMs - endMs < RESTARTS_WINDOW_MS).length;
      if (recentCount > RESTARTS_MAX_COUNT) {
        return giveUp(new StartError(`The embedded Postgres ended ${recentCount} times within a minute: see its log`));
      }
      log.error("The embedded Postgres ended by itself and is started again");
      try {
        running = await restart();
      } catch (error) {
        return giveUp(error instanceof StartError ? error : new StartError(reasonOf(error)));
      }
      if (isStopping) await running.stop();
    }
  }
  const watching = watch();

  return {
    gaveUp,
    async [Symbol.asyncDispose]() {
      isStopping = true;
      await running.stop();
      await watching;
    },
  };
}

async function makeDataDir(dataDir: string): Promise<void> {
  try {
    // Searchable by others, so that the database's user can reach its own folder below; secrets in it are 0600.
    await Deno.mkdir(dataDir, { recursive: true, mode: 0o711 });
  } catch (error) {
    throw new StartError(
      `Cannot use "${dataDir}" as data directory: ${
        reasonOf(error)
      }; set FLUXBASE_DATA_DIR to a folder that can be written`,
    );
  }
}

/** Made once. The file is ours alone: Postgres itself keeps only a SCRAM verifier. */
async function readPassword(dataDir: string): Promise<Secret> {
  const file = join(dataDir, "postgres-password");
  try {
    await Deno.writeTextFile(file, crypto.randomUUID() + crypto.randomUUID(), { createNew: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw new StartError(
        `Cannot write "${file}": ${reasonOf(error)}; check who owns the data directory and whether its disk is full`,
      );
    }
  }
  const password = await Deno.readTextFile(file);
  if (password === "") {
    throw new StartError(
      `Cannot use "${file}": it is empty; restore it, or remove it together with the folder "postgres" beside it`,
    );
  }
  return new Secret(password);
}

async function checkMajorVersion(dir: string, { majorVersion }: PostgresBinaries): Promise<void> {
  let found: string;
  try {
    found = (await Deno.readTextFile(join(dir, "PG_VERSION"))).trim();
  } catch {
    return;
  }
  if (Number(found) === majorVersion) return;
  throw new StartError(
    `Cannot open the database in "${dir}": it was made by Postgres ${found}, and this is Postgres ${majorVersion}; dump it with the old version and restore it here, or move the folder away to start with an empty one`,
  );
}

const SHARED_FOLDER = "/dev/shm";
/** Containers have 64 MB there by default, and some none to speak of. */
const SHARED_MIN_BYTES = 32 * 1024 * 1024;

/** Sessions that share memory do so in files of the database's folder where the system's own place is too small. */
function sharedMemoryType(): "posix" | "mmap" {
  try {
    const { bsize, blocks } = statfsSync(SHARED_FOLDER);
    return bsize * blocks < SHARED_MIN_BYTES ? "mmap" : "posix";
  } catch {
    return Deno.build.os === "linux" ? "mmap" : "posix";
  }
}

/** Into a temporary folder first: a cut-short initdb is never taken for a database. */
async function initialise(
  binaries: PostgresBinaries,
  { dir, runAs, password }: { dir: string; runAs: RunAs; password: Secret },
): Promise<void> {
  const temporary = `${dir}.new`;
  await Deno.remove(temporary, { recursive: true }).catch(() => {});
  const passwordFile = `${dir}.pw`;
  try {
    await Deno.mkdir(temporary, { mode: 0o700 });
    await Deno.writeTextFile(passwordFile, password.reveal(), { mode: 0o600 });
    await chownTree(temporary, runAs);
    await chownTree(passwordFile, runAs);
    const { success, stdout, stderr } = await new Deno.Command(binaries.initdb, {
      args: [
        `--pgdata=${temporary}`,
        "--username=postgres",
        "--locale=C",
        "--encoding=UTF8",
        "--auth=scram-sha-256",
        `--pwfile=${passwordFile}`,
        "--no-instructions",
        `--set=dynamic_shared_memory_type=${sharedMemoryType()}`,
      ],
      ...identity(runAs),
      clearEnv: true,
      cwd: "/",
    }).output();
    const decoder = new TextDecoder();
    if (!success) throw explainFailure(`${decoder.decode(stdout)}\n${decoder.decode(stderr)}`, dir).error;
    await Deno.rename(temporary, dir);
  } catch (error) {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
    if (error instanceof StartError) throw error;
    throw explainFailure(reasonOf(error), dir).error;
  } finally {
    await Deno.remove(passwordFile).catch(() => {});
  }
}

interface LaunchOptions extends EmbeddedPostgresOptions {
  readonly dir: string;
  readonly logFile: string;
  readonly runAs: RunAs;
  readonly password: Secret;
}

interface Running {
  readonly port: number;
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

async function startOnSomePort(binaries: PostgresBinaries, options: LaunchOptions): Promise<Running> {
  const portFile = join(options.dataDir, "postgres-port");
  const lockedUntil = performance.now() + LOCK_WAIT_MS;
  let port = options.port ?? await rememberedPort(portFile) ?? freePort();
  for (let tries = 1;; tries += 1) {
    const result = await launch(binaries, port, options);
    if ("stop" in result) {
      await Deno.writeTextFile(portFile, String(port)).catch(() => {});
      return result;
    }
    if (result.kind === "locked" && performance.now() < lockedUntil) {
      await endOrphans(options.dir, options.log);
      await delay(100);
    } else if (result.kind === "port-taken" && options.port === undefined && tries < PORT_TRIES_COUNT) {
      port = freePort();
    } else if (result.kind === "port-taken") {
      throw new StartError(
        `Cannot start the embedded Postgres: port ${port} on ${HOST} is in use; set FLUXBASE_DATABASE_EMBEDDED_PORT to a free one or leave it out`,
      );
    } else {
      throw result.error;
    }
  }
}

async function launch(
  binaries: PostgresBinaries,
  port: number,
  { dir, logFile, runAs, password, sessionMemoryMiB = LIMITS.sessionMemoryMiB.default, connectionsCount = 100 }:
    LaunchOptions,
): Promise<Running | ReturnType<typeof explainFailure>> {
  await Deno.rename(logFile, `${logFile}.old`).catch(() => {});
  await Deno.writeTextFile(logFile, "", { mode: 0o600 }).catch((error) => {
    throw explainFailure(reasonOf(error), dir).error;
  });
  await chownTree(logFile, runAs);
  // Another server's Postgres may listen on this port, with the same data and password: only ours has this name.
  const name = crypto.randomUUID();
  const settings = Object.entries({
    ...SETTINGS,
    max_connections: String(connectionsCount),
    dynamic_shared_memory_type: sharedMemoryType(),
    cluster_name: name,
  }).flatMap((
    [key, value],
  ) => ["-c", `${key}=${value}`]);
  const watchdog = new Deno.Command("/bin/sh", {
    args: [
      ...["-c", WATCHDOG, "fluxbase-postgres", logFile, String(sessionMemoryMiB * 1024)],
      ...[binaries.postgres, "-D", dir, "-p", String(port), ...settings],
    ],
    ...identity(runAs),
    clearEnv: true,
    env: { LC_ALL: "C", PATH: "/usr/local/bin:/usr/bin:/bin" },
    cwd: "/",
    stdin: "piped",
    stdout: "null",
    stderr: "null",
    // A session of its own: Ctrl-C on the terminal must not stop the database before the server has flushed to it.
    detached: true,
  }).spawn();
  let hasEnded = false;
  const lifeline = watchdog.stdin.getWriter();
  const ended = watchdog.status.then(() => {
    hasEnded = true;
    // When the shell alone was killed, its other half still waits for this, to end Postgres.
    void lifeline.close().catch(() => {});
  });

  async function stop() {
    await lifeline.close().catch(() => {});
    const timer = setTimeout(() => killGroup(watchdog.pid), STOP_MS);
    await ended;
    clearTimeout(timer);
  }

  let deadline = performance.now() + START_MS;
  while (!hasEnded) {
    const connected = await tryConnect(urlOf(password, port, "postgres"), name);
    if (hasEnded) break;
    if (connected === "ready") return { port, ended, stop };
    // After a crash it replays what it had not yet put into its files: that takes as long as it takes.
    if (connected === "recovering") {
      deadline = performance.now() + START_MS;
      await delay(RECOVERING_POLL_MS);
      continue;
    }
    if (connected !== "not-yet" || performance.now() > deadline) {
      await stop();
      throw new StartError(
        connected === "not-yet"
          ? `Cannot start the embedded Postgres in "${dir}": it was not ready within ${
            START_MS / 1000
          } s; see "${logFile}"`
          : connected,
      );
    }
    await delay(POLL_MS);
  }
  await lifeline.close().catch(() => {});
  return explainFailure(await Deno.readTextFile(logFile), dir);
}

/** "ready" also means that our database exists; "recovering" that it will take connections later; a sentence is a reason to give up. */
async function tryConnect(url: string, clusterName: string): Promise<"ready" | "not-yet" | "recovering" | string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query("select current_setting('cluster_name') as name");
    if (rows[0]?.name !== clusterName) return "not-yet";
    const { rowCount } = await client.query("select 1 from pg_database where datname = $1", [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
    return "ready";
  } catch (error) {
    const code = error instanceof Error ? Reflect.get(error, "code") : undefined;
    if (code === "57P03") return "recovering";
    if (code === "28P01") {
      return 'Cannot sign in to the embedded Postgres: the file "postgres-password" in the data directory does not belong to the database beside it';
    }
    if (code === "53100") {
      return explainFailure("No space left on device", url.slice(url.lastIndexOf("@") + 1)).error.message;
    }
    return "not-yet";
  } finally {
    await client.end().catch(() => {});
  }
}

function identity({ uid, gid }: RunAs): { uid?: number; gid?: number } {
  return uid === null || gid === null ? {} : { uid, gid };
}

function urlOf(password: Secret, port: number, database: string): string {
  return `postgres://postgres:${password.reveal()}@${HOST}:${port}/${database}`;
}

async function rememberedPort(file: string): Promise<number | undefined> {
  try {
    const port = Number(await Deno.readTextFile(file));
    return Number.isInteger(port) && port > 1023 && port < 65_536 ? port : undefined;
  } catch {
    return undefined;
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** The shell leads a process group; Postgres and its children are in it. */
function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch {
    // Already gone.
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}

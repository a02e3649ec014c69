/**
 * Starts the operating-system process of a sandbox and hands out its socket.
 *
 * Owns: command line, folder and socket file of the process, what it wrote to stdout and stderr, why it ended.
 * Does not own: what is said over the socket (./sandbox.ts), how many there are (./sandbox_pool.ts).
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { withDeadline } from "../core/clock.ts";
import { V8_FLAGS } from "../core/v8_flags.mjs";
import type { BootOptions } from "../../sandbox_runtime/bootstrap.ts";
import { SHARED_PAGE_BYTES } from "../../sandbox_runtime/harden.ts";
import { removeTree } from "../processes/remove_tree.ts";
import { readOutput } from "./process_output.ts";
import type { SandboxSpawners } from "./sandbox_spawners.ts";

/** What cannot change in the life of a process: sandboxes of one profile are interchangeable while blank. */
export interface SandboxProfile {
  /** A list: these hosts only. */
  readonly net: boolean | readonly string[];
  readonly read: boolean;
  readonly write: boolean;
  readonly memoryMiB: number;
}

export interface SandboxProcessOptions {
  /** The folder in which each sandbox gets a folder of its own; searchable by every uid. */
  readonly runDir: string;
  /** Given to sandboxes as uid and gid, one for each, when the server runs as root. */
  readonly uids: UidRange | null;
  readonly spawners: SandboxSpawners;
  /** The addresses that `--deny-net` names. */
  denyNet(): string;
}

export interface ProcessStart {
  readonly startMs: number;
  readonly scratchBytes: number;
  now(): number;
  /** What it writes past the console, line by line. */
  onLine(text: string): void;
}

export interface UidRange {
  take(): number;
  giveBack(uid: number): void;
}

export interface SandboxProcess {
  readonly pid: number;
  readonly connection: Deno.UnixConn;
  /** Empty at first, wiped at the end; the function may use it where its permissions say so. */
  readonly scratchDir: string;
  /** Settles when the process is gone and its output is read. */
  readonly exit: Promise<ProcessExit>;
  kill(): void;
}

export interface ProcessExit {
  readonly code: number;
  readonly signal: string | null;
  /** The end of what it wrote to stdout and stderr. */
  readonly output: string;
  /** How many requests it had begun with; null when that is not known. */
  readonly startedCount: number | null;
}

const MiB = 1024 * 1024;
/** Private writable memory of a Deno process before any user code, measured; the heap and buffers come on top. */
const RUNTIME_DATA_MIB = 560;
/** V8's young generation takes up to three times its semi-space, beside the old one that the heap limit counts. */
const SEMI_SPACE_PART = 16;
const OPEN_FILES_COUNT = 1024;

let nextFolder = 0;

export async function startSandboxProcess(
  profile: SandboxProfile,
  options: SandboxProcessOptions,
  { startMs, scratchBytes, now, onLine }: ProcessStart,
): Promise<SandboxProcess> {
  const { spawners } = options;
  const uid = options.uids?.take() ?? null;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => uid === null ? undefined : options.uids?.giveBack(uid));
  nextFolder += 1;
  const dir = `${options.runDir}/${nextFolder.toString(36)}-${crypto.randomUUID().slice(0, 8)}`;
  const scratchDir = `${dir}/scratch`;
  const boot: BootOptions = {
    socketPath: `${dir}/s`,
    startedCountPath: `${spawners.pagesDir}/${crypto.randomUUID()}`,
    uid,
    dataBytes: (RUNTIME_DATA_MIB + 2 * profile.memoryMiB) * MiB,
    openFilesCount: OPEN_FILES_COUNT,
    fileBytes: profile.write ? scratchBytes : 0,
    hasNetwork: profile.net !== false,
    parentPid: Deno.pid,
  };
  undo.defer(() => removeTree(dir));
  // The folder is the server's: a sandbox finds its socket there, and its scratch folder if it may use one.
  await Deno.mkdir(dir, { mode: 0o711 });
  await Deno.mkdir(scratchDir, { mode: 0o700 });
  const hasScratch = profile.read || profile.write;
  const page = await makeSharedPage(boot.startedCountPath, uid);
  undo.defer(() => page.end());
  const listener = Deno.listen({ transport: "unix", path: boot.socketPath });
  using _listener = { [Symbol.dispose]: () => listener.close() };
  if (uid !== null) {
    for (const path of [boot.socketPath, ...hasScratch ? [scratchDir] : []]) await Deno.chown(path, uid, uid);
  }
  const own = hasScratch ? await spawners.withScratch(scratchDir, profile) : undefined;
  undo.defer(async () => {
    if (profile.write) await own?.empty(scratchDir);
    own?.end();
  });
  const child = await (own ?? spawners.common).start({
    program: spawners.files.deno,
    args: [
      ...denoFlags(profile, { boot, scratchDir, denyNet: options.denyNet() }),
      spawners.files.sandbox,
      JSON.stringify(boot),
    ],
    env: {
      // Deno keeps no caches: their folder is out of reach.
      DENO_DIR: `${dir}/none`,
      DENO_CACHE_DB_MODE: "memory",
      // Without it, the system's users are searched for the home folder.
      HOME: dir,
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
    },
    cwd: hasScratch ? scratchDir : dir,
    uid,
    hasInput: false,
  });
  const ending = undo.move();

  const exit = (async (): Promise<ProcessExit> => {
    const output = await readOutput(child, { now, onLine });
    const { code, signal } = await child.ended;
    const startedCount = page.read();
    spawners.clearUp(() => ending.disposeAsync());
    return { code, signal, output: output.tail(), startedCount };
  })();

  try {
    const died = exit.then(({ code, output }) => {
      throw startFailure(`it ended with code ${code}: ${output.trim() || "no output"}`);
    });
    died.catch(() => {});
    const connection = await withDeadline(
      Promise.race([listener.accept(), died]),
      startMs,
      () => startFailure(`it did not connect within ${startMs} ms`),
    );
    // It has both, and nobody else is to find them.
    await Promise.all([boot.socketPath, boot.startedCountPath].map((path) => Deno.remove(path)));
    return { pid: child.pid, connection, scratchDir, exit, kill: () => child.kill() };
  } catch (error) {
    child.kill();
    await exit;
    throw error;
  }
}

interface SharedPage {
  /** The sandbox counts in memory that it shares with this file, so the number holds however it died; null: it could not. */
  read(): number | null;
  end(): Promise<void>;
}

async function makeSharedPage(path: string, uid: number | null): Promise<SharedPage> {
  const file = await Deno.open(path, { read: true, write: true, createNew: true, mode: 0o600 });
  file.writeSync(new Uint8Array(SHARED_PAGE_BYTES).fill(0xff));
  if (uid !== null) await Deno.chown(path, uid, uid);
  return {
    read() {
      const bytes = new Uint8Array(4);
      file.seekSync(0, Deno.SeekMode.Start);
      const count = file.readSync(bytes) === 4 ? new DataView(bytes.buffer).getInt32(0, true) : -1;
      return count < 0 ? null : count;
    },
    async end() {
      file.close();
      await Deno.remove(path).catch(() => {});
    },
  };
}

interface Places {
  readonly boot: BootOptions;
  readonly scratchDir: string;
  readonly denyNet: string;
}

function denoFlags(
  { net, read, write, memoryMiB }: SandboxProfile,
  { boot, scratchDir, denyNet }: Places,
): string[] {
  // Connecting to a unix socket needs read and write on its path.
  const reads = [boot.socketPath, ...(read ? [scratchDir] : [])];
  const writes = [boot.socketPath, ...(write ? [scratchDir] : [])];
  const semiSpaceMiB = Math.max(1, Math.floor(memoryMiB / SEMI_SPACE_PART));
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-config",
    "--no-lock",
    "--no-remote",
    "--no-npm",
    "--cached-only",
    "--no-code-cache",
    "--allow-env",
    "--allow-ffi",
    `--allow-read=${reads.join(",")}`,
    `--allow-write=${writes.join(",")}`,
    ...netFlags(net, `unix:${boot.socketPath}`, denyNet),
    `--v8-flags=--max-old-space-size=${memoryMiB},--max-semi-space-size=${semiSpaceMiB},${V8_FLAGS}`,
  ];
}

/** Its own socket is always among what it may reach; what is denied stays so, whatever a listed host resolves to. */
function netFlags(net: SandboxProfile["net"], socket: string, denyNet: string): string[] {
  if (net === false) return [`--allow-net=${socket}`];
  return [net === true ? "--allow-net" : `--allow-net=${[...net, socket].join(",")}`, `--deny-net=${denyNet}`];
}

function startFailure(why: string): PlatformError {
  return new PlatformError("SANDBOX_DIED", `Cannot start a sandbox: ${why}`);
}

/** Unprivileged uids, one for each living sandbox, so that neighbours cannot touch each other. */
export function createUidRange({ base, count }: { base: number; count: number }): UidRange {
  const free: number[] = [];
  let next = 0;
  return {
    take() {
      if (next < count) return base + next++;
      const uid = free.shift();
      if (uid === undefined) {
        throw new PlatformError("POOL_EXHAUSTED", `Cannot start a sandbox: all ${count} uids are in use`);
      }
      return uid;
    },
    giveBack: (uid) => free.push(uid),
  };
}

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
import { denyNetList } from "./egress.ts";

/** What cannot change in the life of a process: sandboxes of one profile are interchangeable while blank. */
export interface SandboxProfile {
  readonly net: boolean;
  readonly read: boolean;
  readonly write: boolean;
  readonly memoryMiB: number;
}

export interface SandboxProcessOptions {
  /** The folder in which each sandbox gets a folder of its own; searchable by every uid. */
  readonly runDir: string;
  /** Given to sandboxes as uid and gid, one for each, when the server runs as root. */
  readonly uids: UidRange | null;
  /** Where Deno keeps its compiled modules. */
  readonly denoDir: string;
  readonly startMs: number;
}

export interface UidRange {
  take(): number;
  giveBack(uid: number): void;
}

export interface SandboxProcess {
  readonly pid: number;
  readonly dir: string;
  readonly uid: number | null;
  readonly connection: Deno.UnixConn;
  /** Settles when the process is gone and its output is read. */
  readonly exit: Promise<ProcessExit>;
  kill(): void;
}

export interface ProcessExit {
  readonly code: number;
  readonly signal: string | null;
  /** The end of what it wrote to stdout and stderr. */
  readonly output: string;
}

const MiB = 1024 * 1024;
/** Private writable memory of a Deno process before any user code, measured; the heap and buffers come on top. */
const RUNTIME_DATA_MIB = 560;
const OPEN_FILES_COUNT = 1024;
const SCRATCH_FILE_MIB = 64;
const OUTPUT_TAIL_BYTES = 16 * 1024;
const BOOTSTRAP = new URL("../../sandbox_runtime/bootstrap.ts", import.meta.url).href;

let nextFolder = 0;

export async function startSandboxProcess(
  profile: SandboxProfile,
  options: SandboxProcessOptions,
): Promise<SandboxProcess> {
  const uid = options.uids?.take() ?? null;
  nextFolder += 1;
  const dir = `${options.runDir}/${nextFolder.toString(36)}-${crypto.randomUUID().slice(0, 8)}`;
  await Deno.mkdir(`${dir}/scratch`, { recursive: true, mode: 0o700 });
  if (uid !== null) {
    await Deno.chown(dir, uid, uid);
    await Deno.chown(`${dir}/scratch`, uid, uid);
  }
  const socketPath = `${dir}/s`;
  const listener = Deno.listen({ transport: "unix", path: socketPath });

  const boot: BootOptions = {
    socketPath,
    uid,
    dataBytes: (RUNTIME_DATA_MIB + 2 * profile.memoryMiB) * MiB,
    openFilesCount: OPEN_FILES_COUNT,
    fileBytes: SCRATCH_FILE_MIB * MiB,
    parentPid: Deno.pid,
  };
  const child = new Deno.Command(Deno.execPath(), {
    args: [...denoFlags(profile, dir), BOOTSTRAP, JSON.stringify(boot)],
    clearEnv: true,
    env: { DENO_DIR: options.denoDir, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1", DENO_CACHE_DB_MODE: "memory" },
    cwd: "/",
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    // A process group of its own: Ctrl-C on the server's terminal must not end it in the middle of a request.
    detached: true,
  }).spawn();

  const tail = createTail(OUTPUT_TAIL_BYTES);
  const exit = (async (): Promise<ProcessExit> => {
    await Promise.all([drain(child.stdout, tail), drain(child.stderr, tail)]);
    const status = await child.status;
    await removeFolder(dir);
    if (uid !== null) options.uids?.giveBack(uid);
    return { code: status.code, signal: status.signal, output: tail.text() };
  })();

  function kill() {
    try {
      child.kill("SIGKILL");
    } catch {
      // Already gone.
    }
  }
  try {
    const died = exit.then(({ code, output }) => {
      throw startFailure(`it ended with code ${code}: ${output.trim() || "no output"}`);
    });
    died.catch(() => {});
    const connection = await withDeadline(
      Promise.race([listener.accept(), died]),
      options.startMs,
      () => startFailure(`it did not connect within ${options.startMs} ms`),
    );
    return { pid: child.pid, dir, uid, connection, exit, kill };
  } catch (error) {
    kill();
    await exit;
    throw error;
  } finally {
    listener.close();
  }
}

function denoFlags(profile: SandboxProfile, dir: string): string[] {
  const reads = profile.read ? [dir, `${dir}/scratch`] : [dir];
  const flags = [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-config",
    "--no-lock",
    "--no-remote",
    "--no-npm",
    "--cached-only",
    "--allow-env",
    "--allow-ffi",
    `--allow-read=${reads.join(",")}`,
    `--v8-flags=--max-old-space-size=${profile.memoryMiB},${V8_FLAGS}`,
  ];
  if (profile.net) flags.push("--allow-net", `--deny-net=${denyNetList()}`);
  else flags.push(`--allow-net=unix:${dir}/s`);
  // Connecting to a unix socket needs write on its path too when the network is not granted whole.
  flags.push(`--allow-write=${profile.write ? `${dir}/s,${dir}/scratch` : `${dir}/s`}`);
  return flags;
}

function startFailure(why: string): PlatformError {
  return new PlatformError("SANDBOX_DIED", `Cannot start a sandbox: ${why}`);
}

async function removeFolder(dir: string): Promise<void> {
  try {
    await Deno.remove(dir, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

interface Tail {
  push(chunk: Uint8Array): void;
  text(): string;
}

/** Keeps the last bytes of a stream that may be endless. */
function createTail(maxBytes: number): Tail {
  let kept: Uint8Array = new Uint8Array(0);
  return {
    push(chunk) {
      const both = new Uint8Array(kept.length + chunk.length);
      both.set(kept);
      both.set(chunk, kept.length);
      kept = both.slice(Math.max(0, both.length - maxBytes));
    },
    text: () => new TextDecoder().decode(kept),
  };
}

async function drain(stream: ReadableStream<Uint8Array>, tail: Tail): Promise<void> {
  for await (const chunk of stream) tail.push(chunk);
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

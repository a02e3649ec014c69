/**
 * The command that starts a sandbox, or a zygote of sandboxes: what Deno is told, and what the harness is told.
 *
 * @module
 */
import { SANDBOX_V8_FLAGS } from "../core/v8_flags.mjs";
import type { BootOptions } from "../../sandbox_runtime/bootstrap.ts";
import type { Command } from "../processes/confined_process.ts";
import type { RuntimeFiles } from "../processes/runtime_files.ts";

/** What cannot change in the life of a process: sandboxes of one profile are interchangeable while blank. */
export interface SandboxProfile {
  /** A list: these hosts only. */
  readonly net: boolean | readonly string[];
  readonly read: boolean;
  readonly write: boolean;
  readonly memoryMiB: number;
}

export interface CommandOptions {
  readonly files: RuntimeFiles;
  /** The folder of the process. */
  readonly dir: string;
  /** The part of it that a function may use; null: none. */
  readonly scratchDir: string | null;
  readonly scratchBytes: number;
  /** Null: a zygote. */
  readonly startedCountPath: string | null;
  readonly uid: number | null;
  /** The addresses that `--deny-net` names. */
  readonly denyNet: string;
}

const MiB = 1024 * 1024;
/** Private writable memory of a Deno process before any user code, measured; the heap and buffers come on top. */
const RUNTIME_DATA_MIB = 560;
/** V8's young generation takes up to three times its semi-space, beside the old one that the heap limit counts. */
const SEMI_SPACE_PART = 16;
const OPEN_FILES_COUNT = 1024;

export const socketPathIn = (dir: string): string => `${dir}/s`;

export function sandboxCommand(profile: SandboxProfile, options: CommandOptions): Command {
  const { files, dir, scratchDir, scratchBytes, startedCountPath, uid } = options;
  const boot: BootOptions = {
    socketPath: socketPathIn(dir),
    startedCountPath,
    uid,
    dataBytes: (RUNTIME_DATA_MIB + 2 * profile.memoryMiB) * MiB,
    openFilesCount: OPEN_FILES_COUNT,
    fileBytes: profile.write ? scratchBytes : 0,
    hasNetwork: profile.net !== false,
    parentPid: Deno.pid,
  };
  return {
    program: files.deno,
    args: [...denoFlags(profile, options), files.sandbox, JSON.stringify(boot)],
    env: {
      // Deno keeps no caches: their folder is out of reach.
      DENO_DIR: `${dir}/none`,
      DENO_CACHE_DB_MODE: "memory",
      // Without it, the system's users are searched for the home folder.
      HOME: dir,
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
    },
    cwd: scratchDir ?? dir,
    uid,
    hasInput: startedCountPath === null,
  };
}

function denoFlags(
  { net, read, write, memoryMiB }: SandboxProfile,
  { dir, scratchDir, denyNet }: CommandOptions,
): string[] {
  const socket = socketPathIn(dir);
  const scratch = scratchDir === null ? [] : [scratchDir];
  // Connecting to a unix socket needs read and write on its path.
  const reads = [socket, ...(read ? scratch : [])];
  const writes = [socket, ...(write ? scratch : [])];
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
    ...netFlags(net, `unix:${socket}`, denyNet),
    `--v8-flags=--max-old-space-size=${memoryMiB},--max-semi-space-size=${semiSpaceMiB},${SANDBOX_V8_FLAGS}`,
  ];
}

/** Its own socket is always among what it may reach; what is denied stays so, whatever a listed host resolves to. */
function netFlags(net: SandboxProfile["net"], socket: string, denyNet: string): string[] {
  if (net === false) return [`--allow-net=${socket}`];
  return [net === true ? "--allow-net" : `--allow-net=${[...net, socket].join(",")}`, `--deny-net=${denyNet}`];
}

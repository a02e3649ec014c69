/**
 * One builder process, seen from the server: one build at a time, ended when a build takes too long.
 *
 * @module
 */
import { dirname } from "node:path";
import type { Spawner } from "../processes/confined_process.ts";
import type { RuntimeFiles } from "../processes/runtime_files.ts";
import type { BuilderOptions, BuildReply, BuildRequest, CheckReply, CheckRequest } from "./build_process.ts";
import { TextLineStream } from "./text_lines.ts";

export interface Builder {
  readonly isAlive: boolean;
  /** Resolves with undefined when the process ended instead of answering. */
  build(request: BuildRequest, deadlineMs: number): Promise<BuildReply | "died" | "too-slow">;
  check(request: CheckRequest, deadlineMs: number): Promise<CheckReply | "died" | "too-slow">;
  stop(): Promise<void>;
}

/** A syntax tree takes some hundred times the bytes of its source; one file may have 1 MB and more. */
const MEMORY_BYTES = 3 * 1024 * 1024 * 1024;
const HEAP_MIB = 1024;

export interface BuilderParts {
  readonly uid: number | null;
  readonly files: RuntimeFiles;
  readonly spawner: Pick<Spawner, "start">;
}

export async function startBuilder({ uid, files, spawner }: BuilderParts): Promise<Builder> {
  const options: BuilderOptions = { uid, parentPid: Deno.pid, memoryBytes: MEMORY_BYTES };
  const child = await spawner.start({
    program: files.deno,
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      "--no-remote",
      "--cached-only",
      "--no-code-cache",
      "--node-modules-dir=manual",
      "--allow-read",
      "--allow-ffi",
      "--allow-env",
      "--allow-sys",
      `--v8-flags=--max-old-space-size=${HEAP_MIB}`,
      files.builder,
      JSON.stringify(options),
    ],
    env: { DENO_DIR: "/none", DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1", DENO_CACHE_DB_MODE: "memory" },
    cwd: dirname(files.builder),
    uid,
    hasInput: true,
  });
  void child.stderr.cancel();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
  let isAlive = true;
  const ended = child.ended.then(() => {
    isAlive = false;
  });

  function kill() {
    isAlive = false;
    child.kill();
  }

  async function ask<Reply>(request: object, deadlineMs: number): Promise<Reply | "died" | "too-slow"> {
    let isTooSlow = false;
    const timer = setTimeout(() => {
      isTooSlow = true;
      kill();
    }, deadlineMs);
    try {
      await child.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
      const { done, value } = await output.read();
      if (!done) return JSON.parse(value) as Reply;
    } catch {
      // A broken pipe: the process is gone.
    } finally {
      clearTimeout(timer);
    }
    kill();
    return isTooSlow ? "too-slow" : "died";
  }

  return {
    get isAlive() {
      return isAlive;
    },
    build: (request, deadlineMs) => ask<BuildReply>(request, deadlineMs),
    check: (request, deadlineMs) => ask<CheckReply>(request, deadlineMs),
    async stop() {
      kill();
      await ended;
      await output.cancel().catch(() => {});
    },
  };
}

/**
 * One builder process, seen from the server: one build at a time, ended when a build takes too long.
 *
 * @module
 */
import { createRequire } from "node:module";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
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
const MAIN = new URL("./build_process.ts", import.meta.url).href;
const PACKAGES = fileURLToPath(new URL("../../../", import.meta.url));
const MODULE_FOLDERS = createRequire(import.meta.url).resolve.paths("oxc-parser") ?? [];
/** Its own modules, and where those of others may lie; from where it is started, since a path with a comma would be two. */
const READABLE = [".", ...MODULE_FOLDERS.map((path) => relative(PACKAGES, path)), "/usr/bin/ldd"];

export function startBuilder({ uid, denoDir }: { uid: number | null; denoDir: string }): Builder {
  const options: BuilderOptions = { uid, parentPid: Deno.pid, memoryBytes: MEMORY_BYTES };
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-lock",
      "--no-remote",
      "--cached-only",
      "--node-modules-dir=manual",
      `--allow-read=${READABLE.join(",")}`,
      "--allow-ffi",
      "--allow-env",
      "--allow-sys",
      `--v8-flags=--max-old-space-size=${HEAP_MIB}`,
      MAIN,
      JSON.stringify(options),
    ],
    clearEnv: true,
    env: { DENO_DIR: denoDir, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1", DENO_CACHE_DB_MODE: "memory" },
    cwd: PACKAGES,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    detached: true,
  }).spawn();
  const input = child.stdin.getWriter();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
  let isAlive = true;
  const ended = child.status.then(() => {
    isAlive = false;
  });

  function kill() {
    isAlive = false;
    try {
      child.kill("SIGKILL");
    } catch {
      // Already gone.
    }
  }

  async function ask<Reply>(request: object, deadlineMs: number): Promise<Reply | "died" | "too-slow"> {
    let isTooSlow = false;
    const timer = setTimeout(() => {
      isTooSlow = true;
      kill();
    }, deadlineMs);
    try {
      await input.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
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
      await input.abort().catch(() => {});
    },
  };
}

/**
 * Language services for editors: one confined `deno lsp` for each session, few of them, and none for longer than
 * somebody types.
 *
 * Owns: how many sessions there are, which one gives way, when one ends, what a client may send and how much.
 * Does not own: what is said to a language server (./session.ts), who may have a session (../api/language_routes.ts).
 *
 * @module
 */
import { dirname, join } from "node:path";
import type { LanguageReply, LanguageRequest } from "@fluxbase/contract";
import { z } from "zod";
import { delay } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { commonRights, joinRights } from "../processes/file_rights.ts";
import { type RenewedSpawner, startRenewedSpawner } from "../processes/renewed_spawner.ts";
import type { RuntimeFiles } from "../processes/runtime_files.ts";
import { packagesDir } from "../bundler/bundler.ts";
import { startRpc } from "./json_rpc.ts";
import type { LanguageProcessOptions } from "./language_process.ts";
import { type Session, type Source, startSession } from "./session.ts";
import { type Around, writeWorkspace } from "./workspace.ts";

export interface LanguageService {
  open(client: LanguageClient): LanguageConnection;
  stats(): { readonly sessionCount: number };
  [Symbol.asyncDispose](): Promise<void>;
}

/** The other side: an editor. */
export interface LanguageClient {
  /** What lies around these files. */
  around(files: Source["files"]): Promise<Around>;
  /** Brings the packages of a source to where builds keep them. */
  fetchPackages(source: Source): Promise<void>;
  send(reply: LanguageReply): void;
  /** After the last reply. */
  close(): void;
}

export interface LanguageConnection {
  received(text: string): void;
  /** Says why to the client, unless that has gone. */
  end(reason: EndReason, message: string): void;
}

type EndReason = (LanguageReply & { readonly type: "ended" })["reason"];

export interface LanguageServiceOptions {
  /** The uid of what reads sources, when the server runs as root. */
  readonly uid: number | null;
  readonly runtime: RuntimeFiles;
  /** That of the bundler: what builds have fetched is read from there. */
  readonly workDir: string;
  readonly log: Log;
  readonly limits: {
    readonly languageSessionsCount: number;
    readonly languageIdleMs: number;
    readonly sourceBytes: number;
    readonly controlBodyBytes: number;
  };
  now(): number;
}

/** Private writable memory; at rest it has 0.8 GB of it reserved, and 0.3 GB in use. */
const MEMORY_BYTES = 3 * 1024 * 1024 * 1024;
const HEAP_MIB = 1024;
const ANSWER_MS = 15_000;
const ASKS_MAX_COUNT = 32;
const FILES_MAX_COUNT = 500;
/** A session that nobody has typed in for so long gives way to a new one. */
const GIVES_WAY_MS = 30_000;
const LOOK_EVERY_MS = 1_000;

const path = z.string().max(500).regex(
  /^(?!\/)(?:(?!\.{1,2}\/)[\w@.()[\] $+~-]+\/)*[\w@.()[\] $+~-]+$/,
  "must be the path of a file of the function",
);
const place = z.strictObject({
  line: z.number().int().min(0).max(10_000_000),
  character: z.number().int().min(0).max(10_000_000),
});
const id = z.number().int().min(0).max(2 ** 53 - 1);
const ask = { type: z.literal("ask"), id };
const requestSchema: z.ZodType<LanguageRequest> = z.union([
  z.strictObject({ type: z.literal("files"), entry: path, files: z.record(path, z.string().nullable()) }),
  z.strictObject({ ...ask, what: z.enum(["problems", "format"]), path }),
  z.strictObject({ ...ask, what: z.enum(["completions", "hover", "signatures"]), path, place }),
  z.strictObject({ ...ask, what: z.literal("details"), index: z.number().int().min(0).max(10_000) }),
]);

export async function startLanguageService(options: LanguageServiceOptions): Promise<LanguageService> {
  const { uid, runtime, limits, log, now } = options;
  const sessionsDir = join(options.workDir, "editing");
  const packages = packagesDir(options.workDir);
  // What a server left behind that was killed.
  await Deno.remove(sessionsDir, { recursive: true }).catch(() => {});
  await Deno.mkdir(sessionsDir, { recursive: true, mode: 0o711 });
  let spawner: Promise<RenewedSpawner> | undefined;
  const all = new Set<Running>();
  const stopping = new AbortController();
  void endIdleOnes();

  /** Its thread costs memory: only who edits needs it. */
  function spawnerNow(): Promise<RenewedSpawner> {
    return spawner ??= startRenewedSpawner(
      // Of other processes, the kernel shows it nothing there; its own is found only when it runs.
      () => joinRights(commonRights(runtime.paths, runtime.deno), { read: [sessionsDir, packages, "/proc"] }),
      { now },
    );
  }

  async function endIdleOnes(): Promise<void> {
    while (!stopping.signal.aborted) {
      await delay(LOOK_EVERY_MS, stopping.signal).catch(() => {});
      for (const one of all) {
        if (one.isAsked() || now() - one.usedMs < limits.languageIdleMs) continue;
        one.end("idle", `Nobody has typed for ${Math.round(limits.languageIdleMs / 1_000)} s`);
      }
    }
  }

  /** Undefined when there is room. */
  function whyNoRoom(): string | undefined {
    const most = limits.languageSessionsCount;
    if (most === 0) return "The language service is switched off (FLUXBASE_LIMITS_LANGUAGE_SESSIONS_COUNT)";
    if (all.size < most) return undefined;
    const quietest = [...all].toSorted((a, b) => a.usedMs - b.usedMs)[0];
    if (quietest !== undefined && now() - quietest.usedMs >= GIVES_WAY_MS) {
      quietest.end("busy", "Somebody else needs its place");
      return undefined;
    }
    return `All ${most} places for editors are taken (FLUXBASE_LIMITS_LANGUAGE_SESSIONS_COUNT)`;
  }

  interface Running extends LanguageConnection {
    usedMs: number;
    isAsked(): boolean;
    readonly over: Promise<void>;
  }

  function open(client: LanguageClient): LanguageConnection {
    const noRoom = stopping.signal.aborted ? "The server is stopping" : whyNoRoom();
    if (noRoom !== undefined) {
      client.send({
        type: "ended",
        reason: limits.languageSessionsCount === 0 ? "unavailable" : "busy",
        message: noRoom,
      });
      client.close();
      return { received() {}, end() {} };
    }
    const dir = join(sessionsDir, crypto.randomUUID());
    const over = Promise.withResolvers<void>();
    let isEnded = false;
    let asksCount = 0;
    let kill = () => {};
    /** Since the first files came. */
    let starting: Promise<Session | undefined> | undefined;
    /** Of the files that are open. */
    const sizes = new Map<string, number>();

    const running: Running = {
      usedMs: now(),
      isAsked: () => asksCount > 0,
      over: over.promise,
      received(text) {
        if (isEnded) return;
        running.usedMs = now();
        const request = parse(text);
        if (typeof request === "string") return running.end("message", request);
        if (request.type === "ask") return void answer(request);
        const problem = keep(request.files);
        if (problem !== undefined) return running.end("message", problem);
        starting ??= start(withoutGone(request.files));
        void starting.then((session) => session?.change(request.entry, request.files));
      },
      end(reason, message) {
        if (isEnded) return;
        isEnded = true;
        all.delete(running);
        if (starting === undefined) over.resolve();
        kill();
        client.send({ type: "ended", reason, message });
        client.close();
      },
    };
    all.add(running);
    return running;

    async function start(files: Source["files"]): Promise<Session | undefined> {
      try {
        await writeWorkspace(dir, await client.around(files), uid);
        if (isEnded) return void await clean();
        const child = await (await spawnerNow()).start(commandFor(dir));
        const rpc = startRpc(child, { deadlineMs: ANSWER_MS });
        kill = () => rpc.end("The session is over");
        if (isEnded) kill();
        void rpc.ended.then((why) => running.end("died", why));
        void child.ended.then(clean);
        const session = await startSession({
          rpc,
          root: `file://${dir}/`,
          fetchPackages: client.fetchPackages,
          onPackages: (state) => isEnded || client.send({ type: "packages", state }),
        });
        client.send({ type: "ready" });
        return session;
      } catch (error) {
        log.warn("A language service did not start", { error });
        running.end("unavailable", "The language service does not run on this machine");
        await clean();
        return undefined;
      }
    }

    async function answer({ id, type: _, ...asked }: LanguageRequest & { readonly type: "ask" }): Promise<void> {
      const fail = (message: string) => client.send({ type: "failed", id, message });
      if (asksCount >= ASKS_MAX_COUNT) return fail(`At most ${ASKS_MAX_COUNT} questions may wait for their answer`);
      asksCount += 1;
      try {
        if (starting === undefined) return fail("The session has no files: send them first");
        const session = await starting;
        const result = session === undefined || isEnded ? undefined : await session.answer(asked);
        if (result !== undefined && !isEnded) client.send({ type: "answer", id, result });
      } catch (error) {
        if (!isEnded) fail(error instanceof Error ? error.message : String(error));
      } finally {
        asksCount -= 1;
        running.usedMs = now();
      }
    }

    function keep(files: Readonly<Record<string, string | null>>): string | undefined {
      for (const [name, text] of Object.entries(files)) {
        if (text === null) sizes.delete(name);
        else sizes.set(name, text.length);
      }
      if (sizes.size > FILES_MAX_COUNT) {
        return `Cannot open ${sizes.size} files: at most ${FILES_MAX_COUNT} are possible`;
      }
      const size = [...sizes.values()].reduce((sum, one) => sum + one, 0);
      return size <= limits.sourceBytes
        ? undefined
        : `Cannot open files of ${size} characters: at most ${limits.sourceBytes} are possible`;
    }

    async function clean(): Promise<void> {
      await Deno.remove(dir, { recursive: true }).catch(() => {});
      over.resolve();
    }
  }

  function withoutGone(files: Readonly<Record<string, string | null>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(files).flatMap(([name, text]): [string, string][] => text === null ? [] : [[name, text]]),
    );
  }

  function parse(text: string): LanguageRequest | string {
    if (text.length > limits.controlBodyBytes) {
      return `Cannot read a message of ${text.length} characters: at most ${limits.controlBodyBytes} are possible`;
    }
    try {
      const { data, error } = requestSchema.safeParse(JSON.parse(text));
      return data ?? `Cannot read the message: ${error?.issues[0]?.message.slice(0, 200) ?? "it has another shape"}`;
    } catch {
      return "Cannot read the message: it is no JSON";
    }
  }

  function commandFor(dir: string) {
    const processOptions: LanguageProcessOptions = {
      uid,
      parentPid: Deno.pid,
      memoryBytes: MEMORY_BYTES,
      files: joinRights(commonRights(runtime.paths, runtime.deno), { read: [dir, packages, "/proc/self"] }),
      program: runtime.deno,
      args: ["lsp"],
      env: {
        DENO_DIR: packages,
        DENO_V8_FLAGS: `--max-old-space-size=${HEAP_MIB}`,
        DENO_CACHE_DB_MODE: "memory",
        DENO_NO_UPDATE_CHECK: "1",
        NO_COLOR: "1",
      },
    };
    return {
      program: runtime.deno,
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--no-config",
        "--no-lock",
        "--no-remote",
        "--cached-only",
        "--no-code-cache",
        "--allow-ffi",
        runtime.language,
        JSON.stringify(processOptions),
      ],
      env: { DENO_DIR: "/none", DENO_CACHE_DB_MODE: "memory", DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
      cwd: dirname(runtime.language),
      uid,
      hasInput: true,
    };
  }

  return {
    open,
    stats: () => ({ sessionCount: all.size }),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      const ended = [...all].map((one) => one.over);
      for (const one of all) one.end("stopping", "The server is stopping");
      await Promise.all(ended);
      (await spawner)?.end();
      await Deno.remove(sessionsDir, { recursive: true }).catch(() => {});
    },
  };
}

/**
 * Starts the operating-system process of a sandbox and hands out its socket: a copy of a zygote, or, where there is a
 * scratch folder or nothing can be copied, a process that starts from nothing.
 *
 * Owns: folder and socket file of the process, its uid, what it wrote to stdout and stderr, why it ended.
 * Does not own: its command (./sandbox_command.ts), copying (./zygote.ts), what is said over the socket (./sandbox.ts),
 * how many there are (./sandbox_pool.ts).
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { withDeadline } from "../core/clock.ts";
import { SHARED_PAGE_BYTES } from "../../sandbox_runtime/harden.ts";
import { removeTree } from "../processes/remove_tree.ts";
import { readOutput } from "./process_output.ts";
import { sandboxCommand, type SandboxProfile, socketPathIn } from "./sandbox_command.ts";
import type { SandboxSpawners } from "./sandbox_spawners.ts";
import { startFailure, type Zygote } from "./zygote.ts";

export type { SandboxProfile };

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
  /** Empty at first, wiped at the end; null where the function may not use one. */
  readonly scratchDir: string | null;
  /** Memory that it shares with no other process when it is blank. */
  readonly ownMiB: number;
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

/** Private memory of a blank sandbox, measured: one that was copied, which still shares most of it, and one that was not. */
export const COPY_MIB = 5;
const ALONE_MIB = 16;

let nextFolder = 0;

export async function startSandboxProcess(
  profile: SandboxProfile,
  options: SandboxProcessOptions,
  start: ProcessStart,
): Promise<SandboxProcess> {
  const uid = options.uids?.take() ?? null;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => uid === null ? undefined : options.uids?.giveBack(uid));
  const { spawners: { files, common, zygotes } } = options;
  const { startMs, scratchBytes } = start;
  // A scratch folder is one of the things that a process is confined to from its start.
  const zygote = profile.read || profile.write ? undefined : await zygotes.of(profile, async () => ({
    spawner: await common.current(),
    files,
    dir: nextDir(options),
    scratchBytes,
    denyNet: options.denyNet(),
    startMs,
  }));
  const process = zygote === undefined
    ? await startAlone(profile, options, { ...start, uid })
    : await startCopy(zygote, { ...start, uid });
  const ending = undo.move();
  void process.exit.finally(() => ending.disposeAsync());
  return process;
}

interface Start extends ProcessStart {
  readonly uid: number | null;
}

async function startCopy(zygote: Zygote, { uid, startMs, now, onLine }: Start): Promise<SandboxProcess> {
  const copy = await zygote.copy({ uid, startMs });
  const exit = (async (): Promise<ProcessExit> => {
    const output = await readOutput([copy.output], { now, onLine });
    return { ...await copy.end(), output: output.tail() };
  })();
  return {
    pid: copy.pid,
    connection: copy.connection,
    scratchDir: null,
    ownMiB: COPY_MIB,
    exit,
    kill: () => void copy.end(),
  };
}

function nextDir({ runDir }: SandboxProcessOptions): string {
  nextFolder += 1;
  return `${runDir}/${nextFolder.toString(36)}-${crypto.randomUUID().slice(0, 8)}`;
}

async function startAlone(
  profile: SandboxProfile,
  options: SandboxProcessOptions,
  { uid, startMs, scratchBytes, now, onLine }: Start,
): Promise<SandboxProcess> {
  const { spawners } = options;
  await using undo = new AsyncDisposableStack();
  const dir = nextDir(options);
  const scratchDir = profile.read || profile.write ? `${dir}/scratch` : null;
  const socketPath = socketPathIn(dir);
  const startedCountPath = `${spawners.pagesDir}/${crypto.randomUUID()}`;
  undo.defer(() => removeTree(dir));
  // The folder is the server's: a sandbox finds its socket there, and its scratch folder if it may use one.
  await Deno.mkdir(dir, { mode: 0o711 });
  if (scratchDir !== null) await Deno.mkdir(scratchDir, { mode: 0o700 });
  const page = await makeSharedPage(startedCountPath, uid);
  undo.defer(() => page.end());
  const listener = Deno.listen({ transport: "unix", path: socketPath });
  using _listener = { [Symbol.dispose]: () => listener.close() };
  if (uid !== null) {
    for (const path of [socketPath, ...scratchDir === null ? [] : [scratchDir]]) await Deno.chown(path, uid, uid);
  }
  const own = scratchDir === null ? undefined : await spawners.withScratch(scratchDir, profile);
  undo.defer(async () => {
    if (profile.write && scratchDir !== null) await own?.empty(scratchDir);
    own?.end();
  });
  const { files } = spawners;
  const denyNet = options.denyNet();
  const child = await (own ?? spawners.common).start(
    sandboxCommand(profile, { files, dir, scratchDir, scratchBytes, startedCountPath, uid, denyNet }),
  );
  const ending = undo.move();

  const exit = (async (): Promise<ProcessExit> => {
    const output = await readOutput([child.stdout, child.stderr], { now, onLine });
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
    await Promise.all([socketPath, startedCountPath].map((path) => Deno.remove(path)));
    return { pid: child.pid, connection, scratchDir, ownMiB: ALONE_MIB, exit, kill: () => child.kill() };
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

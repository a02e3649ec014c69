/**
 * The server's end of a zygote: a process that has everything ready that a sandbox needs, and is copied for each one
 * (../../sandbox_runtime/zygote.ts).
 *
 * Owns: the zygote's process, the socket at which copies announce themselves, which of them live.
 * Does not own: which zygotes there are (./zygotes.ts).
 *
 * @module
 */
import { constants } from "node:os";
import { PlatformError } from "@fluxbase/contract";
import { withDeadline } from "../core/clock.ts";
import type { ConfinedProcess, Spawner } from "../processes/confined_process.ts";
import { removeTree } from "../processes/remove_tree.ts";
import { HELLO, type Order, type Report } from "../../sandbox_runtime/zygote.ts";
import { type CommandOptions, sandboxCommand, type SandboxProfile, socketPathIn } from "./sandbox_command.ts";

/** A sandbox's process, as a zygote has made it. */
export interface CopiedProcess {
  readonly pid: number;
  readonly connection: Deno.UnixConn;
  /** What it writes to stdout and stderr; ends with it. */
  readonly output: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Kills it, unless it has ended; tells how it did. */
  end(): Promise<CopyEnd>;
}

export interface CopyEnd {
  readonly code: number;
  readonly signal: string | null;
  readonly startedCount: number | null;
}

export interface Zygote {
  /** @throws {PlatformError} SANDBOX_DIED when no copy comes within `startMs` */
  copy(options: { readonly uid: number | null; readonly startMs: number }): Promise<CopiedProcess>;
  /** False when it makes no more copies. */
  readonly isUsable: boolean;
  /** Makes no more copies, and ends when the last one has. */
  retire(): void;
}

/** Those that connect say at once who they are. */
const HELLO_MS = 5_000;
const LOST: CopyEnd = { code: 1, signal: "SIGKILL", startedCount: null };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface Awaited {
  pid: number;
  /** It came too late: it is ended when it shows. */
  isGivenUp: boolean;
  /** The system had no room for it. */
  isRefused: boolean;
  readonly frames: PromiseWithResolvers<Deno.UnixConn>;
  readonly output: PromiseWithResolvers<Deno.UnixConn>;
}

/**
 * @param options `dir` is made, and removed at the end
 * @throws {PlatformError} SANDBOX_DIED when it cannot be copied
 */
export async function startZygote(
  profile: SandboxProfile,
  { spawner, startMs, onEnded: tellEnd, ...options }:
    & Omit<CommandOptions, "scratchDir" | "startedCountPath" | "uid">
    & {
      readonly spawner: Spawner;
      readonly startMs: number;
      /** Called once, also when it could not start. */
      onEnded(): void;
    },
): Promise<Zygote> {
  const awaited = new Map<string, Awaited>();
  const living = new Map<number, PromiseWithResolvers<CopyEnd>>();
  const ready = Promise.withResolvers<void>();
  let isUsable = true;
  ready.promise.catch(() => {});

  await Deno.mkdir(options.dir, { mode: 0o711 });
  const listener = Deno.listen({ transport: "unix", path: socketPathIn(options.dir) });
  const close = async () => {
    isUsable = false;
    tellEnd();
    listener.close();
    await removeTree(options.dir);
  };
  let child: ConfinedProcess;
  try {
    child = await spawner.start(
      sandboxCommand(profile, { ...options, scratchDir: null, startedCountPath: null, uid: null }),
    );
  } catch (error) {
    await close();
    throw error;
  }
  void greetAll();
  void readReports();
  void child.ended.then(onEnded);
  let errors = "";
  void (async () => {
    for await (const chunk of child.stderr) errors = (errors + decoder.decode(chunk)).slice(-4_096);
  })();

  async function greetAll(): Promise<void> {
    try {
      for await (const connection of listener) void greet(connection);
    } catch {
      // Closed.
    }
  }

  async function greet(connection: Deno.UnixConn): Promise<void> {
    const hello = await withDeadline(readHello(connection), HELLO_MS, () => new Error("no hello")).catch(() => null);
    const one = hello === null ? undefined : awaited.get(hello.token);
    if (hello === null || one === undefined) return connection.close();
    one.pid = hello.pid;
    if (!living.has(one.pid)) living.set(one.pid, Promise.withResolvers());
    if (one.isGivenUp) {
      awaited.delete(hello.token);
      void end(one.pid);
      return connection.close();
    }
    if (hello.kind === HELLO.frames) one.frames.resolve(connection);
    else one.output.resolve(connection);
  }

  async function readReports(): Promise<void> {
    let pending = "";
    for await (const chunk of child.stdout) {
      const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) onReport(JSON.parse(line));
    }
  }

  function onReport(report: Report): void {
    switch (report.kind) {
      case "ready":
        return ready.resolve();
      case "notReady":
        return ready.reject(startFailure(report.why));
      case "notCopied":
        return reject(report.token, startFailure("the system has no room for one more process"));
      case "ended": {
        living.get(report.pid)?.resolve(endOf(report));
        living.delete(report.pid);
        endIfLast();
      }
    }
  }

  /** After it was retired. */
  function endIfLast(): void {
    if (!isUsable && living.size + awaited.size === 0) child.closeInput();
  }

  function reject(token: string, reason: PlatformError): void {
    const one = awaited.get(token);
    if (one === undefined) return;
    one.isRefused = true;
    one.frames.reject(reason);
    one.output.reject(reason);
  }

  function onEnded(): void {
    const reason = startFailure(`its zygote ended: ${errors.trim() || "no output"}`);
    ready.reject(reason);
    for (const token of awaited.keys()) reject(token, reason);
    for (const { resolve } of living.values()) resolve(LOST);
    living.clear();
    void close().catch(() => {});
  }

  function tell(order: Order): void {
    void child.write(encoder.encode(`${JSON.stringify(order)}\n`));
  }

  function end(pid: number): Promise<CopyEnd> {
    const known = living.get(pid);
    if (known === undefined) return Promise.resolve(LOST);
    tell({ kind: "end", pid });
    return known.promise;
  }

  try {
    await withDeadline(ready.promise, startMs, () => startFailure(`its zygote was not ready within ${startMs} ms`));
  } catch (error) {
    child.kill();
    throw error;
  }
  return {
    get isUsable() {
      return isUsable;
    },
    async copy({ uid, startMs }) {
      const token = crypto.randomUUID().replaceAll("-", "");
      const one: Awaited = {
        pid: 0,
        isGivenUp: false,
        isRefused: false,
        frames: Promise.withResolvers(),
        output: Promise.withResolvers(),
      };
      awaited.set(token, one);
      tell({ kind: "copy", token, uid });
      const both = Promise.all([one.frames.promise, one.output.promise]);
      let connections: [Deno.UnixConn, Deno.UnixConn];
      try {
        connections = await withDeadline(both, startMs, () => startFailure(`no copy came within ${startMs} ms`));
      } catch (error) {
        for (const { promise } of [one.frames, one.output]) promise.then((half) => half.close(), () => {});
        // What was refused never comes; what is late is ended when it does.
        if (one.pid === 0 && !one.isRefused) one.isGivenUp = true;
        else awaited.delete(token);
        if (one.pid !== 0) void end(one.pid);
        endIfLast();
        throw error;
      }
      awaited.delete(token);
      const [connection, output] = connections;
      const { pid } = one;
      let ending: Promise<CopyEnd> | undefined;
      return {
        pid,
        connection,
        output: output.readable as ReadableStream<Uint8Array<ArrayBuffer>>,
        end: () => ending ??= end(pid),
      };
    },
    retire() {
      isUsable = false;
      endIfLast();
    },
  };
}

async function readHello(connection: Deno.UnixConn): Promise<{ kind: string; token: string; pid: number } | null> {
  const bytes = new Uint8Array(HELLO.byteCount);
  for (let length = 0; length < bytes.length;) {
    const count = await connection.read(bytes.subarray(length));
    if (count === null) return null;
    length += count;
  }
  const text = decoder.decode(bytes.subarray(0, 1 + HELLO.tokenCharacters));
  return {
    kind: text.slice(0, 1),
    token: text.slice(1),
    pid: new DataView(bytes.buffer).getUint32(1 + HELLO.tokenCharacters, true),
  };
}

/** A status of `waitpid`: the signal in the lowest 7 bits, else the code in the next 8. */
function endOf({ status, startedCount }: Extract<Report, { kind: "ended" }>): CopyEnd {
  const number = status & 0x7f;
  const signal = Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? null;
  return {
    code: number === 0 ? status >> 8 & 0xff : 128 + number,
    signal: number === 0 ? null : signal,
    startedCount: startedCount < 0 ? null : startedCount,
  };
}

export function startFailure(why: string): PlatformError {
  return new PlatformError("SANDBOX_DIED", `Cannot start a sandbox: ${why}`);
}

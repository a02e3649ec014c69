/**
 * Starts processes for code that is not trusted: unprivileged and without the files of the machine from their first
 * instruction on.
 *
 * Owns: the threads that start them, and the server's end of their pipes. Does not own: what a process gives up by
 * itself afterwards (../../sandbox_runtime/harden.ts), which files a kind of process needs (./file_rights.ts).
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { FileRights } from "../../sandbox_runtime/landlock.ts";
import type { Command, Order, Report, Stream } from "./spawn_thread.ts";

export type { Command };

export interface ConfinedProcess {
  readonly pid: number;
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly stderr: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Ends what it writes with a promise; does nothing where the command has no input. */
  write(bytes: Uint8Array): Promise<void>;
  closeInput(): void;
  readonly ended: Promise<{ readonly code: number; readonly signal: string | null }>;
  kill(): void;
}

/** Starts processes that may reach the same files. */
export interface Spawner {
  /** @throws {PlatformError} POOL_EXHAUSTED when the machine has no room for one more, SANDBOX_DIED else */
  start(command: Command): Promise<ConfinedProcess>;
  /** Removes what is in a folder that its processes could write to: off the server's thread, and with their rights only. */
  empty(dir: string): Promise<void>;
  /** False when its thread is gone: then it starts nothing more. */
  readonly isAlive: boolean;
  /** Ends when the last of its processes has. */
  retire(): void;
  /** Its processes die with it. */
  end(): void;
}

/** What is known of one process while it lives. */
class Child implements ConfinedProcess {
  pid = 0;
  readonly stdout: ConfinedProcess["stdout"];
  readonly stderr: ConfinedProcess["stderr"];
  readonly started = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<{ code: number; signal: string | null }>();
  readonly #chunks: Partial<Record<Stream, PromiseWithResolvers<Uint8Array<ArrayBuffer> | null>>> = {};
  /** What is still to come: the end of the process and of its two streams. */
  #openCount = 3;
  #written: (() => void)[] = [];
  readonly #id: number;
  readonly #tell: (order: Order) => void;

  constructor(id: number, tell: (order: Order) => void) {
    this.#id = id;
    this.#tell = tell;
    this.stdout = this.#readable("stdout");
    this.stderr = this.#readable("stderr");
  }

  get ended() {
    return this.#ended.promise;
  }

  /** A chunk is read when somebody wants it: a process that writes too much is held up by its pipe. */
  #readable(stream: Stream): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      pull: async (controller) => {
        const chunk = this.#chunks[stream] = Promise.withResolvers();
        this.#tell({ kind: "read", id: this.#id, stream });
        const bytes = await chunk.promise;
        if (bytes === null) controller.close();
        else controller.enqueue(bytes);
      },
      // Read and thrown away: a process must not wait for a reader that there is not.
      cancel: () => this.#tell({ kind: "drain", id: this.#id, stream }),
    }, { highWaterMark: 0 });
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#written.push(resolve);
      this.#tell({ kind: "write", id: this.#id, bytes });
    });
  }

  closeInput(): void {
    this.#tell({ kind: "closeInput", id: this.#id });
  }

  kill(): void {
    this.#tell({ kind: "kill", id: this.#id });
  }

  /** True when nothing more will come. */
  take(report: Report): boolean {
    switch (report.kind) {
      case "started":
        this.pid = report.pid;
        this.started.resolve();
        return false;
      case "notStarted":
        this.started.reject(notStarted(report.why, report.isLack));
        return true;
      case "read":
        this.#chunks[report.stream]?.resolve(report.bytes as Uint8Array<ArrayBuffer> | null);
        return report.bytes === null && this.#close();
      case "written":
        this.#written.shift()?.();
        return false;
      case "ended":
        this.#ended.resolve({ code: report.code, signal: report.signal });
        return this.#close();
      case "confined":
      case "emptied":
        return false;
    }
  }

  #close(): boolean {
    this.#openCount -= 1;
    return this.#openCount === 0;
  }

  /** The thread is gone, and the process with it. */
  lost(): void {
    this.started.reject(notStarted("the server is stopping", false));
    this.started.promise.catch(() => {});
    this.#ended.resolve({ code: 1, signal: "SIGKILL" });
    for (const chunk of Object.values(this.#chunks)) chunk?.resolve(null);
    for (const written of this.#written.splice(0)) written();
  }
}

export function threadIsGone(): PlatformError {
  return notStarted("the thread that starts processes is gone", false);
}

function notStarted(why: string, isLack: boolean): PlatformError {
  return isLack
    ? new PlatformError("POOL_EXHAUSTED", "Cannot start a process: the machine has no room for one more", {
      cause: why,
      details: { retry_after: 1 },
    })
    : new PlatformError("SANDBOX_DIED", "Cannot start a process", { cause: why });
}

/** @param files null: the files of the machine that the user of the process may reach */
export async function startSpawner(files: FileRights | null): Promise<Spawner> {
  const thread = new Worker(new URL("./spawn_thread.ts", import.meta.url).href, { type: "module" });
  const children = new Map<number, Child>();
  const confined = Promise.withResolvers<void>();
  const emptied = new Map<number, () => void>();
  let nextId = 1;
  let isAlive = true;
  let isRetired = false;
  const tell = (order: Order) => thread.postMessage(order);
  thread.onmessage = ({ data: report }: MessageEvent<Report>) => {
    if (report.kind === "confined") return confined.resolve();
    if (report.kind === "emptied") {
      emptied.get(report.id)?.();
      emptied.delete(report.id);
      return;
    }
    if (children.get(report.id)?.take(report) === true) children.delete(report.id);
    if (isRetired && children.size === 0) end();
  };
  thread.onerror = (event) => {
    event.preventDefault();
    confined.reject(new Error(event.message));
    end();
  };

  function end(): void {
    isAlive = false;
    thread.terminate();
    for (const child of children.values()) child.lost();
    children.clear();
    for (const resolve of emptied.values()) resolve();
    emptied.clear();
  }

  if (files !== null) {
    tell({ kind: "confine", files });
    await confined.promise;
  }
  return {
    get isAlive() {
      return isAlive;
    },
    async start(command) {
      if (!isAlive) throw threadIsGone();
      const id = nextId++;
      const child = new Child(id, tell);
      children.set(id, child);
      tell({ kind: "start", id, command });
      await child.started.promise;
      return child;
    },
    async empty(dir) {
      if (!isAlive) return;
      const id = nextId++;
      const { promise, resolve } = Promise.withResolvers<void>();
      emptied.set(id, resolve);
      tell({ kind: "empty", id, dir });
      await promise;
    },
    retire() {
      isRetired = true;
      if (children.size === 0) end();
    },
    end,
  };
}

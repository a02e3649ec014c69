/**
 * The thread that starts confined processes: it gives files up for itself, so whatever it starts has never had them.
 *
 * Landlock binds one thread and what it starts from then on. A process that binds itself leaves out the threads that
 * its runtime has already; one that is started by a bound thread is bound whole, from its first instruction. The thread
 * is a worker of the server, and everything else of the server goes on unbound.
 *
 * Owns: starting a process, its pipes and its end. What to start and what it may reach is decided in
 * ./confined_process.ts, which sends the messages.
 *
 * @module
 */
import { type FileRights, giveUpFiles, giveUpNewPrivileges } from "../../sandbox_runtime/landlock.ts";
import { emptyFolder } from "./remove_tree.ts";

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Uid and gid of the process, without any other group; null: those of the server. */
  readonly uid: number | null;
  readonly hasInput: boolean;
}

export type Stream = "stdout" | "stderr";

export type Order =
  | { readonly kind: "confine"; readonly files: FileRights }
  | { readonly kind: "start"; readonly id: number; readonly command: Command }
  | { readonly kind: "read" | "drain"; readonly id: number; readonly stream: Stream }
  | { readonly kind: "write"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: "closeInput"; readonly id: number }
  | { readonly kind: "kill"; readonly id: number }
  | { readonly kind: "empty"; readonly id: number; readonly dir: string };

export type Report =
  | { readonly kind: "confined" }
  | { readonly kind: "started"; readonly id: number; readonly pid: number }
  | { readonly kind: "notStarted"; readonly id: number; readonly why: string; readonly isLack: boolean }
  | { readonly kind: "read"; readonly id: number; readonly stream: Stream; readonly bytes: Uint8Array | null }
  | { readonly kind: "written"; readonly id: number }
  | { readonly kind: "ended"; readonly id: number; readonly code: number; readonly signal: string | null }
  | { readonly kind: "emptied"; readonly id: number };

/** What the system says when it has no room for one more process: EAGAIN, ENOMEM, EMFILE, ENFILE. */
const LACK = /os error (11|12|23|24)\b/;

interface Running {
  readonly child: Deno.ChildProcess;
  readonly readers: Readonly<Record<Stream, ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>>>;
  readonly input: WritableStreamDefaultWriter<Uint8Array> | undefined;
  /** What is still to come: the end of the process and of its two streams. */
  openCount: number;
}

/** The part of a worker's scope that is used here. */
interface ThreadScope {
  postMessage(report: Report, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<Order>) => void) | null;
}

const thread = globalThis as unknown as ThreadScope;
const running = new Map<number, Running>();
const report = (one: Report, transfer: Transferable[] = []) => thread.postMessage(one, transfer);

thread.onmessage = ({ data: order }) => {
  switch (order.kind) {
    case "confine":
      giveUpNewPrivileges();
      giveUpFiles(order.files);
      return report({ kind: "confined" });
    case "start":
      return start(order.id, order.command);
    case "read":
      return void read(order.id, order.stream);
    case "drain":
      return void drain(order.id, order.stream);
    case "write":
      return void write(order.id, order.bytes);
    case "closeInput":
      return void running.get(order.id)?.input?.close().catch(() => {});
    case "kill":
      return kill(order.id);
    case "empty":
      return void empty(order.id, order.dir);
  }
};

function start(id: number, { program, args, env, cwd, uid, hasInput }: Command): void {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...args],
      clearEnv: true,
      env,
      cwd,
      // The other groups of the server go with its uid.
      ...(uid === null ? {} : { uid, gid: uid }),
      stdin: hasInput ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
      // A process group of its own: Ctrl-C on the server's terminal must not end it in the middle of a request.
      detached: true,
    }).spawn();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return report({ kind: "notStarted", id, why, isLack: LACK.test(why) });
  }
  running.set(id, {
    child,
    readers: { stdout: child.stdout.getReader(), stderr: child.stderr.getReader() },
    input: hasInput ? child.stdin.getWriter() : undefined,
    openCount: 3,
  });
  report({ kind: "started", id, pid: child.pid });
  void child.status.then(({ code, signal }) => {
    close(id);
    report({ kind: "ended", id, code, signal });
  });
}

async function read(id: number, stream: Stream): Promise<void> {
  const bytes = await nextChunk(id, stream);
  report({ kind: "read", id, stream, bytes: bytes ?? null }, bytes === undefined ? [] : [bytes.buffer]);
}

async function drain(id: number, stream: Stream): Promise<void> {
  while (await nextChunk(id, stream) !== undefined);
  report({ kind: "read", id, stream, bytes: null });
}

async function nextChunk(id: number, stream: Stream): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunk = await running.get(id)?.readers[stream].read().catch(() => undefined);
  if (chunk?.value === undefined) close(id);
  return chunk?.value;
}

function close(id: number): void {
  const one = running.get(id);
  if (one !== undefined && --one.openCount === 0) running.delete(id);
}

async function write(id: number, bytes: Uint8Array): Promise<void> {
  // A broken pipe: its end is reported too.
  await running.get(id)?.input?.write(bytes).catch(() => {});
  report({ kind: "written", id });
}

function kill(id: number): void {
  try {
    running.get(id)?.child.kill("SIGKILL");
  } catch {
    // Already gone.
  }
}

/** What is left is found by whoever removes the folder. */
async function empty(id: number, dir: string): Promise<void> {
  await emptyFolder(dir).catch(() => {});
  report({ kind: "emptied", id });
}

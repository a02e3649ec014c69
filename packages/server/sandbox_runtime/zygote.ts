/**
 * A sandbox from which others are copied: it has everything ready and never runs code of a user. It takes orders from
 * stdin and reports on stdout, one line of JSON each, and does nothing else, not even turn its event loop.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { endProcess } from "./exit.ts";
import { createForker, type Forker } from "./fork.ts";
import { replace } from "./taking_away.ts";
import { becomeUser, dieWithParent, type HardenOptions, keepOnlyCapabilities, rehearseHardening } from "./harden.ts";

export type Order =
  /** `token` is how the copy shows who it is. */
  | { readonly kind: "copy"; readonly token: string; readonly uid: number | null }
  | { readonly kind: "end"; readonly pid: number };

export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "notReady"; readonly why: string }
  | { readonly kind: "notCopied"; readonly token: string }
  | { readonly kind: "ended"; readonly pid: number; readonly status: number; readonly startedCount: number };

/** What a copy sends first on each of its two connections: which it is, the token, and its pid in four bytes. */
export const HELLO = { frames: "F", output: "O", tokenCharacters: 32, byteCount: 1 + 32 + 4 } as const;

/** What makes a copy a sandbox. */
export interface Birth {
  readonly connection: Deno.UnixConn;
  readonly startedCount: Int32Array;
  readonly uid: number | null;
  readonly parentPid: number;
}

/** Its parent is the server. */
interface ZygoteOptions extends HardenOptions {
  readonly socketPath: string;
}

// Captured before they are taken away.
const { stdin, stdout, connect } = Deno;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Resolves in each copy, and only there. */
export async function waitForBirth(options: ZygoteOptions): Promise<Birth> {
  const { socketPath } = options;
  dieWithParent(options.parentPid);
  keepOnlyCapabilities();
  rehearseHardening(options);
  (await connect({ transport: "unix", path: socketPath })).close();
  collectGarbage();
  const forker = tryToCreateForker();
  const zygotePid = forker.self.pid;
  report({ kind: "ready" });
  const order = copyOnOrder(forker);
  const hello = (kind: string) => helloOf(kind, order.token, forker.self.pid);
  forker.renewDescriptors(forker.connect(socketPath, hello(HELLO.output)));
  // The socket is the server's: it is out of reach after the user has changed.
  const connection = await connect({ transport: "unix", path: socketPath });
  await connection.write(hello(HELLO.frames));
  if (order.uid !== null) becomeUser(order.uid);
  replace(Deno, "pid", forker.self.pid);
  return { connection, startedCount: forker.self.startedCount, uid: order.uid, parentPid: zygotePid };
}

/** What lies about would be in every copy. V8 hands the way to do it to new contexts only, and only while it is told to. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  setFlagsFromString("--no-expose-gc");
}

function tryToCreateForker(): Forker {
  try {
    return createForker();
  } catch (error) {
    report({ kind: "notReady", why: error instanceof Error ? error.message : String(error) });
    return endProcess(0);
  }
}

/** Returns in each copy, and only there. */
function copyOnOrder(forker: Forker): Extract<Order, { kind: "copy" }> {
  for (const order of orders()) {
    if (order.kind === "end") {
      report({ kind: "ended", pid: order.pid, ...forker.end(order.pid) });
      continue;
    }
    const pid = forker.fork();
    if (pid === 0) return order;
    if (pid < 0) report({ kind: "notCopied", token: order.token });
  }
  // The server has closed it.
  return endProcess(0);
}

function* orders(): Generator<Order> {
  const bytes = new Uint8Array(16 * 1024);
  let pending = "";
  for (let count = stdin.readSync(bytes); count !== null; count = stdin.readSync(bytes)) {
    const lines = (pending + decoder.decode(bytes.subarray(0, count))).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

function report(one: Report): void {
  const bytes = encoder.encode(`${JSON.stringify(one)}\n`);
  for (let sent = 0; sent < bytes.length;) sent += stdout.writeSync(bytes.subarray(sent));
}

function helloOf(kind: string, token: string, pid: number): Uint8Array {
  const bytes = new Uint8Array(HELLO.byteCount);
  encoder.encodeInto(`${kind}${token}`, bytes);
  new DataView(bytes.buffer).setUint32(1 + HELLO.tokenCharacters, pid, true);
  return bytes;
}

/**
 * Main module of a process: tries what a sandbox must not be able to do, and says on stdout what worked.
 *
 * Arguments: whether it gives its rights up first as a sandbox does, and a folder that every user may write to.
 *
 * @module
 */
import { hardenProcess } from "../../sandbox_runtime/harden.ts";

const [isConfined = "", scratch = ""] = Deno.args;
const worked: string[] = [];

const numbers = (count: number) => Array<Deno.NativeType>(count).fill("i64");
const functions = {
  shmget: 3,
  semget: 3,
  msgget: 2,
  mq_open: 4,
  symlink: 2,
  link: 2,
  mknod: 3,
  socket: 3,
  socketpair: 4,
  bind: 3,
  listen: 2,
  kill: 2,
  setpriority: 3,
  memfd_create: 2,
  personality: 1,
  name_to_handle_at: 5,
  open: 3,
} as const;
const symbols = Object.fromEntries(
  Object.entries(functions).map(([name, count]) => [name, { parameters: numbers(count), result: "i32" } as const]),
);
const libc = Deno.dlopen("libc.so.6", symbols).symbols as Readonly<Record<string, (...args: bigint[]) => number>>;
const elsewhere = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32", nonblocking: true },
  shmget: { parameters: ["i32", "usize", "i32"], result: "i32", nonblocking: true },
}).symbols;

const kept: BufferSource[] = [];
function pointer(bytes: Uint8Array<ArrayBuffer>): bigint {
  kept.push(bytes);
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}
const bytesOf = (text: string) => new TextEncoder().encode(`${text}\0`);
const text = (value: string) => pointer(bytesOf(value));
const room = (size: number) => pointer(new Uint8Array(size));

function attempt(name: string, call: string, ...args: readonly (bigint | number)[]): number {
  const result = libc[call]?.(...args.map(BigInt)) ?? -1;
  if (result >= 0) worked.push(name);
  return result;
}

const AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, AF_NETLINK = 16;
const STREAM = 1, DGRAM = 2, SEQPACKET = 5;
const IPC_CREAT = 0o1000;
const parent = Deno.ppid;

/** A second thread of JavaScript, which exists before anything is given up. */
const source = `onmessage = () => {
  const files = ["/etc/passwd", "/"].filter((path) => { try { Deno.statSync(path); Deno.openSync(path).close(); return true; } catch { return false; } });
  postMessage(files);
};`;
const worker = new Worker(`data:text/javascript,${encodeURIComponent(source)}`, { type: "module" });
const files = new Promise<string[]>((resolve) => worker.onmessage = ({ data }) => resolve(data));
// So that it is there.
await new Promise((resolve) => setTimeout(resolve, 50));

if (isConfined === "true") {
  const given = Deno.uid();
  hardenProcess({
    uid: given === 65_534 ? given : null,
    dataBytes: 4 * 1024 ** 3,
    openFilesCount: 256,
    fileBytes: 0,
    hasNetwork: true,
    parentPid: parent,
  });
}

// Sockets and other ways to speak to processes.
attempt("a pair of datagram sockets", "socketpair", AF_UNIX, DGRAM, 0, room(8));
attempt("a pair of packet sockets", "socketpair", AF_UNIX, SEQPACKET, 0, room(8));
attempt("a pair with flags", "socketpair", AF_UNIX, DGRAM | 0o2000000, 0, room(8));
attempt("a unix socket", "socket", AF_UNIX, STREAM, 0);
attempt("a unix datagram socket", "socket", AF_UNIX, DGRAM, 0);
attempt("an IPv6 socket", "socket", AF_INET6, STREAM, 0);
attempt("a netlink socket", "socket", AF_NETLINK, DGRAM, 0);
const tcp = libc["socket"]?.(BigInt(AF_INET), BigInt(STREAM), 0n) ?? -1;
const address = new Uint8Array(16);
address[0] = AF_INET;
attempt("bind", "bind", tcp, pointer(address), 16);
attempt("listen", "listen", tcp, 1);
attempt("shared memory", "shmget", 0, 4_096, IPC_CREAT | 0o600);
attempt("a semaphore", "semget", 0, 1, IPC_CREAT | 0o600);
attempt("a message queue", "msgget", 0, IPC_CREAT | 0o600);
attempt("a POSIX queue", "mq_open", text(`/fluxbase-${Deno.pid}`), 0o102, 0o600, 0);
if (await elsewhere.shmget(0, 4_096n, IPC_CREAT | 0o600) >= 0) worked.push("shared memory from another thread");

// Files.
attempt("a link", "symlink", text("/etc/hostname"), text(`${scratch}/link`));
attempt("a pipe with a name", "mknod", text(`${scratch}/pipe`), 0o010600, 0);
attempt("a new file", "open", text(`${scratch}/file`), 0o102, 0o600);
attempt("a hard link", "link", text(`${scratch}/file`), text(`${scratch}/hard`));
for (
  const path of [
    "/",
    "/etc/passwd",
    "/proc/self/status",
    "/proc/self/environ",
    "/proc/meminfo",
    "/tmp",
    "/dev/zero",
    scratch,
  ]
) {
  attempt(`open ${path}`, "open", text(path), 0, 0);
  if (await elsewhere.open(bytesOf(path), 0) >= 0) worked.push(`open ${path} from another thread`);
}
attempt("a file by its handle", "name_to_handle_at", -100, text("/"), pointer(handleOf(128)), room(8), 0);
attempt("a file in memory", "memfd_create", text("x"), 0);
for (
  const [name, read] of Object.entries({
    "Deno.readTextFileSync": () => Deno.readTextFileSync("/etc/passwd"),
    "Deno.readTextFile": () => Deno.readTextFile("/etc/passwd"),
    "Deno.readDir": async () => await Array.fromAsync(Deno.readDir("/etc")),
  })
) {
  try {
    await read();
    worked.push(name);
  } catch {
    // Refused.
  }
}
worker.postMessage(0);
for (const path of await files) worked.push(`${path} from a worker`);
worker.terminate();

// Other processes, and itself.
attempt("a signal to the server", "kill", parent, 0);
attempt("its priority", "setpriority", 0, 0, 1);
attempt("a personality", "personality", 0xffff_ffff);

/** \`struct file_handle\`, with room for the handle. */
function handleOf(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + size);
  new DataView(bytes.buffer).setUint32(0, size, true);
  return bytes;
}

Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(worked)));
Deno.exit(0);

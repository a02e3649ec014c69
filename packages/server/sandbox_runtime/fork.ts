/**
 * Copies this process as it stands, with everything that it has loaded and compiled: a copy costs a few milliseconds of
 * processor time, where a start from nothing costs fifty.
 *
 * A copy has the one thread that asked for it. So V8 must run without helpers (`--single-threaded`), the threads of the
 * event loop must hold nothing (`occupyHelperThreads`), and what the event loop shares with the kernel is made anew in
 * the copy. What is relied on of Deno's inside is checked (`surveyDescriptors`); where it is not as expected, nothing is
 * copied and sandboxes start from nothing. See docs/decisions/0042.
 *
 * Source of the numbers: the system's headers; they are ABI.
 *
 * @module
 */
import { endProcess } from "./exit.ts";

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const NONBLOCK = 0o4000;
const CLOEXEC = 0o2000000;
const SHUT_RD = 0;
/** Of `send` and `recv`: without waiting, without a signal. */
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_PRIORITY = 12;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
/** Readable or hung up, told once for each change: how Deno's event loop registers its own two descriptors. */
const EPOLL_OF_LOOP = 0x8000_2019;
const F_GETFD = 1;
const MADV_DONTFORK = 10;
const MADV_DOFORK = 11;
const PROT_READ_WRITE = 3;
const MAP_SHARED_ANONYMOUS = 0x21;
const SIGKILL = 9;
const PAGE_BYTES = 4_096n;
const LOWEST_ADDRESS = 0x1_0000n;
const HIGHEST_ADDRESS = 0x7fff_ffff_f000n;
/** Tokens under which the event loop knows its own descriptors. */
const WAKER_TOKEN = 0n;
const SIGNAL_TOKEN = 1n;
/** More than Deno starts before its first module runs. */
const HELPER_THREADS_MAX_COUNT = 8;
/** One byte more than a pipe holds. */
const OVERFULL_BYTES = 64 * 1024 + 1;
const DESCRIPTORS_MAX_COUNT = 256;
const COPIES_MAX_COUNT = 8_192;

function openLibc() {
  return Deno.dlopen("libc.so.6", {
    fork: { parameters: [], result: "i32" },
    getpid: { parameters: [], result: "i32" },
    waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
    kill: { parameters: ["i32", "i32"], result: "i32" },
    madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
    mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
    write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    writeElsewhere: { name: "write", parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
    send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    shutdown: { parameters: ["i32", "i32"], result: "i32" },
    dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    pipe2: { parameters: ["buffer", "i32"], result: "i32" },
    fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
    epoll_create1: { parameters: ["i32"], result: "i32" },
    epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
    epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
    eventfd: { parameters: ["u32", "i32"], result: "i32" },
    socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
    getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
    malloc_trim: { parameters: ["usize"], result: "i32" },
  }).symbols;
}
type Libc = ReturnType<typeof openLibc>;

export interface Copy {
  readonly pid: number;
  /** In memory that the copy and this process share. */
  readonly startedCount: Int32Array;
}

export interface Ended {
  /** As `waitpid` gives it. */
  readonly status: number;
  readonly startedCount: number;
}

export interface Forker {
  /** The pid of the copy; 0 in the copy itself, and negative where none could be made. */
  fork(): number;
  /** In a copy: what it is. */
  readonly self: Copy;
  /** In a copy: gives it descriptors of its own. `output` takes what it writes to stdout and stderr. */
  renewDescriptors(output: number): void;
  /** In a copy, before it has descriptors of its own: a connection that nothing else knows of. */
  connect(path: string, hello: Uint8Array): number;
  /** Kills a copy, unless it has ended, and waits for its end. */
  end(pid: number): Ended;
}

/** Call it when the process is ready to be copied; from then on it must not wait for anything but orders. */
export function createForker(): Forker {
  const libc = openLibc();
  const pipes = occupyHelperThreads(libc);
  const known = surveyDescriptors(libc, pipes);
  const counters = createCounters(libc);
  const slots = new Map<number, number>();
  let self: Copy = { pid: libc.getpid(), startedCount: new Int32Array(1) };
  libc.malloc_trim(0n);
  return {
    get self() {
      return self;
    },
    fork() {
      // V8 keeps its heap from copies, and maps more of it all the time.
      libc.madvise(LOWEST_ADDRESS, HIGHEST_ADDRESS - LOWEST_ADDRESS, MADV_DOFORK);
      const slot = counters.take();
      if (slot === undefined) return -1;
      const pid = libc.fork();
      if (pid === 0) self = { pid: libc.getpid(), startedCount: counters.at(slot) };
      else if (pid > 0) slots.set(pid, slot);
      else counters.giveBack(slot);
      return pid;
    },
    connect: (path, hello) => connectTo(libc, path, hello),
    renewDescriptors: (output) => renewDescriptors(libc, known, output),
    end(pid) {
      const slot = slots.get(pid);
      if (slot === undefined) return { status: 0, startedCount: -1 };
      slots.delete(pid);
      const status = new Int32Array(1);
      libc.kill(pid, SIGKILL);
      libc.waitpid(pid, status, 0);
      const startedCount = counters.at(slot)[0] ?? -1;
      counters.giveBack(slot);
      return { status: status[0] ?? 0, startedCount };
    },
  };
}

/**
 * Threads of the event loop that wait for work would be missing in a copy, and the lock they wait for could be handed to
 * one of them there. So each gets work that never ends: writing more than a pipe holds. A copy starts others when it
 * needs some.
 */
function occupyHelperThreads(libc: Libc): number[] {
  const bytes = new Uint8Array(OVERFULL_BYTES);
  const pipes: number[] = [];
  for (let count = 0; count < HELPER_THREADS_MAX_COUNT; count += 1) {
    const ends = new Int32Array(2);
    if (libc.pipe2(ends, CLOEXEC) !== 0) throw new Error("Cannot make a pipe");
    const [reading = -1, writing = -1] = ends;
    void libc.writeElsewhere(writing, bytes, BigInt(bytes.length));
    pipes.push(reading, writing);
  }
  // Each is known to be at work when its first byte is there.
  for (let index = 0; index < pipes.length; index += 2) libc.read(pipes[index] ?? -1, new Uint8Array(1), 1n);
  return pipes;
}

interface Descriptors {
  readonly epolls: readonly number[];
  readonly wakers: readonly number[];
  readonly signalReaders: readonly number[];
  readonly signalWriters: readonly number[];
  /** How the thread that waits for signals is woken, if Deno has started it already. A copy does not have it. */
  readonly threadWakers: readonly number[];
  readonly pipes: readonly number[];
  readonly others: readonly number[];
}

/** Finds out by trying what each descriptor is: there is no /proc here. */
function surveyDescriptors(libc: Libc, pipes: readonly number[]): Descriptors {
  const probe = libc.epoll_create1(CLOEXEC);
  const events = new Uint8Array(12);
  const isIn = (epoll: number, fd: number): boolean => {
    if (libc.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, events) !== 0) return true;
    libc.epoll_ctl(epoll, EPOLL_CTL_DEL, fd, events);
    return false;
  };
  const isSocket = (fd: number) => optionOf(libc, fd, SO_TYPE) !== undefined;
  const open: number[] = [];
  for (let fd = 0; fd < DESCRIPTORS_MAX_COUNT; fd += 1) {
    if (fd !== probe && !pipes.includes(fd) && libc.fcntl(fd, F_GETFD, 0) >= 0) open.push(fd);
  }
  const epolls = open.filter((fd) => libc.epoll_wait(fd, events, 1, 0) >= 0);
  const loop = epolls[0] ?? -1;
  const registered = open.filter((fd) => !epolls.includes(fd) && !isIn(probe, fd) && isIn(loop, fd));
  const wakers = registered.filter((fd) => !isSocket(fd));
  const [reader = -1, ...more] = registered.filter(isSocket);
  libc.close(probe);
  // A mark on a socket is seen through each of its descriptors.
  libc.setsockopt(reader, SOL_SOCKET, SO_PRIORITY, new Int32Array([3]), 4);
  const sockets = open.filter(isSocket);
  const signalReaders = sockets.filter((fd) => optionOf(libc, fd, SO_PRIORITY) === 3);
  const unmarked = sockets.filter((fd) => !signalReaders.includes(fd));
  const signalWriters = unmarked.filter((fd) => leadsTo(libc, fd, reader));
  const threadWakers = unmarked.filter((fd) => !signalWriters.includes(fd));
  const isExpected = wakers.length === 1 && signalReaders.length > 0 && more.length === 0 &&
    signalWriters.length === 1 && (threadWakers.length === 0 || threadWakers.length === 2);
  if (!isExpected) throw new Error("Cannot copy this process: its event loop is not as expected");
  const own = [...epolls, ...wakers, ...sockets];
  const others = open.filter((fd) => !own.includes(fd));
  return { epolls, wakers, signalReaders, signalWriters, threadWakers, pipes, others };
}

/** Whether what is written to one socket arrives at the other. */
function leadsTo(libc: Libc, from: number, to: number): boolean {
  const byte = new Uint8Array(1);
  if (libc.send(from, byte, 1n, MSG_DONTWAIT | MSG_NOSIGNAL) !== 1n) return false;
  return libc.recv(to, byte, 1n, MSG_DONTWAIT) === 1n;
}

function optionOf(libc: Libc, fd: number, option: number): number | undefined {
  const value = new Int32Array(1);
  return libc.getsockopt(fd, SOL_SOCKET, option, value, new Uint32Array([4])) === 0 ? value[0] : undefined;
}

function renewDescriptors(libc: Libc, known: Descriptors, output: number): void {
  const epoll = libc.epoll_create1(CLOEXEC);
  const waker = libc.eventfd(0, CLOEXEC | NONBLOCK);
  const pair = new Int32Array(2);
  if (epoll < 0 || waker < 0 || libc.socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC | NONBLOCK, 0, pair) !== 0) endProcess(1);
  const [reader = -1, writer = -1] = pair;
  const nowhere = libc.socket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0);
  const moves: readonly [number, readonly number[]][] = [
    [nowhere, known.threadWakers],
    [epoll, known.epolls],
    [waker, known.wakers],
    [reader, known.signalReaders],
    [writer, known.signalWriters],
    [output, known.others],
  ];
  for (const [from, places] of moves) {
    for (const place of places) if (libc.dup3(from, place, CLOEXEC) < 0) endProcess(1);
    libc.close(from);
  }
  for (const fd of known.pipes) libc.close(fd);
  // Reading from stdin finds its end.
  libc.shutdown(known.others[0] ?? 0, SHUT_RD);
  const register = (fd: number | undefined, token: bigint) => {
    const event = new DataView(new ArrayBuffer(Deno.build.arch === "x86_64" ? 12 : 16));
    event.setUint32(0, EPOLL_OF_LOOP, true);
    event.setBigUint64(event.byteLength - 8, token, true);
    libc.epoll_ctl(known.epolls[0] ?? -1, EPOLL_CTL_ADD, fd ?? -1, event);
  };
  register(known.wakers[0], WAKER_TOKEN);
  register(known.signalReaders.at(-1), SIGNAL_TOKEN);
}

/** @returns its descriptor */
function connectTo(libc: Libc, path: string, hello: Uint8Array): number {
  const socket = libc.socket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0);
  const address = new Uint8Array(110);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  new TextEncoder().encodeInto(path, address.subarray(2));
  if (libc.connect(socket, address, address.length) !== 0) endProcess(1);
  libc.write(socket, hello as Uint8Array<ArrayBuffer>, BigInt(hello.length));
  return socket;
}

interface Counters {
  /** The next copy gets this page and no other; undefined when all are in use. */
  take(): number | undefined;
  at(slot: number): Int32Array;
  giveBack(slot: number): void;
}

/** A page for each copy, shared by it and this process alone. */
function createCounters(libc: Libc): Counters {
  const address = libc.mmap(null, BigInt(COPIES_MAX_COUNT) * PAGE_BYTES, PROT_READ_WRITE, MAP_SHARED_ANONYMOUS, -1, 0n);
  const start = Deno.UnsafePointer.value(address);
  if (address === null || start > HIGHEST_ADDRESS) throw new Error("Cannot map memory for copies");
  const view = new Deno.UnsafePointerView(address);
  const all = view.getArrayBuffer(COPIES_MAX_COUNT * Number(PAGE_BYTES));
  const free = Array.from({ length: COPIES_MAX_COUNT }, (_, index) => COPIES_MAX_COUNT - 1 - index);
  const addressOf = (slot: number) => BigInt(start) + BigInt(slot) * PAGE_BYTES;
  return {
    take() {
      const slot = free.pop();
      if (slot === undefined) return undefined;
      libc.madvise(BigInt(start), BigInt(all.byteLength), MADV_DONTFORK);
      libc.madvise(addressOf(slot), PAGE_BYTES, MADV_DOFORK);
      return slot;
    },
    at: (slot) => new Int32Array(all, slot * Number(PAGE_BYTES), 1),
    giveBack(slot) {
      this.at(slot)[0] = 0;
      free.push(slot);
    },
  };
}

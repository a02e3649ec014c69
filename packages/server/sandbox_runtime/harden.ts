/**
 * Takes from the sandbox's process what no function may have, through libc, before any user code exists.
 *
 * Its user and its files are not given up here: the process has never had others (../src/processes/).
 * The kernel filter comes last.
 *
 * @module
 */
import { giveUpNewPrivileges } from "./landlock.ts";
import { endProcess } from "./exit.ts";
import { type Architecture, seccompProgram, SYSCALLS } from "./seccomp.ts";

export interface HardenOptions {
  /** Given when the platform runs as root: the uid that the process has been started with, or has taken. */
  readonly uid: number | null;
  /** Bytes of private writable memory: baseline of the runtime, the JavaScript heap, and buffers outside it. */
  readonly dataBytes: number;
  readonly openFilesCount: number;
  readonly fileBytes: number;
  readonly hasNetwork: boolean;
  /** Stands without the kernel filter, for a process that runs no user code and has to start a program. */
  readonly mayStartPrograms?: true;
  /** For a process that becomes another program (`becomeProgram`): the kernel filter holds that, too. */
  readonly mayBecomeProgram?: true;
  /** The sandbox dies with it: the server, or the zygote that it is a copy of, which dies with the server. */
  readonly parentPid: number;
}

/**
 * What can stand between a function and the machine. A fence that is missing is told to the operator. All are found by
 * the sandbox itself but the last: whether the server sees what it uses.
 */
export const FENCES = [
  "uid",
  "rlimits",
  "no-new-privileges",
  "seccomp",
  "dies-with-server",
  "landlock",
  "metered",
] as const;
export type Fence = typeof FENCES[number];

/** The memory that a sandbox and the platform share has one page. */
export const SHARED_PAGE_BYTES = 4_096;

const O_RDWR_CLOEXEC = 0o2 | 0o2000000;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const PR_SET_PDEATHSIG = 1;
const PR_SET_DUMPABLE = 4;
const SIGKILL = 9;
const CAPABILITY_VERSION = 0x2008_0522;
/** Kill, setgid, setuid. */
const KEPT_CAPABILITIES = [5, 6, 7];
const REHEARSALS_COUNT = 4;
const RLIMIT_FSIZE = 1;
const RLIMIT_DATA = 2;
const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;

/** libc, as far as hardening needs it. */
function openLibc() {
  return Deno.dlopen("libc.so.6", {
    geteuid: { parameters: [], result: "u32" },
    getgroups: { parameters: ["i32", "pointer"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
    prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
    getppid: { parameters: [], result: "i32" },
    getpid: { parameters: [], result: "i32" },
    setgroups: { parameters: ["usize", "pointer"], result: "i32" },
    setresgid: { parameters: ["u32", "u32", "u32"], result: "i32" },
    setresuid: { parameters: ["u32", "u32", "u32"], result: "i32" },
    capset: { parameters: ["buffer", "buffer"], result: "i32" },
    open: { parameters: ["buffer", "i32"], result: "i32" },
    mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
    syscall: { parameters: ["usize", "usize", "usize", "buffer"], result: "isize" },
  });
}

let opened: ReturnType<typeof openLibc> | undefined;

/** Opened once, since that costs; a copy of a zygote has it open already. */
function libc() {
  return (opened ??= openLibc()).symbols;
}

/**
 * Maps a file of one page into memory, for writing. What is written there is in the file at once, even if the process
 * never comes back to its event loop.
 *
 * @returns undefined where the system does not offer it
 */
export function mapSharedPage(path: string): Int32Array | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const { open, close, mmap } = libc();
  const file = open(new TextEncoder().encode(`${path}\0`), O_RDWR_CLOEXEC);
  if (file < 0) return undefined;
  const address = mmap(null, BigInt(SHARED_PAGE_BYTES), PROT_READ_WRITE, MAP_SHARED, file, 0n);
  close(file);
  // MAP_FAILED is -1.
  if (address === null || Deno.UnsafePointer.value(address) >= 0xffff_ffff_ffff_f000n) return undefined;
  return new Int32Array(new Deno.UnsafePointerView(address).getArrayBuffer(SHARED_PAGE_BYTES));
}

/** What hardening runs: done before, in a zygote, it is compiled and known when a copy needs it. */
export function rehearseHardening(options: HardenOptions): void {
  for (let round = 0; round < REHEARSALS_COUNT; round += 1) {
    seccompProgram(Deno.build.arch, { pid: Deno.pid, hasNetwork: options.hasNetwork });
    libc().prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n);
  }
}

/** Ends this process when that which started it does, and now if it is gone already. */
export function dieWithParent(parentPid: number): boolean {
  const { prctl, getppid } = libc();
  if (prctl(PR_SET_PDEATHSIG, BigInt(SIGKILL), 0n, 0n, 0n) !== 0) return false;
  if (getppid() !== parentPid) endProcess(0);
  return true;
}

/** Of root's rights, those to change its user and to end what it has started; others have none. */
export function keepOnlyCapabilities(): void {
  const { capset, geteuid } = libc();
  if (geteuid() !== 0) return;
  const kept = KEPT_CAPABILITIES.reduce((sum, capability) => sum | 1 << capability, 0);
  // Effective, permitted, inheritable; then the same for numbers from 32 on.
  capset(new Uint32Array([CAPABILITY_VERSION, 0]), new Uint32Array([kept, kept, 0, 0, 0, 0]));
}

/** For good: uid, gid, and no other group. Ends the process where that fails, since nothing may run then. */
export function becomeUser(uid: number): void {
  const { setgroups, setresgid, setresuid } = libc();
  const results = [setgroups(0n, null), setresgid(uid, uid, uid), setresuid(uid, uid, uid)];
  if (results.some((result) => result !== 0)) endProcess(1);
}

/** Returns the fences that stand now. Throws where giving up privileges fails: then nothing may run. */
export function hardenProcess(options: HardenOptions): Fence[] {
  if (Deno.build.os !== "linux") return [];
  const call = libc();
  const fences: Fence[] = [];

  if (options.uid !== null) {
    const isAlone = call.geteuid() === options.uid && call.getgroups(0, null) === 0;
    if (!isAlone) throw new Error(`Cannot go on as uid ${call.geteuid()}: the process was to have uid ${options.uid}`);
    fences.push("uid");
  }
  if (dieWithParent(options.parentPid)) fences.push("dies-with-server");

  const limits: [number, number][] = [
    [RLIMIT_CORE, 0],
    [RLIMIT_NOFILE, options.openFilesCount],
    [RLIMIT_FSIZE, options.fileBytes],
    [RLIMIT_DATA, options.dataBytes],
  ];
  if (limits.every(([resource, value]) => call.setrlimit(resource, rlimit(value)) === 0)) fences.push("rlimits");

  call.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n);
  if (giveUpNewPrivileges()) fences.push("no-new-privileges");

  if (options.mayStartPrograms) return fences;
  const architecture: Architecture = Deno.build.arch;
  const filter = seccompProgram(architecture, {
    pid: call.getpid(),
    hasNetwork: options.hasNetwork,
    mayBecomeProgram: options.mayBecomeProgram === true,
  });
  const program = new BigUint64Array(2);
  new Uint16Array(program.buffer)[0] = filter.length / 8;
  program[1] = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(filter)));
  const installed = call.syscall(
    BigInt(SYSCALLS[architecture].seccomp),
    BigInt(SECCOMP_SET_MODE_FILTER),
    BigInt(SECCOMP_FILTER_FLAG_TSYNC),
    program,
  );
  if (Number(installed) === 0) fences.push("seccomp");
  opened = undefined;
  return fences;
}

/** `struct rlimit` with the soft and the hard limit at the same value. */
function rlimit(value: number): BigUint64Array<ArrayBuffer> {
  return new BigUint64Array([BigInt(value), BigInt(value)]);
}

/**
 * The kernel filter of a sandbox, as a classic BPF program built from tables.
 *
 * It refuses what a function never needs and an exploit would: starting programs, other processes' memory, sockets that
 * listen, sockets other than IPv4, mounts, namespaces, kernel modules. UNIX sockets are among them because abstract ones
 * have no path, and so no permission of Deno stands in front of them. Everything else is allowed: Deno's permissions do.
 *
 * Source of the numbers: Linux syscall_64.tbl and asm-generic/unistd.h; they are ABI and never change.
 *
 * @module
 */

export type Architecture = "x86_64" | "aarch64";

interface SyscallTable {
  readonly auditArch: number;
  /** The number of seccomp(2) itself. */
  readonly seccomp: number;
  /** Among those that are refused. */
  readonly execve: number;
  readonly refused: readonly number[];
  /** Answered ENOSYS so that glibc falls back to clone, whose flags a filter can see. */
  readonly clone3: number;
  readonly clone: number;
  readonly socket: number;
  /** Allowed for streams only: Deno makes one to hear of signals. Datagrams reach every datagram socket with a name. */
  readonly socketpair: number;
  /** Allowed only when the first argument is the process itself. */
  readonly signalCalls: readonly number[];
  /** Allowed only when the first argument is the process itself, or 0, which means it. */
  readonly selfCalls: readonly number[];
}

const AF_INET = 2;
const SOCK_STREAM = 1;
/** Without SOCK_CLOEXEC and SOCK_NONBLOCK. */
const SOCKET_TYPE_BITS = 0xf;

export const SYSCALLS: Readonly<Record<Architecture, SyscallTable>> = {
  x86_64: {
    auditArch: 0xc000003e,
    seccomp: 317,
    execve: 59,
    refused: [
      59, // execve
      322, // execveat
      57, // fork
      58, // vfork
      101, // ptrace
      310, // process_vm_readv
      311, // process_vm_writev
      321, // bpf
      165, // mount
      166, // umount2
      155, // pivot_root
      161, // chroot
      272, // unshare
      308, // setns
      428, // open_tree
      429, // move_mount
      430, // fsopen
      431, // fsconfig
      432, // fsmount
      433, // fspick
      442, // mount_setattr
      248, // add_key
      249, // request_key
      250, // keyctl
      323, // userfaultfd
      298, // perf_event_open
      425, // io_uring_setup
      426, // io_uring_enter
      427, // io_uring_register
      246, // kexec_load
      320, // kexec_file_load
      175, // init_module
      313, // finit_module
      176, // delete_module
      319, // memfd_create
      434, // pidfd_open
      438, // pidfd_getfd
      424, // pidfd_send_signal
      129, // rt_sigqueueinfo
      297, // rt_tgsigqueueinfo
      200, // tkill
      163, // acct
      167, // swapon
      168, // swapoff
      169, // reboot
      304, // open_by_handle_at
      312, // kcmp
      50, // listen
      49, // bind
      ...[29, 30, 31, 67], // shmget, shmat, shmctl, shmdt
      ...[64, 65, 66, 220], // semget, semop, semctl, semtimedop
      ...[68, 69, 70, 71], // msgget, msgsnd, msgrcv, msgctl
      ...[240, 241, 242, 243, 244, 245], // mq_open to mq_getsetattr
      ...[86, 265, 88, 266, 133, 259], // link, linkat, symlink, symlinkat, mknod, mknodat
      ...[300, 301, 303], // fanotify_init, fanotify_mark, name_to_handle_at
      278, // vmsplice
      440, // process_madvise
      448, // process_mrelease
      447, // memfd_secret
      135, // personality
      103, // syslog
      ...[170, 171], // sethostname, setdomainname
      ...[172, 173], // iopl, ioperm
      ...[179, 443], // quotactl, quotactl_fd
      ...[164, 227, 159, 305], // settimeofday, clock_settime, adjtimex, clock_adjtime
      ...[256, 279], // migrate_pages, move_pages
      ...[141, 251], // setpriority, ioprio_set
      ...[154, 206, 212], // modify_ldt, io_setup, lookup_dcookie
      ...[457, 458], // statmount, listmount
    ],
    clone3: 435,
    clone: 56,
    socket: 41,
    socketpair: 53,
    signalCalls: [62, 234], // kill, tgkill
    // prlimit64, sched_setaffinity, sched_setscheduler, sched_setparam, sched_setattr
    selfCalls: [302, 203, 144, 142, 314],
  },
  aarch64: {
    auditArch: 0xc00000b7,
    seccomp: 277,
    execve: 221,
    refused: [
      221, // execve
      281, // execveat
      117, // ptrace
      270, // process_vm_readv
      271, // process_vm_writev
      280, // bpf
      40, // mount
      39, // umount2
      41, // pivot_root
      51, // chroot
      97, // unshare
      268, // setns
      428,
      429,
      430,
      431,
      432,
      433,
      442,
      217, // add_key
      218, // request_key
      219, // keyctl
      282, // userfaultfd
      241, // perf_event_open
      425,
      426,
      427,
      104, // kexec_load
      294, // kexec_file_load
      105, // init_module
      273, // finit_module
      106, // delete_module
      279, // memfd_create
      434,
      438,
      424,
      138, // rt_sigqueueinfo
      240, // rt_tgsigqueueinfo
      130, // tkill
      89, // acct
      224, // swapon
      225, // swapoff
      142, // reboot
      265, // open_by_handle_at
      272, // kcmp
      201, // listen
      200, // bind
      ...[194, 195, 196, 197], // shmget, shmctl, shmat, shmdt
      ...[190, 191, 192, 193], // semget, semctl, semtimedop, semop
      ...[186, 187, 188, 189], // msgget, msgctl, msgrcv, msgsnd
      ...[180, 181, 182, 183, 184, 185], // mq_open to mq_getsetattr
      ...[37, 36, 33], // linkat, symlinkat, mknodat
      ...[262, 263, 264], // fanotify_init, fanotify_mark, name_to_handle_at
      75, // vmsplice
      440, // process_madvise
      448, // process_mrelease
      447, // memfd_secret
      92, // personality
      116, // syslog
      ...[161, 162], // sethostname, setdomainname
      ...[60, 443], // quotactl, quotactl_fd
      ...[170, 112, 171, 266], // settimeofday, clock_settime, adjtimex, clock_adjtime
      ...[238, 239], // migrate_pages, move_pages
      ...[140, 30], // setpriority, ioprio_set
      ...[0, 18], // io_setup, lookup_dcookie
      ...[457, 458], // statmount, listmount
    ],
    clone3: 435,
    clone: 220,
    socket: 198,
    socketpair: 199,
    signalCalls: [129, 131], // kill, tgkill
    // prlimit64, sched_setaffinity, sched_setscheduler, sched_setparam, sched_setattr
    selfCalls: [261, 122, 119, 118, 274],
  },
};

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;
const CLONE_THREAD = 0x10000;

const RETURN_ALLOW = 0x7fff0000;
const RETURN_KILL_PROCESS = 0x80000000;
const RETURN_ERRNO = 0x00050000;

// Instruction codes of classic BPF.
const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER_EQUAL = 0x35;
const JUMP_BITS = 0x45;
const AND = 0x54;
const RETURN = 0x06;

// Offsets in struct seccomp_data; the low word of an argument comes first on both architectures.
const OFFSET_NUMBER = 0;
const OFFSET_ARCHITECTURE = 4;
const OFFSET_FIRST_ARGUMENT = 16;
const OFFSET_SECOND_ARGUMENT = 24;

/** x86_64 only: system calls of the x32 ABI have this bit set and would slip past a filter by number. */
const X32_BIT = 0x40000000;

const INSTRUCTION_BYTES = 8;

export interface SeccompOptions {
  /** The process may send signals to itself only. */
  readonly pid: number;
  /** Whether it may make IPv4 sockets; others it may not in any case. */
  readonly hasNetwork: boolean;
  /** It may become another program, which the filter then holds, and still start none beside itself. */
  readonly mayBecomeProgram?: boolean;
}

/** The program as an array of `struct sock_filter`. */
export function seccompProgram(
  architecture: Architecture,
  { pid, hasNetwork, mayBecomeProgram = false }: SeccompOptions,
): Uint8Array<ArrayBuffer> {
  const table = SYSCALLS[architecture];
  const families = hasNetwork ? [AF_INET] : [];
  const program: [code: number, whenTrue: number, whenFalse: number, value: number][] = [];
  const refuse = (errno: number) => program.push([RETURN, 0, 0, RETURN_ERRNO | errno]);
  const allow = () => program.push([RETURN, 0, 0, RETURN_ALLOW]);

  program.push([LOAD_WORD, 0, 0, OFFSET_ARCHITECTURE]);
  program.push([JUMP_EQUAL, 1, 0, table.auditArch]);
  program.push([RETURN, 0, 0, RETURN_KILL_PROCESS]);
  program.push([LOAD_WORD, 0, 0, OFFSET_NUMBER]);
  if (architecture === "x86_64") {
    program.push([JUMP_GREATER_EQUAL, 0, 1, X32_BIT]);
    refuse(ENOSYS);
  }
  for (const call of table.refused) {
    if (mayBecomeProgram && call === table.execve) continue;
    program.push([JUMP_EQUAL, 0, 1, call]);
    refuse(EPERM);
  }
  program.push([JUMP_EQUAL, 0, 1, table.clone3]);
  refuse(ENOSYS);

  // clone: only with CLONE_THREAD.
  program.push([JUMP_EQUAL, 0, 4, table.clone]);
  program.push([LOAD_WORD, 0, 0, OFFSET_FIRST_ARGUMENT]);
  program.push([JUMP_BITS, 0, 1, CLONE_THREAD]);
  allow();
  refuse(EPERM);

  /** Allowed with one of these first arguments. */
  const only = (call: number, allowed: readonly number[], errno: number) => {
    program.push([JUMP_EQUAL, 0, 2 * allowed.length + 2, call]);
    program.push([LOAD_WORD, 0, 0, OFFSET_FIRST_ARGUMENT]);
    for (const value of allowed) {
      program.push([JUMP_EQUAL, 0, 1, value]);
      allow();
    }
    refuse(errno);
  };
  only(table.socket, families, EAFNOSUPPORT);
  program.push([JUMP_EQUAL, 0, 5, table.socketpair]);
  program.push([LOAD_WORD, 0, 0, OFFSET_SECOND_ARGUMENT]);
  program.push([AND, 0, 0, SOCKET_TYPE_BITS]);
  program.push([JUMP_EQUAL, 0, 1, SOCK_STREAM]);
  allow();
  refuse(EAFNOSUPPORT);
  for (const call of table.signalCalls) only(call, [pid], EPERM);
  for (const call of table.selfCalls) only(call, [0, pid], EPERM);
  allow();

  const bytes = new Uint8Array(program.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, whenTrue, whenFalse, value], index) => {
    const offset = index * INSTRUCTION_BYTES;
    view.setUint16(offset, code, true);
    view.setUint8(offset + 2, whenTrue);
    view.setUint8(offset + 3, whenFalse);
    view.setUint32(offset + 4, value >>> 0, true);
  });
  return bytes;
}

/**
 * Landlock: a thread gives up every file of the machine but those that it names, for itself and for what it starts.
 *
 * Source of the numbers: linux/landlock.h, linux/prctl.h and the system call tables; they are ABI and the same on every
 * architecture.
 *
 * @module
 */

export interface FileRights {
  /** Files, and folders with all that is in them. Those that do not exist count as not named. */
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly execute: readonly string[];
}

const CREATE_RULESET = 444n;
const ADD_RULE = 445n;
const RESTRICT_SELF = 446n;
const GIVE_VERSION = 1n;
const PATH_BENEATH = 1n;
const O_PATH_CLOEXEC = 0o10000000 | 0o2000000;

const PR_SET_NO_NEW_PRIVS = 38;
/** Of libc's `open`. */
const O_RDONLY = 0;

const bits = (...places: number[]) => places.reduce((sum, place) => sum | 1n << BigInt(place), 0n);
const EXECUTE = bits(0);
const READ = bits(2, 3); // file, folder
const CHANGE = bits(1, 4, 5, 7, 8, 13, 14); // write, remove folder and file, make folder and file, move, truncate
/** What makes sense for a file that is no folder; the kernel refuses more. */
const OF_FILES = bits(0, 1, 2, 14);
/** What the kernel knows, by the version of its interface: 2 brought moving, 3 truncating, 5 ioctl of devices. */
const KNOWN = (version: number) =>
  bits(...Array.from({ length: 13 }, (_, place) => place)) |
  (version >= 2 ? bits(13) : 0n) | (version >= 3 ? bits(14) : 0n) | (version >= 5 ? bits(15) : 0n);
/** Waiting for connections on a TCP port. */
const NET = bits(0);
const NET_SINCE = 4;
/** Abstract sockets of others and signals to them. */
const SCOPED = bits(0, 1);
const SCOPES_SINCE = 6;

function openLibc() {
  return Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    createRuleset: { name: "syscall", parameters: ["usize", "buffer", "usize", "usize"], result: "isize" },
    addRule: { name: "syscall", parameters: ["usize", "usize", "usize", "buffer", "usize"], result: "isize" },
    restrictSelf: { name: "syscall", parameters: ["usize", "usize", "usize"], result: "isize" },
  }).symbols;
}

/** What Landlock asks for first: no program that is started gains rights by its file. False: it was refused. */
export function giveUpNewPrivileges(): boolean {
  if (Deno.build.os !== "linux") return false;
  const { prctl } = Deno.dlopen("libc.so.6", {
    prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
  }).symbols;
  return prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) === 0;
}

/**
 * Whether the kernel keeps from this process what every user of the machine may look into, the root folder: from the calling thread and
 * from one of those that do slow work for it.
 */
export async function lacksFiles(): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  const libc = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    openElsewhere: { name: "open", parameters: ["buffer", "i32"], result: "i32", nonblocking: true },
    close: { parameters: ["i32"], result: "i32" },
  }).symbols;
  const path = new TextEncoder().encode("/\0");
  const files = [libc.open(path, O_RDONLY), await libc.openElsewhere(path, O_RDONLY)];
  for (const file of files) if (file >= 0) libc.close(file);
  return files.every((file) => file < 0);
}

function landlockVersion(libc: ReturnType<typeof openLibc>): number {
  return Math.max(0, Number(libc.createRuleset(CREATE_RULESET, null, 0n, GIVE_VERSION)));
}

/** Needs "no new privileges". Where the kernel does not offer it, nothing is given up: `lacksFiles` tells. */
export function giveUpFiles(rights: FileRights): void {
  if (Deno.build.os !== "linux") return;
  const libc = openLibc();
  const version = landlockVersion(libc);
  if (version < 1) return;
  const known = KNOWN(version);
  // Later versions of the interface know more of its fields.
  const fields = version >= SCOPES_SINCE ? [known, NET, SCOPED] : version >= NET_SINCE ? [known, NET] : [known];
  const attributes = new BigUint64Array(fields);
  const ruleset = libc.createRuleset(CREATE_RULESET, attributes, BigInt(attributes.byteLength), 0n);
  if (Number(ruleset) < 0) return;

  const allow = (path: string, wanted: bigint) => {
    const file = libc.open(new TextEncoder().encode(`${path}\0`), O_PATH_CLOEXEC);
    if (file < 0) return;
    const rule = new DataView(new ArrayBuffer(12));
    rule.setInt32(8, file, true);
    for (const access of [wanted & known, wanted & known & OF_FILES]) {
      rule.setBigUint64(0, access, true);
      if (Number(libc.addRule(ADD_RULE, BigInt(ruleset), PATH_BENEATH, rule.buffer, 0n)) === 0) break;
    }
    libc.close(file);
  };
  for (const path of rights.read) allow(path, READ);
  for (const path of rights.write) allow(path, READ | CHANGE);
  for (const path of rights.execute) allow(path, READ | EXECUTE);

  libc.restrictSelf(RESTRICT_SELF, BigInt(ruleset), 0n);
  libc.close(Number(ruleset));
}

/**
 * Which files of the machine each kind of confined process may reach. Everything else does not exist for it.
 *
 * @module
 */
import { dirname } from "node:path";
import type { FileRights } from "../../sandbox_runtime/landlock.ts";

/** The dynamic linker and what it links; also how names of hosts are looked up on some systems. */
const LIBRARIES = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/etc/ld.so.cache"];
/** How the system finds hosts. */
const NAME_FILES = ["resolv.conf", "hosts", "nsswitch.conf", "host.conf", "gai.conf", "services"].map((name) =>
  `/etc/${name}`
);
const TIME_ZONES = ["/etc/localtime", "/usr/share/zoneinfo"];
/** Where systems keep the certificates that `DENO_TLS_CA_STORE=system` means. */
export const CERTIFICATES = ["/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"];

/** What any program needs: to be loaded, and a name of a host turned into an address. */
export function commonRights(runtimePaths: readonly string[], deno: string): FileRights {
  return {
    read: [...LIBRARIES, ...NAME_FILES.flatMap(withLinkTarget), ...TIME_ZONES, ...runtimePaths, "/dev/urandom"],
    write: ["/dev/null"],
    execute: [deno, ...LIBRARIES],
  };
}

/** Some systems write a new file behind the link; the folder of it stays. Only below /run: it holds nothing else. */
function withLinkTarget(path: string): string[] {
  try {
    const target = Deno.realPathSync(path);
    return target !== path && target.startsWith("/run/") ? [path, dirname(target)] : [path];
  } catch {
    return [];
  }
}

/** Changes when one of the files was replaced by another: rights were given to the one before. */
export function identityOf({ read }: FileRights): string {
  return read.map((path) => {
    try {
      const { dev, ino } = Deno.statSync(path);
      return `${path}:${dev}:${ino}`;
    } catch {
      return path;
    }
  }).join();
}

export function joinRights(...all: readonly Partial<FileRights>[]): FileRights {
  return {
    read: all.flatMap(({ read = [] }) => read),
    write: all.flatMap(({ write = [] }) => write),
    execute: all.flatMap(({ execute = [] }) => execute),
  };
}

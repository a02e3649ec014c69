/**
 * How much memory the server may use together with what it starts: what the machine has, or the least of what its control
 * group and those above it may have (a container, a pod, a service of systemd).
 *
 * @module
 */
import { dirname, join } from "node:path";

/** Where the kernel shows itself; another folder in tests. */
export interface Places {
  readonly proc: string;
  readonly cgroups: string;
}

const MiB = 1024 * 1024;
const PLACES: Places = { proc: "/proc", cgroups: "/sys/fs/cgroup" };

export function machineMemoryMiB(): number {
  return Math.min(Deno.systemMemoryInfo().total / MiB, groupMemoryMiB(PLACES));
}

/** Infinity: no limit, or none that is shown. */
export function groupMemoryMiB({ proc, cgroups }: Places): number {
  let bytes = Infinity;
  for (const { folder, group, file } of hierarchiesOf(readText(join(proc, "self/cgroup")))) {
    // Inside a container its own group may be shown as the root, under a path that is not there.
    for (let path = group;; path = dirname(path)) {
      const limit = Number(readText(join(cgroups, folder, path, file)));
      if (limit > 0) bytes = Math.min(bytes, limit);
      if (path === dirname(path)) break;
    }
  }
  return bytes / MiB;
}

/** Lines of `number:controllers:path`; the second version has no controllers there. */
function hierarchiesOf(text: string): { folder: string; group: string; file: string }[] {
  return text.split("\n").flatMap((line) => {
    const [, controllers, ...rest] = line.split(":");
    const group = rest.join(":");
    if (controllers === "") return ["", "unified"].map((folder) => ({ folder, group, file: "memory.max" }));
    const isMemory = controllers?.split(",").includes("memory") ?? false;
    return isMemory ? [{ folder: "memory", group, file: "memory.limit_in_bytes" }] : [];
  });
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

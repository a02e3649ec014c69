/**
 * Whether a server that runs as root may act as other users: in a user namespace, or without its capabilities, root is
 * an ordinary user with another name.
 *
 * @module
 */

/** What the kernel says of this process. */
export interface Standing {
  /** /proc/self/status */
  readonly status: string;
  /** /proc/self/uid_map and gid_map: lines of first id here, first id outside, count. */
  readonly maps: readonly string[];
}

/** linux/capability.h: CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID. */
const NEEDED = [0, 1, 5, 6, 7].reduce((bits, place) => bits | 1n << BigInt(place), 0n);

export function readStanding(): Standing {
  return {
    status: readText("/proc/self/status"),
    maps: ["uid_map", "gid_map"].map((name) => readText(`/proc/self/${name}`)),
  };
}

/** Where the kernel shows nothing, it is tried. */
export function mayBecome({ first, count }: { first: number; count: number }, { status, maps }: Standing): boolean {
  const capabilities = capabilitiesOf(status);
  if (capabilities !== undefined && (capabilities & NEEDED) !== NEEDED) return false;
  return maps.every((map) => map === "" || rangesOf(map).some((range) => holds(range, { first, count })));
}

export function hasCapabilities({ status }: Standing): boolean {
  return capabilitiesOf(status) !== 0n;
}

function capabilitiesOf(status: string): bigint | undefined {
  const hex = /^CapEff:\s*([\da-f]+)$/m.exec(status)?.[1];
  return hex === undefined ? undefined : BigInt(`0x${hex}`);
}

interface Range {
  readonly first: number;
  readonly count: number;
}

function rangesOf(map: string): Range[] {
  return map.trim().split("\n").map((line) => {
    const [first = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
    return { first, count };
  });
}

function holds(range: Range, { first, count }: Range): boolean {
  return first >= range.first && first + count <= range.first + range.count;
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

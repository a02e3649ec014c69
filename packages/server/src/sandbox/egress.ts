/**
 * Which addresses a function with network permission may not reach: everything that is not the public internet, minus
 * the holes that the operator opens.
 *
 * Checked by Deno on resolved addresses; IPv6 is closed by the kernel filter, since Deno takes no IPv6 ranges. Deno
 * denies whole addresses only, so a hole that names a port opens its whole address.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import type { Log } from "../core/log.ts";

/**
 * IANA special-purpose registry, IPv4: private, loopback, link-local, shared, documentation, multicast, reserved; and
 * the public address under which a cloud serves its machines their configuration.
 */
export const DENIED_IPV4: readonly string[] = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "168.63.129.16/32",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];
const DENIED_IPV6: readonly string[] = ["[::1]", "[::]"];

/** IPv4 addresses from `start` on; `size` is a power of two, and `start` a multiple of it. */
interface Block {
  readonly start: number;
  readonly size: number;
}

const CIDR = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/;
const HOST = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/** A hole as an operator writes it: `10.0.0.0/24`, `10.1.2.3`, `db.internal`, each but the first with a port or without. */
export interface EgressHole {
  readonly text: string;
  readonly kind: "addresses" | "host";
  /** What stands before the port. */
  readonly target: string;
  readonly port: number | null;
}

/** Undefined when the text is no hole. */
export function parseHole(text: string): EgressHole | undefined {
  const [, target = "", portText] = /^([^:]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = portText === undefined ? null : Number(portText);
  if (port !== null && (port < 1 || port > 65_535 || target.includes("/"))) return undefined;
  if (parseBlock(target) !== undefined) return { text, kind: "addresses", target, port };
  // What looks like an address and is none must not be looked up as a name.
  return HOST.test(target) && !/^[\d.]+$/.test(target) ? { text, kind: "host", target, port } : undefined;
}

/**
 * The denied ranges without the holes, as the value of `--deny-net`.
 *
 * @param own addresses of the machine itself: what listens on all of them is not meant for functions
 */
export function denyNetList(holes: readonly string[], own: readonly string[] = []): string {
  const blocks = holes.flatMap((hole) => parseBlock(hole) ?? []);
  const denied = [...DENIED_IPV4, ...own].flatMap((range) => parseBlock(range) ?? []).flatMap((range) =>
    without(range, blocks)
  );
  return [...denied.map(toCidr), ...DENIED_IPV6].join(",");
}

function parseBlock(text: string): Block | undefined {
  const match = CIDR.exec(text);
  if (match === null) return undefined;
  const parts = match.slice(1, 5).map(Number);
  const bits = match[5] === undefined ? 32 : Number(match[5]);
  if (parts.some((part) => part > 255) || bits > 32) return undefined;
  const address = parts.reduce((sum, part) => sum * 256 + part, 0);
  const size = 2 ** (32 - bits);
  return { start: Math.floor(address / size) * size, size };
}

/** What is left of a block: halves are cut until each is inside a hole or touches none. */
function without(block: Block, holes: readonly Block[]): Block[] {
  const touching = holes.filter((hole) =>
    hole.start < block.start + block.size && block.start < hole.start + hole.size
  );
  if (touching.length === 0) return [block];
  if (touching.some((hole) => hole.start <= block.start && block.start + block.size <= hole.start + hole.size)) {
    return [];
  }
  const half = block.size / 2;
  return [
    ...without({ start: block.start, size: half }, touching),
    ...without({ start: block.start + half, size: half }, touching),
  ];
}

function toCidr({ start, size }: Block): string {
  const parts = [24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256);
  return `${parts.join(".")}/${32 - Math.log2(size)}`;
}

export interface Egress {
  /** For sandboxes that start now. */
  denyNet(): string;
  /** Whether it is one that functions may not reach now; what is no IPv4 address is closed. */
  isDenied(address: string): boolean;
  [Symbol.asyncDispose](): Promise<void>;
}

const RESOLVE_EVERY_MS = 60_000;

function ownAddresses(): string[] {
  const all = Deno.networkInterfaces().filter(({ family }) => family === "IPv4").map(({ address }) => address);
  return [...new Set(all)];
}

/** Follows the addresses of hosts; one that cannot be resolved keeps the addresses it had. */
export async function startEgress(holes: readonly EgressHole[], log: Log): Promise<Egress> {
  const resolved = new Map<string, readonly string[]>();
  const hosts = [...new Set(holes.filter(({ kind }) => kind === "host").map(({ target }) => target))];
  const fixed = holes.filter(({ kind }) => kind === "addresses").map(({ target }) => target);
  let list = denyNetList(fixed, ownAddresses());

  async function resolve(): Promise<void> {
    await Promise.all(hosts.map(async (host) => {
      try {
        const found = await lookup(host, { all: true, family: 4 });
        resolved.set(host, found.map(({ address }) => address));
      } catch (error) {
        log.warn("Cannot resolve a host of FLUXBASE_FUNCTIONS_EGRESS_ALLOW", { host, error });
      }
    }));
    list = denyNetList([...fixed, ...[...resolved.values()].flat()], ownAddresses());
  }

  if (hosts.length > 0) await resolve();
  for (const { text, target, port } of holes) {
    if (port === null) continue;
    log.warn("Functions may reach every port of an address: Deno can open whole addresses only", {
      allowed: text,
      opened: (resolved.get(target) ?? [target]).join(","),
    });
  }
  // The machine's own addresses change as well.
  const timer = setInterval(() => void resolve(), RESOLVE_EVERY_MS);
  return {
    denyNet: () => list,
    isDenied(address) {
      const one = parseBlock(address);
      if (one === undefined) return true;
      return list.split(",").some((text) => {
        const range = parseBlock(text);
        return range !== undefined && range.start <= one.start && one.start < range.start + range.size;
      });
    },
    [Symbol.asyncDispose]() {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}

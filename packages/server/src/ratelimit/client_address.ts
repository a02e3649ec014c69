/**
 * Which address a request counts for.
 *
 * The address of the connection, unless it is that of a proxy that the operator trusts: then the last one of
 * X-Forwarded-For that is not such a proxy's. What a client writes there itself stands further left and never counts.
 *
 * @module
 */
import { BlockList, isIPv4, isIPv6 } from "node:net";
import type { HeaderList, HeaderLookup } from "../core/header_list.ts";

/** Where a request comes from. */
export interface Connection {
  readonly remoteAddr: Deno.NetAddr;
  /** The function of this server that makes it; undefined for one from outside. */
  readonly functionId?: string;
  /** Of such a request: how many functions called one another before it. */
  readonly depth?: number;
  /** Of such a request: the execution on whose behalf it is made. */
  readonly executionId?: string | undefined;
  /** Settles when the answer has left; of requests from outside. */
  readonly completed?: Promise<void>;
}

const THIS_MACHINE: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 0 };

/** A request that a function makes comes over no connection. */
export function ownConnection(
  from: Pick<Connection, "executionId"> & { functionId: string; depth: number },
): Connection {
  return { remoteAddr: THIS_MACHINE, ...from };
}

export interface AddressRange {
  readonly address: string;
  readonly prefix: number;
}

/** `10.0.0.0/8`, `2001:db8::/32`, `10.1.2.3`; undefined when the text is none of them. */
export function parseRange(text: string): AddressRange | undefined {
  const [address = "", prefixText, ...rest] = text.split("/");
  const bits = isIPv4(address) ? 32 : isIPv6(address) ? 128 : undefined;
  if (bits === undefined || rest.length > 0) return undefined;
  if (prefixText === undefined) return { address, prefix: bits };
  const prefix = /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : NaN;
  return prefix <= bits ? { address, prefix } : undefined;
}

export interface ClientAddresses {
  /** As it is counted: IPv4 whole, IPv6 by its network of 64 bits, which is what one customer gets. */
  of(peer: string, forwardedFor: string | null): string;
  /** The same address, whole. */
  whole(peer: string, forwardedFor: string | null): string;
  isProxy(peer: string): boolean;
}

/** Whom a request counts for: a client by its address, a function of this server by itself, whatever it says. */
export function clientOf(
  addresses: ClientAddresses,
  { remoteAddr, functionId }: Connection,
  headers: HeaderLookup,
): string {
  if (functionId !== undefined) return `function ${functionId}`;
  return addresses.of(remoteAddr.hostname, headers.get("x-forwarded-for"));
}

/** Functions are told the address that is believed, in place of what the client claims. */
export function tellAddress(addresses: ClientAddresses, connection: Connection, headers: HeaderList): void {
  if (connection.functionId !== undefined) return;
  headers.set("x-forwarded-for", addresses.whole(connection.remoteAddr.hostname, headers.get("x-forwarded-for")));
}

export function createClientAddresses(trustedProxies: readonly AddressRange[]): ClientAddresses {
  const trusted = new BlockList();
  for (const { address, prefix } of trustedProxies) {
    trusted.addSubnet(address, prefix, isIPv4(address) ? "ipv4" : "ipv6");
  }
  const isTrusted = (address: string) => trusted.check(address, isIPv4(address) ? "ipv4" : "ipv6");

  /** Calls come in runs of one caller, and taking an address apart costs more than comparing it. */
  let recent = { peer: "", address: "" };
  function addressOf(peer: string): string {
    if (recent.peer !== peer) recent = { peer, address: plain(peer) };
    return recent.address;
  }

  function whole(peer: string, forwardedFor: string | null): string {
    let client = addressOf(peer);
    if (trustedProxies.length > 0 && forwardedFor !== null) {
      // From the end, and no further than it is believed: a client may write thousands in front.
      let end = forwardedFor.length;
      while (end > 0 && isTrusted(client)) {
        const comma = forwardedFor.lastIndexOf(",", end - 1);
        const hop = plain(forwardedFor.slice(comma + 1, end).trim());
        // Something that is no address was written by nobody who is trusted.
        if (!(isIPv4(hop) || isIPv6(hop))) break;
        client = hop;
        end = comma;
      }
    }
    return client;
  }

  return {
    isProxy: (peer) => trustedProxies.length > 0 && isTrusted(plain(peer)),
    whole,
    of(peer, forwardedFor) {
      const client = whole(peer, forwardedFor);
      return isIPv6(client) ? networkOf(client) : client;
    },
  };
}

/** Without port, brackets and zone; an IPv4 address inside IPv6 as IPv4, however it is written. */
function plain(text: string): string {
  const bracketed = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ??
    (/^[\d.]+:\d+$/.test(text) ? text.split(":")[0] ?? "" : text);
  const address = bracketed.replace(/%.*$/, "");
  if (!isIPv6(address)) return address;
  const groups = groupsOf(address);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return isMapped ? groups.slice(6).flatMap((group) => [group >> 8, group & 0xff]).join(".") : address;
}

function networkOf(address: string): string {
  return `${groupsOf(address).slice(0, 4).map((group) => group.toString(16)).join(":")}::/64`;
}

/** The eight numbers of an IPv6 address. */
function groupsOf(address: string): number[] {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const [a = 0, b = 0, c = 0, d = 0] = dotted?.slice(1).map(Number) ?? [];
  const last = `${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
  const hex = dotted === null ? address : address.slice(0, dotted.index) + last;
  const [left = [], tail] = hex.split("::").map((part) => part === "" ? [] : part.split(":"));
  const zeros = tail === undefined ? [] : Array<string>(8 - left.length - tail.length).fill("0");
  return [...left, ...zeros, ...tail ?? []].map((group) => parseInt(group, 16));
}

/**
 * The server's own connections as the kernel sees them, through libc: Deno's HTTP server tells nothing of a connection
 * before its first request, and cannot end one.
 *
 * Owns: listing accepted connections of a port, and shutting one down. Does not own: which ones have to go
 * (./connection_watch.ts).
 *
 * Everything here runs in one turn of the thread that also runs the HTTP server, so no descriptor changes hands between
 * a look and what is done with it. Source of the offsets: `struct tcp_info` of linux/tcp.h, which only grows at its end.
 *
 * @module
 */

export interface OpenSocket {
  readonly descriptor: number;
  /** Address and port of the other side, as `peerName` writes them. */
  readonly peer: string;
  readonly address: string;
  /** Bytes of answers that the client has confirmed. */
  readonly ackedBytes: bigint;
  readonly receivedBytes: bigint;
  /** Bytes of answers that wait to leave. */
  readonly unsentBytes: number;
}

export interface OwnSockets {
  /** Accepted on this port and still open. */
  list(port: number): OpenSocket[];
  shutDown(socket: OpenSocket): void;
  /** As many open files as the system lets this process have: each connection is one. */
  raiseOpenFiles(): void;
}

const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const SHUT_RDWR = 2;
const RLIMIT_NOFILE = 7;
const ADDRESS_BYTES = 28;
const INFO_BYTES = 256;
const ACKED_OFFSET = 120;
const RECEIVED_OFFSET = 128;
const UNSENT_OFFSET = 144;

function openLibc() {
  return Deno.dlopen("libc.so.6", {
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
    shutdown: { parameters: ["i32", "i32"], result: "i32" },
    getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
    setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  }).symbols;
}

/** Undefined where the system does not offer it. */
export function openOwnSockets(): OwnSockets | undefined {
  if (Deno.build.os !== "linux") return undefined;
  let libc: ReturnType<typeof openLibc>;
  try {
    libc = openLibc();
  } catch {
    return undefined;
  }
  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  const info = new DataView(new ArrayBuffer(INFO_BYTES));
  const size = new Uint32Array(1);

  const nameBy = (ask: typeof libc.getpeername, descriptor: number): { host: string; port: number } | undefined => {
    size[0] = ADDRESS_BYTES;
    return ask(descriptor, address.buffer, size) === 0 ? readAddress(address) : undefined;
  };
  const look = (descriptor: number, port: number): OpenSocket | undefined => {
    if (nameBy(libc.getsockname, descriptor)?.port !== port) return undefined;
    const peer = nameBy(libc.getpeername, descriptor);
    if (peer === undefined) return undefined;
    size[0] = INFO_BYTES;
    if (libc.getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, info.buffer, size) !== 0) return undefined;
    return {
      descriptor,
      peer: peerName(peer.host, peer.port),
      address: peer.host,
      ackedBytes: info.getBigUint64(ACKED_OFFSET, true),
      receivedBytes: info.getBigUint64(RECEIVED_OFFSET, true),
      unsentBytes: (size[0] ?? 0) > UNSENT_OFFSET ? info.getUint32(UNSENT_OFFSET, true) : 0,
    };
  };

  return {
    list(port) {
      const found: OpenSocket[] = [];
      for (const { name } of Deno.readDirSync("/proc/self/fd")) {
        const socket = look(Number(name), port);
        if (socket !== undefined) found.push(socket);
      }
      return found;
    },
    shutDown({ descriptor }) {
      libc.shutdown(descriptor, SHUT_RDWR);
    },
    raiseOpenFiles() {
      const limits = new BigUint64Array(2);
      if (libc.getrlimit(RLIMIT_NOFILE, limits) !== 0) return;
      const [soft = 0n, hard = 0n] = limits;
      if (soft !== hard) libc.setrlimit(RLIMIT_NOFILE, new BigUint64Array([hard, hard]));
    },
  };
}

/** The same text for the same peer, however it was learned. */
function peerName(host: string, port: number): string {
  return `${host} ${port}`;
}

/** Undefined for a request that is over. */
export function peerOf(connection: { readonly remoteAddr: Deno.NetAddr }): string | undefined {
  try {
    const { hostname, port } = connection.remoteAddr;
    return peerName(hostname, port);
  } catch {
    return undefined;
  }
}

/** `struct sockaddr_in` or `sockaddr_in6`; undefined for any other family. */
function readAddress(view: DataView): { host: string; port: number } | undefined {
  const family = view.getUint16(0, true);
  if (family === AF_INET) return { host: ipv4(view, 4), port: view.getUint16(2) };
  if (family !== AF_INET6) return undefined;
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(8 + 2 * index));
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  const host = isMapped ? ipv4(view, 20) : shortened(groups);
  return { host, port: view.getUint16(2) };
}

function ipv4(view: DataView, offset: number): string {
  return [0, 1, 2, 3].map((index) => view.getUint8(offset + index)).join(".");
}

/** As URLs write it, which is how Deno writes it. */
function shortened(groups: readonly number[]): string {
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(":")}]/`).hostname.slice(1, -1);
}

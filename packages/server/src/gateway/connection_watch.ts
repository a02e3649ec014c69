/**
 * Ends connections that wait for nothing: whoever connects must ask, go on asking, and take the answer.
 *
 * Deno's HTTP server has no deadlines, so this looks at all connections now and then, and at those only which have
 * nothing under way: a long call, a stream or a WebSocket is never cut for being quiet. It costs a request nothing, save
while there is doubt: bytes that a client confirms look like an answer, and may be the pongs of HTTP/2. Then requests are
noted by their connection.
 *
 *     no request since it was accepted, or half a head, or a small body that does not come    requestMs
 *     answered, and quiet since, or busy with something that is no request                    idleMs, twice that
 *     does not take its answer                                                                stalledMs
 *     takes its answer byte by byte, longer than that; event streams and WebSockets may       bytes in a second
 *     one address has more than its part, or all together are too many                        the newest, the quietest
 *
 * @module
 */
import { isEventStream } from "../core/event_stream.ts";
import type { Log } from "../core/log.ts";
import type { ClientAddresses, Connection } from "../ratelimit/client_address.ts";
import { openOwnSockets, type OpenSocket, type OwnSockets, peerOf } from "./sockets.ts";

export interface ConnectionLimits {
  readonly requestHeadMs: number;
  readonly idleConnectionMs: number;
  readonly stalledAnswerMs: number;
  readonly slowAnswerBytesPerSec: number;
  readonly connectionsPerAddressCount: number;
  readonly connectionsCount: number;
}

export interface ConnectionWatchOptions {
  readonly port: number;
  readonly limits: ConnectionLimits;
  readonly log: Log;
  now(): number;
  readonly requests: SeenRequests;
  /** Those that have a request under way. */
  busyPeers(): Iterable<BusyPeer>;
  readonly clientAddresses: ClientAddresses;
}

export interface BusyPeer {
  readonly peer: string;
  /** An event stream or a WebSocket: it has no end to hurry for. */
  readonly isEndless: boolean;
}

/** Requests by their connection, since the last look; only while somebody wants to know. */
export interface SeenRequests {
  note(connection: Connection): void;
  /** Gives what was noted, and says whether to go on. */
  take(isWanted: boolean): ReadonlySet<string>;
}

export function createSeenRequests(): SeenRequests {
  let seen: Set<string> | undefined;
  return {
    note(connection) {
      seen?.add(peerOf(connection) ?? "");
    },
    take(isWanted) {
      const taken = seen ?? new Set();
      seen = isWanted ? new Set() : undefined;
      return taken;
    },
  };
}

interface Watched {
  readonly peer: string;
  readonly acceptedMs: number;
  ackedBytes: bigint;
  /** What it had received when its last answer went. */
  receivedBytes: bigint;
  /** When the last answer went; null: none has. */
  answeredMs: number | null;
  /** When it was last certain that it has a request. */
  seenMs: number;
  /** Since when a request is awaited that has not come whole; null: none has begun. */
  awaitedMs: number | null;
  /** When bytes of an answer were last taken, or none waited. */
  takenMs: number;
  /** Since when bytes wait at every look, and what was confirmed then; null: none wait. */
  backlog: { readonly sinceMs: number; readonly ackedBytes: bigint } | null;
}

const LOOK_EVERY_MS = 1_000;
/** A look at very many takes its time: then it is seldom. */
const LOOK_PART = 20;

export type Verdict = "keep" | "no request" | "idle" | "stalled" | "too slow";

export interface Now {
  readonly isBusy: boolean;
  readonly isEndless: boolean;
  readonly hasUnsent: boolean;
}

/** Pure, so that time can be tried out. */
export function verdictOf(
  one: Pick<Watched, "answeredMs" | "seenMs" | "awaitedMs" | "takenMs" | "backlog" | "ackedBytes">,
  { isBusy, isEndless, hasUnsent }: Now,
  { nowMs, limits }: { nowMs: number; limits: ConnectionLimits },
): Verdict {
  const { answeredMs, seenMs, awaitedMs, takenMs } = one;
  if (hasUnsent) {
    if (nowMs - takenMs > limits.stalledAnswerMs) return "stalled";
    return !isEndless && isTooSlow(one, { nowMs, limits }) ? "too slow" : "keep";
  }
  if (isBusy) return "keep";
  if (awaitedMs !== null) return nowMs - awaitedMs > limits.requestHeadMs ? "no request" : "keep";
  const isIdle = nowMs - (answeredMs ?? nowMs) > limits.idleConnectionMs;
  return isIdle || nowMs - seenMs > 2 * limits.idleConnectionMs ? "idle" : "keep";
}

/** On average since its answer began to wait; who takes it all in between begins anew. */
function isTooSlow(
  { backlog, ackedBytes }: Pick<Watched, "backlog" | "ackedBytes">,
  { nowMs, limits }: { nowMs: number; limits: ConnectionLimits },
): boolean {
  if (backlog === null) return false;
  const passedMs = nowMs - backlog.sinceMs;
  const takenBytes = Number(ackedBytes - backlog.ackedBytes);
  return passedMs > limits.stalledAnswerMs && takenBytes < limits.slowAnswerBytesPerSec * passedMs / 1_000;
}

/** Says so where the system does not let it. */
export function watchOwnConnections(options: ConnectionWatchOptions): Disposable {
  const sockets = openOwnSockets();
  if (sockets !== undefined) {
    sockets.raiseOpenFiles();
    return watchConnections(sockets, options);
  }
  options.log.warn(
    "Connections have no deadlines and no bound for one address on this system: put a proxy in front that has some",
  );
  return { [Symbol.dispose]() {} };
}

/** Connections whose request is about the server itself. Those of functions are known to the sandboxes. */
export interface BusyConnections {
  during(connection: Connection, answer: () => Promise<Response>): Promise<Response>;
  /** Of one that becomes a WebSocket: Deno says no more when it is over. */
  hold(connection: Connection): Disposable;
  peers(): Iterable<BusyPeer>;
}

export function createBusyConnections(): BusyConnections {
  const busy = new Map<Connection, BusyPeer>();
  const held = new Set<BusyPeer>();
  return {
    hold(connection) {
      const one = { peer: peerOf(connection) ?? "", isEndless: true };
      held.add(one);
      return { [Symbol.dispose]: () => void held.delete(one) };
    },
    async during(connection, answer) {
      if (connection.completed === undefined) return await answer();
      const peer = peerOf(connection) ?? "";
      busy.set(connection, { peer, isEndless: false });
      const isOver = () => busy.delete(connection);
      connection.completed.then(isOver, isOver);
      const response = await answer();
      const isEndless = isEventStream(response.headers.get("content-type") ?? "");
      if (isEndless && busy.has(connection)) busy.set(connection, { peer, isEndless });
      return response;
    },
    *peers() {
      yield* busy.values();
      yield* held;
    },
  };
}

export function watchConnections(
  sockets: OwnSockets,
  { port, limits, log, now, requests, busyPeers, clientAddresses }: ConnectionWatchOptions,
): Disposable {
  const watched = new Map<number, Watched>();
  const lookEveryMs = Math.min(LOOK_EVERY_MS, limits.requestHeadMs / 2);
  let timer = setTimeout(look, lookEveryMs);
  /** A connection confirms bytes, and was not seen with a request for long. */
  let isInDoubt = false;

  function look(): void {
    const startedMs = now();
    const cut = new Map<string, number>();
    const end = (socket: OpenSocket, why: string) => {
      sockets.shutDown(socket);
      watched.delete(socket.descriptor);
      cut.set(why, (cut.get(why) ?? 0) + 1);
    };
    const open = sockets.list(port);
    const busy = new Map<string, boolean>();
    for (const { peer, isEndless } of busyPeers()) busy.set(peer, isEndless || (busy.get(peer) ?? false));
    const seen = requests.take(isInDoubt);
    isInDoubt = false;
    const left = open.filter((socket) => {
      const isBusy = busy.has(socket.peer);
      const present = { isBusy, isEndless: busy.get(socket.peer) ?? false, hasUnsent: socket.unsentBytes > 0 };
      const one = follow(socket, { ...present, isSeen: seen.has(socket.peer), nowMs: startedMs });
      const verdict = verdictOf(one, present, { nowMs: startedMs, limits });
      isInDoubt ||= (one.answeredMs ?? 0) - one.seenMs > limits.idleConnectionMs / 2;
      if (verdict === "keep") return true;
      end(socket, verdict);
      return false;
    });
    for (const [socket, why] of surplusOf(left, busy)) end(socket, why);
    forget(open);
    if (cut.size > 0) log.info("Connections were ended", Object.fromEntries(cut));
    timer = setTimeout(look, Math.max(lookEveryMs, LOOK_PART * (now() - startedMs)));
  }

  function follow(
    socket: OpenSocket,
    { isBusy, isSeen, hasUnsent, nowMs }: Now & { isSeen: boolean; nowMs: number },
  ): Watched {
    const { descriptor, peer, ackedBytes, receivedBytes } = socket;
    let one = watched.get(descriptor);
    if (one?.peer !== peer) {
      one = {
        peer,
        acceptedMs: nowMs,
        ackedBytes: 0n,
        receivedBytes: 0n,
        answeredMs: null,
        seenMs: nowMs,
        awaitedMs: nowMs,
        takenMs: nowMs,
        backlog: null,
      };
      watched.set(descriptor, one);
    }
    const hasTaken = ackedBytes !== one.ackedBytes;
    if (hasTaken || !hasUnsent) one.takenMs = nowMs;
    if (!hasUnsent) one.backlog = null;
    else one.backlog ??= { sinceMs: nowMs, ackedBytes };
    if (isBusy || isSeen || hasUnsent) one.seenMs = nowMs;
    if (hasTaken || isBusy) {
      Object.assign(one, { ackedBytes, receivedBytes, answeredMs: nowMs, awaitedMs: null });
    } else if (one.awaitedMs === null && receivedBytes !== one.receivedBytes) {
      one.awaitedMs = nowMs;
    }
    return one;
  }

  /** Those over a bound that have nothing under way: of one address the newest, of all the quietest. */
  function surplusOf(open: readonly OpenSocket[], busy: ReadonlyMap<string, unknown>): [OpenSocket, string][] {
    const surplus = new Map<OpenSocket, string>();
    // As everything else that counts addresses: a proxy's connections are those of many clients.
    const direct = open.filter(({ address }) => !clientAddresses.isProxy(address));
    const byClient = Map.groupBy(direct, ({ address }) => clientAddresses.of(address, null));
    const of = (socket: OpenSocket) => watched.get(socket.descriptor);
    for (const own of byClient.values()) {
      const over = own.length - limits.connectionsPerAddressCount;
      if (over <= 0) continue;
      const idle = own.filter(({ peer }) => !busy.has(peer));
      const newestFirst = idle.toSorted((a, b) => (of(b)?.acceptedMs ?? 0) - (of(a)?.acceptedMs ?? 0));
      for (const socket of newestFirst.slice(0, over)) surplus.set(socket, "too many of one address");
    }
    const over = open.length - surplus.size - limits.connectionsCount;
    if (over > 0) {
      const idle = open.filter((socket) => !busy.has(socket.peer) && !surplus.has(socket));
      const quietestFirst = idle.toSorted((a, b) => (of(a)?.answeredMs ?? 0) - (of(b)?.answeredMs ?? 0));
      for (const socket of quietestFirst.slice(0, over)) surplus.set(socket, "too many");
    }
    return [...surplus];
  }

  function forget(open: readonly OpenSocket[]): void {
    if (watched.size <= open.length) return;
    const there = new Set(open.map(({ descriptor }) => descriptor));
    for (const descriptor of watched.keys()) if (!there.has(descriptor)) watched.delete(descriptor);
  }

  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

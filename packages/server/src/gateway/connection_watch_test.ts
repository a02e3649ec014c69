/**
 * When a connection has to go: rules, with time as an argument.
 *
 * @module
 */
import assert from "node:assert/strict";
import { silentLog } from "../core/log.ts";
import { createClientAddresses } from "../ratelimit/client_address.ts";
import { createSeenRequests, type Now, type Verdict, verdictOf, watchConnections } from "./connection_watch.ts";
import type { OpenSocket } from "./sockets.ts";

const limits = {
  requestHeadMs: 10,
  idleConnectionMs: 100,
  stalledAnswerMs: 50,
  slowAnswerBytesPerSec: 100,
  connectionsPerAddressCount: 1,
  connectionsCount: 1,
};

Deno.test("a connection is kept while something is under way, and given its time for everything else", () => {
  const awaiting = { answeredMs: null, seenMs: 0, awaitedMs: 0, takenMs: 0, backlog: null, ackedBytes: 0n };
  const answered = { ...awaiting, answeredMs: 0, awaitedMs: null };
  const quiet = { isBusy: false, isEndless: false, hasUnsent: false };
  const busy = { ...quiet, isBusy: true };
  const pinging = { ...answered, answeredMs: 190 };
  const waiting = { ...busy, hasUnsent: true };
  const taking = (bytes: bigint) => ({
    ...answered,
    takenMs: 1_000,
    backlog: { sinceMs: 0, ackedBytes: 500n },
    ackedBytes: 500n + bytes,
  });
  const cases: [Parameters<typeof verdictOf>[0], Now, number, Verdict][] = [
    [awaiting, quiet, 10, "keep"],
    [awaiting, quiet, 11, "no request"],
    [awaiting, busy, 9_999, "keep"],
    [answered, quiet, 100, "keep"],
    [answered, quiet, 101, "idle"],
    [answered, busy, 9_999, "keep"],
    // Bytes go to and fro, and none of them are a request.
    [pinging, quiet, 200, "keep"],
    [pinging, quiet, 201, "idle"],
    [answered, waiting, 50, "keep"],
    [answered, waiting, 51, "stalled"],
    [taking(9n), waiting, 50, "keep"],
    [taking(99n), waiting, 1_000, "too slow"],
    [taking(100n), waiting, 1_000, "keep"],
    [taking(0n), { ...waiting, isEndless: true }, 1_000, "keep"],
  ];
  for (const [one, now, nowMs, verdict] of cases) assert.equal(verdictOf(one, now, { nowMs, limits }), verdict);
});

Deno.test("a network of IPv6 has one part of the connections, a proxy as many as it needs", async () => {
  const socket = (descriptor: number, address: string): OpenSocket => ({
    descriptor,
    address,
    peer: `${address} ${descriptor}`,
    ackedBytes: 0n,
    receivedBytes: 0n,
    unsentBytes: 0,
  });
  const open = [
    ...["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"].map((address, index) => socket(index, address)),
    ...[10, 11, 12].map((descriptor) => socket(descriptor, "10.0.0.1")),
  ];
  const ended = new Set<number>();
  const { promise: looked, resolve } = Promise.withResolvers<void>();
  const sockets = {
    list: () => open.filter(({ descriptor }) => !ended.has(descriptor)),
    shutDown: ({ descriptor }: OpenSocket) => void ended.add(descriptor),
    raiseOpenFiles() {},
  };
  using _watch = watchConnections(sockets, {
    port: 1,
    limits: { ...limits, connectionsCount: 100 },
    log: { ...silentLog, info: () => resolve() },
    now: () => 0,
    requests: createSeenRequests(),
    busyPeers: () => [],
    clientAddresses: createClientAddresses([{ address: "10.0.0.0", prefix: 8 }]),
  });
  await looked;
  assert.equal(ended.size, 2);
  for (const descriptor of ended) assert.ok(descriptor <= 2, `${descriptor}`);
});

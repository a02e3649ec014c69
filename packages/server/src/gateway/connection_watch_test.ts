/**
 * When a connection has to go: rules, with time as an argument.
 *
 * @module
 */
import assert from "node:assert/strict";
import { silentLog } from "../core/log.ts";
import { createClientAddresses } from "../ratelimit/client_address.ts";
import { type Verdict, verdictOf, watchConnections } from "./connection_watch.ts";
import type { OpenSocket } from "./sockets.ts";

const limits = {
  requestHeadMs: 10,
  idleConnectionMs: 100,
  stalledAnswerMs: 50,
  connectionsPerAddressCount: 1,
  connectionsCount: 1,
};

Deno.test("a connection is kept while something is under way, and given its time for everything else", () => {
  const awaiting = { answeredMs: null, awaitedMs: 0, takenMs: 0 };
  const answered = { answeredMs: 0, awaitedMs: null, takenMs: 0 };
  const cases: [Parameters<typeof verdictOf>[0], { isBusy: boolean; hasUnsent: boolean }, number, Verdict][] = [
    [awaiting, { isBusy: false, hasUnsent: false }, 10, "keep"],
    [awaiting, { isBusy: false, hasUnsent: false }, 11, "no request"],
    [awaiting, { isBusy: true, hasUnsent: false }, 9_999, "keep"],
    [answered, { isBusy: false, hasUnsent: false }, 100, "keep"],
    [answered, { isBusy: false, hasUnsent: false }, 101, "idle"],
    [answered, { isBusy: true, hasUnsent: false }, 9_999, "keep"],
    [answered, { isBusy: true, hasUnsent: true }, 50, "keep"],
    [answered, { isBusy: true, hasUnsent: true }, 51, "stalled"],
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
    busyPeers: () => new Set(),
    clientAddresses: createClientAddresses([{ address: "10.0.0.0", prefix: 8 }]),
  });
  await looked;
  assert.equal(ended.size, 2);
  for (const descriptor of ended) assert.ok(descriptor <= 2, `${descriptor}`);
});

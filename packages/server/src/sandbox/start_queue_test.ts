/**
 * Who starts next, on a clock that only the test moves.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createStartQueue } from "./start_queue.ts";

/** A pool that is nothing but counts: `needs` says who needs how many, `rooms` how many more may exist. */
function setUp({ atOnceCount = 2, rooms = Infinity } = {}) {
  const state = { nowMs: 0, rooms, readyCount: 0, spareCount: 0 };
  const needs = new Map<string, number>();
  const mayNotHaveMore = new Set<string>();
  const givesUp = new Set<string>();
  const begun: string[] = [];
  const running: { readonly key: string; readonly end: PromiseWithResolvers<void> }[] = [];
  const log: string[] = [];
  const got = (key: string) => needs.set(key, (needs.get(key) ?? 0) - 1);

  const queue = createStartQueue<string>({
    atOnceCount,
    now: () => state.nowMs,
    neededCount: (key) => needs.get(key) ?? 0,
    mayHaveMore: (key) => !mayNotHaveMore.has(key),
    takeReady(key) {
      if (state.readyCount === 0) return false;
      state.readyCount -= 1;
      got(key);
      log.push(`${key} takes`);
      return true;
    },
    makeRoom(key) {
      if (givesUp.has(key)) needs.set(key, 0);
      if (state.rooms === 0 || givesUp.has(key)) return false;
      state.rooms -= 1;
      log.push(`room for ${key}`);
      return true;
    },
    start(key) {
      got(key);
      begun.push(key);
      log.push(`${key} begins`);
      const end = Promise.withResolvers<void>();
      running.push({ key, end });
      return end.promise;
    },
    onSpare: () => void (state.spareCount += 1),
  });
  return {
    queue,
    state,
    begun,
    log,
    mayNotHaveMore,
    givesUp,
    need(key: string, count = 1) {
      needs.set(key, (needs.get(key) ?? 0) + count);
      queue.add(key);
    },
    giveUp: (key: string) => needs.set(key, 0),
    /** The start that began first is over. */
    async end({ afterMs = 50, error }: { afterMs?: number; error?: Error } = {}) {
      state.nowMs += afterMs;
      const first = running.shift();
      if (error === undefined) first?.end.resolve();
      else first?.end.reject(error);
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    },
  };
}

Deno.test("few start at once, and room is made for each when it begins and not before", async () => {
  const { need, end, begun, log } = setUp();
  for (const key of ["a", "b", "c", "d"]) need(key);
  assert.deepEqual(log, ["room for a", "a begins", "room for b", "b begins"]);
  await end();
  assert.deepEqual(log.slice(4), ["room for c", "c begins"]);
  await end();
  await end();
  assert.deepEqual(begun, ["a", "b", "c", "d"]);
  assert.equal(log.filter((line) => line.startsWith("room")).length, begun.length);
});

Deno.test("who needs many takes turns with the others", async () => {
  const { need, end, begun } = setUp({ atOnceCount: 1 });
  need("many", 4);
  need("one");
  need("two", 2);
  for (let count = 0; count < 7; count += 1) await end();
  assert.deepEqual(begun, ["many", "many", "one", "two", "many", "two", "many"]);
});

Deno.test("who needs nothing any more has no start, and no room is made for it", async () => {
  const { need, giveUp, end, begun, log } = setUp({ atOnceCount: 1 });
  for (const key of ["a", "b", "c"]) need(key);
  giveUp("b");
  await end();
  assert.deepEqual(begun, ["a", "c"]);
  assert.ok(!log.includes("room for b"));
});

Deno.test("without room nobody starts; a sandbox that is ready is taken all the same", async () => {
  const { need, state, queue, begun, log, end } = setUp({ rooms: 1 });
  for (const key of ["a", "b", "c"]) need(key);
  assert.deepEqual(begun, ["a"]);
  state.readyCount = 1;
  queue.advance();
  assert.deepEqual(log.at(-1), "b takes");
  await end();
  assert.deepEqual(begun, ["a"]);
  state.rooms = 1;
  queue.advance();
  assert.deepEqual(begun, ["a", "c"]);
});

Deno.test("who gives up for want of room holds up nobody", async () => {
  const { need, givesUp, begun, end } = setUp({ atOnceCount: 1 });
  givesUp.add("patient");
  for (const key of ["a", "patient", "b"]) need(key);
  await end();
  assert.deepEqual(begun, ["a", "b"]);
});

Deno.test("who has as many as it may have lets the others pass", () => {
  const { need, mayNotHaveMore, queue, begun } = setUp();
  mayNotHaveMore.add("greedy");
  need("greedy");
  need("modest");
  assert.deepEqual(begun, ["modest"]);
  mayNotHaveMore.clear();
  queue.advance();
  assert.deepEqual(begun, ["modest", "greedy"]);
});

Deno.test("after a start that failed there is a pause, longer each time, and none after one that worked", async () => {
  const { need, end, queue, state, begun } = setUp({ atOnceCount: 1 });
  need("a", 10);
  const pauses: number[] = [];
  for (let round = 0; round < 8; round += 1) {
    await end({ afterMs: 0, error: new Error("EAGAIN") });
    const [before, failedAtMs] = [begun.length, state.nowMs];
    assert.equal(queue.hasSlot, false);
    while (begun.length === before) {
      state.nowMs += 1;
      queue.tick();
    }
    pauses.push(state.nowMs - failedAtMs);
  }
  assert.deepEqual(pauses, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
  assert.equal(queue.failuresCount, 8);
  const before = begun.length;
  await end();
  assert.equal(queue.failuresCount, 0);
  assert.equal(begun.length, before + 1);
});

Deno.test("how long the line takes follows from how long starts take and who is in front", async () => {
  const { need, end, queue } = setUp({ atOnceCount: 2 });
  for (let round = 0; round < 200; round += 1) {
    need("warm-up");
    await end({ afterMs: 40 });
  }
  const alone = queue.expectedWaitMs("new", 1);
  assert.ok(alone > 15 && alone < 25, `${alone} ms`);
  for (let index = 0; index < 100; index += 1) need(`one-${index}`);
  need("isolated", 1_000);
  const last = queue.expectedWaitMs("new", 1);
  assert.ok(last > 1_900 && last < 2_200, `${last} ms`);
  // One that needs ten has ten turns; those who need one have one of them each.
  const ten = queue.expectedWaitMs("new", 10);
  assert.ok(ten > 2_200 && ten < 2_700, `${ten} ms`);
});

Deno.test("what nobody in line can use is offered, also while those in line have no use for it", () => {
  const { need, mayNotHaveMore, state, queue } = setUp();
  mayNotHaveMore.add("greedy");
  need("greedy");
  assert.equal(state.spareCount, 1);
  queue.advance();
  assert.equal(state.spareCount, 2);
});

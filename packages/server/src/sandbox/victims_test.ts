/**
 * Who gives way, on a clock that only the test moves.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createFunctionTallies, heatOf } from "./function_tallies.ts";
import { chooseVictims } from "./victims.ts";

const idle = (item: string, { heat = 1, idleSinceMs = 0, memoryMiB = 10 } = {}) => ({
  item,
  heat,
  idleSinceMs,
  memoryMiB,
});
const ONE = { sandboxesCount: 1, memoryMiB: 0 };

Deno.test("the one that is called least gives way; among equals the one that was idle longest", () => {
  assert.deepEqual(chooseVictims([idle("busy", { heat: 9 }), idle("rare"), idle("some", { heat: 3 })], ONE), ["rare"]);
  assert.deepEqual(chooseVictims([idle("late", { idleSinceMs: 7 }), idle("early", { idleSinceMs: 3 })], ONE), [
    "early",
  ]);
});

Deno.test("a blank one gives way only when nothing else is left", () => {
  const blank = idle("blank", { heat: Infinity });
  assert.deepEqual(chooseVictims([blank, idle("hot", { heat: 1e9 })], ONE), ["hot"]);
  assert.deepEqual(chooseVictims([blank, { ...blank, item: "older", idleSinceMs: -1 }], ONE), ["older"]);
});

Deno.test("as many as it takes, and none where all of them would not do", () => {
  const three = [idle("a"), idle("b", { heat: 2 }), idle("c", { heat: 3 })];
  assert.deepEqual(chooseVictims(three, { sandboxesCount: 1, memoryMiB: 15 }), ["a", "b"]);
  assert.deepEqual(chooseVictims(three, { sandboxesCount: 0, memoryMiB: 31 }), []);
  assert.deepEqual(chooseVictims([], ONE), []);
});

Deno.test("a scan of a thousand functions does not take the places of those that are called all the time", () => {
  let nowMs = 0;
  const tallies = createFunctionTallies(() => nowMs);
  const warm = new Map<string, number>();
  const evicted: string[] = [];
  function call(name: string) {
    tallies.of(name).callsCount += 1;
    if (!warm.has(name) && warm.size === 100) {
      const candidates = [...warm].map(([item, idleSinceMs]) => ({
        item,
        idleSinceMs,
        heat: heatOf(tallies.of(item)),
        memoryMiB: 10,
      }));
      for (const victim of chooseVictims(candidates, ONE)) {
        warm.delete(victim);
        evicted.push(victim);
      }
    }
    warm.set(name, nowMs);
  }
  for (let index = 0; index < 1_000; index += 1) {
    nowMs += 100;
    if (index % 5 === 0) tallies.cool();
    call(`scanned-${index}`);
    // Each of fifty is called once in ten seconds, which is less often than one of the scan comes by.
    if (index % 2 === 0) call(`busy-${index / 2 % 50}`);
  }
  const busyCount = evicted.filter((name) => name.startsWith("busy")).length;
  assert.ok(evicted.length > 900, `${evicted.length} ended`);
  assert.ok(busyCount <= 50, `${busyCount} of them were busy`);
  assert.equal([...warm.keys()].filter((name) => name.startsWith("busy")).length, 50);
});

Deno.test("a function that nobody calls any more is forgotten, and one that was called much later", () => {
  let nowMs = 0;
  const tallies = createFunctionTallies(() => nowMs);
  tallies.of("once").callsCount += 1;
  tallies.of("often").callsCount += 1_000;
  const forgotten = new Map<string, number>();
  while (forgotten.size < 2) {
    nowMs += 1_000;
    for (const { functionId } of tallies.cool()) forgotten.set(functionId, nowMs);
  }
  assert.ok((forgotten.get("once") ?? 0) > 60_000);
  assert.ok((forgotten.get("often") ?? 0) > (forgotten.get("once") ?? 0));
});

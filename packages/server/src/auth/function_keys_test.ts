/**
 * How long the key of a version is accepted after another one is live.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type ServedFunctions, watchFunctionKeys } from "./function_keys.ts";

Deno.test("a version that is not live any more keeps its key for two minutes", () => {
  let nowMs = 0;
  const served = { id: "f", enabled: true, liveVersion: 1, canary: null };
  let tell: Parameters<ServedFunctions["subscribe"]>[0] = () => {};
  const functions: ServedFunctions = {
    findById: (id) => id === "f" ? served : undefined,
    subscribe(listener) {
      tell = listener;
      return () => {};
    },
  };
  using keys = watchFunctionKeys(functions, { nowMs: () => nowMs, epochMs: () => nowMs });
  const accepted = () => [1, 2].map((version) => keys.isAccepted({ functionId: "f", version }));
  assert.deepEqual(accepted(), [true, false]);
  served.liveVersion = 2;
  tell({ before: { ...served, liveVersion: 1 } });
  nowMs = 120_000;
  assert.deepEqual(accepted(), [true, true]);
  nowMs += 1;
  assert.deepEqual(accepted(), [false, true]);
  assert.equal(keys.isAccepted({ functionId: "g", version: 1 }), false);
});

Deno.test("a version that is tried beside the live one has a key that is accepted", () => {
  let nowMs = 0;
  const split = { id: "f", enabled: true, liveVersion: 1, canary: { fn: { liveVersion: 2 } } };
  let served: ReturnType<ServedFunctions["findById"]> = split;
  let tell: Parameters<ServedFunctions["subscribe"]>[0] = () => {};
  const functions: ServedFunctions = {
    findById: () => served,
    subscribe(listener) {
      tell = listener;
      return () => {};
    },
  };
  using keys = watchFunctionKeys(functions, { nowMs: () => nowMs, epochMs: () => nowMs });
  const accepted = () => [1, 2, 3].map((version) => keys.isAccepted({ functionId: "f", version }));
  assert.deepEqual(accepted(), [true, true, false]);
  served = { ...split, canary: null };
  tell({ before: split });
  assert.deepEqual(accepted(), [true, true, false]);
  nowMs = 120_001;
  assert.deepEqual(accepted(), [true, false, false]);
});

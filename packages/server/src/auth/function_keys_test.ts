/**
 * How long the key of a version is accepted after another one is live.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type ServedFunctions, watchFunctionKeys } from "./function_keys.ts";

Deno.test("a version that is not live any more keeps its key for two minutes", () => {
  let nowMs = 0;
  const served = { enabled: true, liveVersion: 1 };
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
  tell({ before: { id: "f", liveVersion: 1 } });
  nowMs = 120_000;
  assert.deepEqual(accepted(), [true, true]);
  nowMs += 1;
  assert.deepEqual(accepted(), [false, true]);
  assert.equal(keys.isAccepted({ functionId: "g", version: 1 }), false);
});

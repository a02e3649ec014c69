/**
 * @module
 */
import assert from "node:assert/strict";
import { hogsAmong } from "./fair_share.ts";

const usage = (functionId: string, cpus: number, waitedCpus = 0) => ({ functionId, cpus, waitedCpus });

Deno.test("who takes more than its part while others want theirs is a hog", () => {
  assert.deepEqual(hogsAmong([usage("a", 1.9), usage("b", 0.1)], 2), new Set(["a"]));
  assert.deepEqual(hogsAmong([usage("a", 3.2), usage("b", 0.5), usage("c", 0.2)], 4), new Set(["a"]));
});

Deno.test("nobody is a hog alone, on a machine with room, or within its part", () => {
  assert.deepEqual(hogsAmong([usage("a", 2)], 2), new Set());
  assert.deepEqual(hogsAmong([usage("a", 2), usage("b", 0.01)], 2), new Set());
  assert.deepEqual(hogsAmong([usage("a", 1.2), usage("b", 0.1)], 8), new Set());
  assert.deepEqual(hogsAmong([usage("a", 1), usage("b", 1)], 2), new Set());
});

Deno.test("where other programs take processors, what functions got and waited for counts", () => {
  assert.deepEqual(hogsAmong([usage("a", 0.6, 3), usage("b", 0.05, 0.1)], 2), new Set(["a"]));
  assert.deepEqual(hogsAmong([usage("a", 0.6, 3), usage("b", 0, 0.9)], 2), new Set(["a"]));
  assert.deepEqual(hogsAmong([usage("a", 0.3, 1), usage("b", 0.3, 1)], 2), new Set());
});

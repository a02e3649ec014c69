/**
 * Rules of alerts do not flap.
 *
 * @module
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AlertStanding } from "../storage/alerts.ts";
import { measure } from "./alerts.ts";
import { decide } from "./decide.ts";

/** The changes that values lead to, one every 10 s. */
function changes(values: readonly (number | null)[], { threshold = 1, forSec = 30 } = {}): string[] {
  let standing: AlertStanding = { state: "ok", turningSince: null, changedAt: null, value: null };
  return values.flatMap((value, index) => {
    const { hasChanged, ...next } = decide({ ...standing, threshold, forSec }, value, new Date(index * 10_000));
    standing = next;
    return hasChanged ? [`${index} ${next.state}`] : [];
  });
}

test("an alert fires when it has been over for long enough, and is resolved the same way", () => {
  assert.deepEqual(changes([0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]), ["4 firing", "9 ok"]);
  assert.deepEqual(changes([0, 1, 1, 0, 1, 1, 0, 1, 1, 0]), [], "never long enough");
  assert.deepEqual(changes([1, 0, 1, 0], { forSec: 0 }), ["0 firing", "1 ok", "2 firing", "3 ok"]);
});

test("around the threshold nothing changes", () => {
  assert.deepEqual(changes([1, 1, 1, 1, 0.95, 1, 0.91, 0.95, 1.1, 0.95, 0.92, 0.95]), ["3 firing"]);
  assert.deepEqual(changes([1, 1, 1, 1, 0.5, 0.5, 1, 0.5, 0.5, 1, 0.5, 0.5]), ["3 firing"]);
  assert.deepEqual(changes([1, 1, 1, 1, 0.89, 0.89, 0.89, 0.89]), ["3 firing", "7 ok"]);
});

test("too few calls are not over", () => {
  assert.deepEqual(changes([null, null, 1, 1, 1, 1, null, null, null, null]), ["5 firing", "9 ok"]);
  const counts = { calls: 10, "s:success": 6, "s:killed": 3, "s:error": 1, "d:100": 9, "d:200": 1 };
  assert.equal(measure("error_ratio", counts, 10), 0.4);
  assert.equal(measure("error_ratio", counts, 11), null);
  assert.equal(measure("kills", counts, 11), 3);
  assert.ok((measure("p95_ms", counts, 1) ?? 0) > 1_000);
  assert.equal(measure("error_ratio", {}, 1), null);
});

/**
 * @module
 */
import assert from "node:assert/strict";
import { TokenBucket } from "./token_bucket.ts";

Deno.test("a bucket gives its burst at once, then its rate, and never more than its burst", () => {
  const bucket = new TokenBucket(0, { capacity: 10, refillPerSec: 100 });
  assert.equal(bucket.take(10, 0), true);
  assert.equal(bucket.take(1, 0), false);
  assert.equal(bucket.take(1, 10), true);
  assert.equal(bucket.take(1, 10), false);
  assert.equal(bucket.take(11, 1_000_000), false);
  assert.equal(bucket.take(10, 1_000_000), true);
});

Deno.test("a charge may go into debt and says how long it takes to pay", () => {
  const bucket = new TokenBucket(0, { capacity: 10, refillPerSec: 100 });
  assert.equal(bucket.charge(10, 0), 0);
  assert.equal(bucket.charge(5, 0), 50);
  assert.equal(bucket.take(1, 50), false);
  assert.equal(bucket.take(1, 60), true);
});

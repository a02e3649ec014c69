/**
 * The rules of reading what the database says, with reads that the test ends.
 *
 * @module
 */
import assert from "node:assert/strict";
import { eventually } from "../../test/support/platform.ts";
import { delay } from "../core/clock.ts";
import { silentLog } from "../core/log.ts";
import { type Changed, createFollower } from "./follower.ts";

/** Each read waits until it is told how it ends. */
function heldReads() {
  const reads: { changed: Changed; end(error?: Error): void }[] = [];
  let runningCount = 0;
  const follower = createFollower({
    what: "things",
    log: silentLog,
    async read(changed) {
      runningCount += 1;
      assert.equal(runningCount, 1, "reads never overlap");
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      reads.push({ changed, end: (error) => error === undefined ? resolve() : reject(error) });
      await promise.finally(() => runningCount -= 1);
    },
  });
  return { reads, follower };
}

Deno.test("what is told during a read is read after it, together and once", async () => {
  const { reads, follower } = heldReads();
  follower.wake("a");
  for (const id of ["b", "c", "b"]) follower.wake(id);
  assert.deepEqual(reads.map(({ changed }) => changed), [new Set(["a"])]);
  reads[0]?.end();
  await eventually(() => reads.length === 2);
  assert.deepEqual(reads[1]?.changed, new Set(["b", "c"]));
  reads[1]?.end();
  await follower.stop();
  assert.equal(reads.length, 2);
});

Deno.test("many names, a long one, or none at all mean everything", async () => {
  const { reads, follower } = heldReads();
  follower.wake("first");
  for (let index = 0; index < 100_000; index += 1) follower.wake(`id ${index}`);
  reads[0]?.end();
  await eventually(() => reads.length === 2);
  follower.wake("x".repeat(8_000));
  reads[1]?.end();
  await eventually(() => reads.length === 3);
  follower.wake();
  reads[2]?.end();
  await eventually(() => reads.length === 4);
  reads[3]?.end();
  await follower.stop();
  assert.deepEqual(reads.slice(1).map(({ changed }) => changed), ["all", "all", "all"]);
});

Deno.test("a refresh is over when a read is that began after it, and tells of its failure", async () => {
  const { reads, follower } = heldReads();
  follower.wake("a");
  let isOver = false;
  const refreshed = follower.refresh("b").then(() => isOver = true);
  reads[0]?.end();
  await eventually(() => reads.length === 2);
  assert.equal(isOver, false);
  reads[1]?.end();
  await refreshed;
  const failing = follower.refresh("c");
  await eventually(() => reads.length === 3);
  reads[2]?.end(new Error("the database is away"));
  await assert.rejects(failing, /away/);
  // What could not be read is tried again by itself.
  await eventually(() => reads.length === 4);
  assert.deepEqual(reads[3]?.changed, new Set(["c"]));
  const settled = follower.settled();
  reads[3]?.end();
  await settled;
  assert.equal(follower.settled(), undefined);
  await follower.stop();
});

Deno.test("after a slow read the next one does not wait for several times as long", async () => {
  const { reads, follower } = heldReads();
  follower.wake("slow");
  // Four times as long would be past the patience of the test.
  await delay(6_000);
  follower.wake("meanwhile");
  reads[0]?.end();
  await eventually(() => reads.length === 2);
  reads[1]?.end();
  await follower.stop();
});

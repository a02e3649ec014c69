import assert from "node:assert/strict";
import { createKeyedMutex } from "./keyed_mutex.ts";

Deno.test("works about one thing come one after the other, those about others do not wait", async () => {
  const mutex = createKeyedMutex();
  const said: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = mutex.run("a", async () => {
    await gate.promise;
    said.push("first");
  });
  const failing = mutex.run("a", () => Promise.reject(new Error("no")));
  const last = mutex.run("a", () => Promise.resolve(said.push("last")));
  await mutex.run("b", () => Promise.resolve(said.push("other")));
  gate.resolve();
  await assert.rejects(failing, /no/);
  await Promise.all([first, last]);
  assert.deepEqual(said, ["other", "first", "last"]);
});

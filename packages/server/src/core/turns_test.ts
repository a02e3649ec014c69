import assert from "node:assert/strict";
import { createTurns } from "./turns.ts";

Deno.test("works about one thing come one after the other, those about others do not wait", async () => {
  const turns = createTurns();
  const said: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = turns.take("a", async () => {
    await gate.promise;
    said.push("first");
  });
  const failing = turns.take("a", () => Promise.reject(new Error("no")));
  const last = turns.take("a", () => Promise.resolve(said.push("last")));
  await turns.take("b", () => Promise.resolve(said.push("other")));
  gate.resolve();
  await assert.rejects(failing, /no/);
  await Promise.all([first, last]);
  assert.deepEqual(said, ["other", "first", "last"]);
});

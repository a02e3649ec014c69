import assert from "node:assert/strict";
import { nearestOf, unknownField } from "./nearest.ts";

Deno.test("an unknown field is named with the known one that was probably meant", () => {
  const known = ["timeout", "memory", "namespace"];
  assert.equal(unknownField("timout", known), 'unknown field "timout"; did you mean "timeout"?');
  assert.equal(unknownField("Memory", known), 'unknown field "Memory"; did you mean "memory"?');
  assert.equal(unknownField("nothing_like_it", known), 'unknown field "nothing_like_it"');
  assert.equal(nearestOf("x".repeat(10_000), known), undefined);
});

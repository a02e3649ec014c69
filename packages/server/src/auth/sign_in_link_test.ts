import assert from "node:assert/strict";
import { createSignInLink, LINK_VALID_MS } from "./sign_in_link.ts";

Deno.test("a sign-in link is good once, in time, and only the last one that was made", () => {
  let nowMs = 0;
  const link = createSignInLink(() => nowMs);
  assert.equal(link.take(""), false);
  const first = link.make().reveal();
  const second = link.make().reveal();
  assert.notEqual(first, second);
  assert.equal(link.take(first), false, "another one was made since");
  assert.equal(link.take(`${second}a`), false);
  assert.equal(link.take(second), true, "a wrong one before does not use it up");
  assert.equal(link.take(second), false, "it is used up");
  const third = link.make().reveal();
  nowMs += LINK_VALID_MS;
  assert.equal(link.take(third), false, "it is over");
});

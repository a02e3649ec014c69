/**
 * Names that are accepted and refused.
 *
 * @module
 */
import assert from "node:assert/strict";
import { PlatformError } from "./errors.ts";
import { functionNameProblem, namespaceProblem, parseFunctionName, RESERVED_NAMES } from "./names.ts";

Deno.test("names of 1 to 63 letters, digits, hyphens and underscores are accepted", () => {
  for (const name of ["a", "A1", "hello-world", "a_b", "9", "x".repeat(63), "constructor"]) {
    assert.equal(functionNameProblem(name), undefined, name);
    assert.equal(namespaceProblem(name), undefined, name);
  }
});

Deno.test("anything else is refused with the name and the rule", () => {
  for (const name of ["", "-a", "_a", "a b", "a/b", "../x", "a.b", "ü", "x".repeat(64), "a\n", "__proto__"]) {
    assert.match(functionNameProblem(name) ?? "", /is no function name: it must be 1 to 63/, name);
    assert.match(namespaceProblem(name) ?? "", /is no namespace: it must be/, name);
  }
});

Deno.test("reserved names are refused for functions, one for namespaces, and a long name is shown cut", () => {
  for (const name of RESERVED_NAMES.filter((reserved) => reserved !== "_shared")) {
    assert.match(functionNameProblem(name) ?? "", /reserved/);
    assert.equal(namespaceProblem(name), name === "shared" ? '"shared" is no namespace: it is reserved' : undefined);
  }
  assert.throws(
    () => parseFunctionName("x".repeat(10_000)),
    (error: unknown) =>
      error instanceof PlatformError && error.code === "INVALID_ARGUMENT" && error.message.length < 300,
  );
});

/**
 * The lines of source around a failure.
 *
 * @module
 */
import assert from "node:assert/strict";
import { codeFrame } from "./code_frame.ts";

const SOURCE = "const a = 1;\nconst b = 2;\n\tthrow new Error(a);\r\nconst c = 3;\nconst d = 4;\nconst e = 5;\n";
const sourceOf = (file: string) => file === "index.ts" ? SOURCE : undefined;

Deno.test("the place in the first file that is the function's own", () => {
  const stack =
    "Error: at last\n    at deep (npm:pg@8.1.0/lib/a.js:1:2)\n    at async handler (index.ts:3:8)\n    at index.ts:1:1";
  assert.equal(
    codeFrame(stack, sourceOf),
    [
      "index.ts:3:8",
      "  1 | const a = 1;",
      "  2 | const b = 2;",
      "> 3 | \tthrow new Error(a);",
      "    | \t      ^",
      "  4 | const c = 3;",
      "  5 | const d = 4;",
    ].join("\n"),
  );
});

Deno.test("the first line, and the last", () => {
  assert.match(
    codeFrame("Error\n    at index.ts:1:1", sourceOf) ?? "",
    /^index\.ts:1:1\n> 1 \| const a = 1;\n {4}\| \^\n/,
  );
  assert.match(
    codeFrame("Error\n    at index.ts:6:7", sourceOf) ?? "",
    /\n> 6 \| const e = 5;\n {4}\| {7}\^\n {2}7 \|$/,
  );
});

Deno.test("no frame without a source; a place that does not exist shows no lines", () => {
  assert.equal(codeFrame("Error: x\n    at other.ts:1:1", sourceOf), undefined);
  assert.equal(codeFrame("Error: x", sourceOf), undefined);
  assert.equal(codeFrame("", sourceOf), undefined);
  assert.equal(codeFrame("Error\n    at index.ts:99:1", sourceOf), "index.ts:99:1");
  assert.equal(codeFrame("Error\n    at index.ts:0:0", sourceOf), "index.ts:0:0");
});

Deno.test("a line without end is shown where it matters, and no more of it", () => {
  const long = `${"a".repeat(50_000)}!${"b".repeat(50_000)}`;
  const frame = codeFrame("Error\n    at (index.ts:1:50001)", () => long) ?? "";
  assert.ok(frame.length < 500, String(frame.length));
  const [, row = "", mark = ""] = frame.split("\n");
  assert.equal(row[mark.indexOf("^")], "!");
});

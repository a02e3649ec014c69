import assert from "node:assert/strict";
import { test } from "node:test";
import { typeHandler } from "./typed_handler.ts";

test("a handler without types gets those that it has here", () => {
  const cases: readonly (readonly [path: string, source: string, typed: string])[] = [
    ["index.ts", "async function handler(req) {}", "async function handler(req: FluxbaseRequest) {}"],
    [
      "index.ts",
      "export default async (req, ctx) => 1",
      "export default async (req: FluxbaseRequest, ctx: FluxbaseContext) => 1",
    ],
    ["a.ts", "export default function (r) {}", "export default function (r: FluxbaseRequest) {}"],
    ["a.tsx", "const handler = async (req) => 1", "const handler = async (req: FluxbaseRequest) => 1"],
    ["a.js", "function handler(req) {}", "function handler(/** @type {FluxbaseRequest} */ req) {}"],
    ["a.ts", "function handler(req: Request) {}", "function handler(req: Request) {}"],
    ["a.ts", "export default async ({ body }) => body", "export default async ({ body }) => body"],
    ["a.ts", "const x = 1;\nfunction other(req) {}", "const x = 1;\nfunction other(req) {}"],
  ];
  for (const [path, source, typed] of cases) assert.equal(typeHandler(path, source).text, typed);
});

test("places go there and come back", () => {
  const source = "// one\nexport default async (req, ctx) => { return req.body; }\n";
  const { text, inward, outward } = typeHandler("index.ts", source);
  const [lines, shown] = [source.split("\n"), text.split("\n")];
  for (let line = 0; line < lines.length; line += 1) {
    for (let character = 0; character <= (lines[line]?.length ?? 0); character += 1) {
      const there = inward({ line, character });
      assert.equal(shown[there.line]?.[there.character - 1], lines[line]?.[character - 1], "behind the same character");
      assert.deepEqual(outward(there), { line, character });
    }
  }
});

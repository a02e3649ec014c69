/**
 * Builds in a real builder process: what is accepted, what is refused and where, and hostile source.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startTestBundler } from "../../test/support/runtime.ts";
import { type BuildResult, type Bundler } from "./bundler.ts";
import { blockedModuleOf } from "./blocked_modules.ts";

const HANDLER = "async function handler(req: Request) { return 1; }";

function bundlerTest(
  name: string,
  run: (build: (code: string) => Promise<BuildResult>, bundler: Bundler) => Promise<void>,
) {
  Deno.test(name, async () => {
    const denoDir = await Deno.makeTempDir();
    await Deno.chmod(denoDir, 0o755);
    try {
      await using bundler = await startTestBundler({ workDir: denoDir });
      const rest = { shared: {}, denoJson: {}, isPreBundled: false };
      await run((code) => bundler.build({ entry: "fn.ts", files: { "fn.ts": code }, ...rest }), bundler);
    } finally {
      await Deno.remove(denoDir, { recursive: true });
    }
  });
}

async function problemOf(result: Promise<BuildResult>) {
  const built = await result;
  assert.ok(!built.ok, "the source was accepted");
  const [problem] = built.problems;
  assert.ok(problem !== undefined);
  return problem;
}

bundlerTest("what is wrong is named with file, line, column and the line itself", async (build) => {
  assert.deepEqual(await problemOf(build(`// a\nconst a = ;\n`)), {
    message: "Unexpected token",
    file: "fn.ts",
    line: 2,
    column: 11,
    snippet: "const a = ;",
  });
  for (
    const code of [
      "",
      "export const x = 1;",
      "declare function handler(): void;",
      "type handler = 1;",
      "{ function handler() {} }",
    ]
  ) {
    assert.match((await problemOf(build(code))).message, /Cannot find a handler/, code);
  }
  const blocked = await problemOf(build(`${HANDLER}\nimport { readFile } from "node:fs/promises"; readFile;`));
  assert.match(blocked.message, /"node:fs\/promises": module fs is blocked/);
  assert.deepEqual([blocked.line, blocked.column], [2, 26]);
});

bundlerTest("hostile source is a problem of its own, and the next build works", async (build) => {
  for (const code of ["(".repeat(100_000), "[".repeat(100_000), `${"a?".repeat(50_000)}`, "`${".repeat(30_000)]) {
    const problem = await problemOf(build(code));
    assert.ok(problem.message.length < 1_000);
  }
  const large = `${HANDLER}\n${Array.from({ length: 60_000 }, (_, index) => `let a${index}=${index};`).join("\n")}`;
  assert.ok(large.length > 900_000);
  assert.ok((await build(large)).ok);
  const many = await Promise.all(Array.from({ length: 50 }, () => build(HANDLER)));
  assert.ok(many.every(({ ok }) => ok));
});

bundlerTest("a bundle over its limit is refused with its size", async (build) => {
  const problem = await problemOf(build(`${HANDLER} const x = "${"x".repeat(6_000_000)}";`));
  assert.match(problem.message, /it has 60\d{5} bytes, and at most 5242880 are allowed/);
});

Deno.test("blocked modules are seen through their spellings", () => {
  const spellings = [
    "fs",
    "node:fs",
    "fs/promises",
    "node:fs/promises",
    "npm:fs",
    "npm:/fs",
    "npm:fs@1.0.0",
    "NODE:FS",
    "npm:vm@^1/x",
    "child_process",
    "process",
    "node:process",
    "node:vm",
  ];
  for (const spelling of spellings) assert.ok(blockedModuleOf(spelling), spelling);
  for (const other of ["node:buffer", "npm:fs-extra", "./fs.ts", "fs2", "https://x/fs", "@scope/fs"]) {
    assert.equal(blockedModuleOf(other), undefined, other);
  }
});

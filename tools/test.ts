/**
 * Everything that must hold before a change is done: format, lint, types, our own checks, tests.
 *
 * `npm test` runs all of it; `npm test -- packages/server/test/calls_test.ts` only the tests given;
 * `npm test -- --changed` the checks and the tests near what changed since `main`, or since what follows.
 *
 * @module
 */
import { changedFiles, changedTests } from "./changed_tests.ts";
import { type Count, print, runTests, testFiles } from "./test_run.ts";

interface Check {
  readonly name: string;
  readonly args: readonly string[];
}

const CHECKS: readonly Check[] = [
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  { name: "types", args: ["check", "packages", "tools", "bench"] },
  { name: "layers", args: ["run", "-A", "tools/check_layers.ts"] },
  { name: "ids", args: ["run", "-A", "tools/check_ids.ts"] },
  { name: "unused", args: ["run", "-A", "node_modules/knip/bin/knip.js"] },
  { name: "links", args: ["run", "-A", "tools/check_links.ts"] },
  { name: "reference pages", args: ["run", "-A", "tools/references.ts", "--check"] },
];
const decoder = new TextDecoder();

async function runCheck({ name, args }: Check): Promise<boolean> {
  const started = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args] }).output();
  print(`check ${name} ... ${success ? "ok" : "FAILED"} (${Math.round(performance.now() - started)}ms)\n`);
  if (!success) print(decoder.decode(stdout) + decoder.decode(stderr));
  return success;
}

/** Tests in a browser: all of them have a script of their own, `npm test` has how one gets in, and the guide's walk. */
const BROWSER_TESTS = "packages/server/test/dashboard";
const WITHOUT_SCRIPT = [`${BROWSER_TESTS}/shell_test.ts`, `${BROWSER_TESTS}/guide_test.ts`];

async function shortSet(): Promise<string[]> {
  const all = await testFiles("packages");
  return all.filter((file) => !file.startsWith(`${BROWSER_TESTS}/`) || WITHOUT_SCRIPT.includes(file));
}

const [first, ...others] = Deno.args;
const total = await runAll();
print(`${total.passed} passed, ${total.failed} failed\n`);
Deno.exit(total.failed === 0 ? 0 : 1);

async function runAll(): Promise<Count> {
  if (first === "--browser") {
    return await runTests(await testFiles(BROWSER_TESTS), { env: { FLUXBASE_BROWSER_TESTS: "all" } });
  }
  if (first === "--changed") return await runChecked(await nearChange(others[0] ?? "main"));
  return Deno.args.length > 0 ? await runTests(Deno.args) : await runChecked(await shortSet());
}

/** Beside the tests: a check needs no more than one processor, and tests wait a lot. */
async function runChecked(files: readonly string[]): Promise<Count> {
  const [checks, tests] = await Promise.all([runChecks(), runTests(files)]);
  return { passed: checks.passed + tests.passed, failed: checks.failed + tests.failed };
}

async function runChecks(): Promise<Count> {
  const count: Count = { passed: 0, failed: 0 };
  for (const check of CHECKS) count[await runCheck(check) ? "passed" : "failed"] += 1;
  return count;
}

async function nearChange(base: string): Promise<string[]> {
  const changed = await changedFiles(base);
  const files = changedTests(await shortSet(), changed);
  print(`${changed.length} files changed since ${base}: ${files.length} files of tests are near them\n`);
  return files;
}

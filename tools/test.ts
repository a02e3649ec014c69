/**
 * Everything that must hold before a change is done: format, lint, types, our own checks, tests.
 *
 * `npm test` runs all of it; `npm test -- packages/server/test/calls_test.ts` only the tests given.
 *
 * @module
 */
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
  { name: "links", args: ["run", "-A", "tools/check_links.ts"] },
  { name: "settings reference", args: ["run", "-A", "tools/settings_reference.ts", "--check"] },
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

const inBrowser = Deno.args[0] === "--browser";
const files = inBrowser ? await testFiles(BROWSER_TESTS) : Deno.args;
const total: Count = { passed: 0, failed: 0 };
if (files.length === 0) {
  for (const check of CHECKS) total[await runCheck(check) ? "passed" : "failed"] += 1;
}
const { passed, failed } = await runTests(files.length > 0 ? files : await shortSet(), {
  env: inBrowser ? { FLUXBASE_BROWSER_TESTS: "all" } : {},
});
print(`${total.passed + passed} passed, ${total.failed + failed} failed\n`);
Deno.exit(total.failed + failed === 0 ? 0 : 1);

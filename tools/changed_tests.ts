/**
 * Chooses the tests that a change most likely breaks, for `npm test -- --changed`: a quick answer while one works.
 * Before a change is done, `npm test` runs everything.
 *
 * A test is chosen if it changed itself, if it imports what changed without starting the whole platform, or if it starts
 * the platform and its name shares a word with a changed file or its folder (`tasks/attempt.ts`, `tasks_test.ts`).
 *
 * @module
 */
import { dirname, join } from "node:path";
import { importsOf } from "./module_imports.ts";

/** Everything hangs on these: what they import says nothing about what a test is for. */
const WHOLE_PLATFORM = /packages\/server\/(test\/support\/|src\/(main|platform)\b)/;
/** Words that too many names have. */
const COMMON = new Set(["test", "route", "src", "server", "package", "index", "mod", "support", "storage"]);
const decoder = new TextDecoder();

/** Since the branch left `base`, with what is not committed yet. */
export async function changedFiles(base: string): Promise<string[]> {
  const start = (await git("merge-base", base, "HEAD")).trim();
  const tracked = await git("diff", "--name-only", start);
  const added = await git("ls-files", "--others", "--exclude-standard");
  return `${tracked}${added}`.split("\n").filter((path) => path !== "");
}

export function changedTests(tests: readonly string[], changed: readonly string[]): string[] {
  const paths = new Set(changed);
  const words = new Set(changed.filter((path) => path.includes("/src/")).flatMap(wordsOf));
  return tests.filter((test) => {
    if (paths.has(test)) return true;
    const { files, isWhole } = reachedFrom(test);
    if ([...files].some((file) => paths.has(file))) return true;
    return isWhole && wordsOf(test).some((word) => words.has(word));
  });
}

/** The files that a test needs, as far as they are not those of every test of the whole platform. */
function reachedFrom(test: string): { files: Set<string>; isWhole: boolean } {
  const files = new Set<string>();
  let isWhole = false;
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    for (const { specifier } of importsOf(file)) {
      if (!specifier.startsWith(".") || !/\.tsx?$/.test(specifier)) continue;
      const target = join(dirname(file), specifier);
      if (WHOLE_PLATFORM.test(target)) isWhole = true;
      else visit(target);
    }
  };
  visit(test);
  return { files, isWhole };
}

function wordsOf(path: string): string[] {
  return path.split(/[\/_.]/).map((word) => word.replace(/s$/, "")).filter((word) =>
    word.length > 2 && !COMMON.has(word)
  );
}

async function git(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", { args }).output();
  if (!success) throw new Error(`Cannot ask git what changed: ${decoder.decode(stderr).trim()}`);
  return decoder.decode(stdout);
}

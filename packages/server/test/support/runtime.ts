/**
 * A bundler with the files that its processes run, for tests of it alone.
 *
 * @module
 */
import { join } from "node:path";
import { type Bundler, type BundlerOptions, startBundler } from "../../src/bundler/bundler.ts";
import { provideRuntimeFiles } from "../../src/processes/runtime_files.ts";

/** `workDir` must be searchable by every user. */
export async function startTestBundler(options: Omit<BundlerOptions, "uid" | "runtime" | "now">): Promise<Bundler> {
  const uid = Deno.uid() === 0 ? 65_534 : null;
  const runtime = await provideRuntimeFiles(join(options.workDir, "runtime"), { uid });
  return await startBundler({ ...options, uid, runtime, now: () => performance.now() });
}

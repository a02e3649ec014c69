/**
 * A bundler that counts what it builds.
 *
 * @module
 */
import type { Bundler } from "./bundler.ts";

export interface BuildCounts {
  readonly succeededCount: number;
  readonly failedCount: number;
  readonly runningCount: number;
  /** Of all that are over, together. */
  readonly tookMs: number;
}

export interface CountedBundler extends Bundler {
  counts(): BuildCounts;
}

export function countBuilds(bundler: Bundler, now: () => number): CountedBundler {
  let succeededCount = 0;
  let failedCount = 0;
  let runningCount = 0;
  let tookMs = 0;
  return {
    async build(source) {
      const startedMs = now();
      runningCount += 1;
      let isBuilt = false;
      try {
        const result = await bundler.build(source);
        isBuilt = result.ok;
        return result;
      } finally {
        runningCount -= 1;
        tookMs += now() - startedMs;
        if (isBuilt) succeededCount += 1;
        else failedCount += 1;
      }
    },
    counts: () => ({ succeededCount, failedCount, runningCount, tookMs }),
    [Symbol.asyncDispose]: () => bundler[Symbol.asyncDispose](),
  };
}

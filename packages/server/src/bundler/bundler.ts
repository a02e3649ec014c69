/**
 * From a function's source to the one JavaScript module that a sandbox loads.
 *
 * Owns: how many builders run, limits of size and time, what a failed build says.
 * Does not own: parsing and transforming (./build_process.ts), storing (../deploy/).
 *
 * @module
 */
import { type BuildProblem, LIMITS } from "@fluxbase/contract";
import { type Builder, startBuilder } from "./builder.ts";

export interface BuildSource {
  /** A key of `files`. */
  readonly entry: string;
  readonly files: Readonly<Record<string, string>>;
}

export type BuildResult =
  | { readonly ok: true; readonly code: string }
  | { readonly ok: false; readonly problems: readonly BuildProblem[] };

export interface Bundler {
  /** Never throws for what is wrong with the source: that is a result. */
  build(source: BuildSource): Promise<BuildResult>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BundlerOptions {
  /** The builder's uid when the server runs as root. */
  readonly uid: number | null;
  readonly denoDir: string;
  readonly bundleMaxBytes?: number;
}

const BUILDERS_MAX_COUNT = 2;
const BUILD_MS = 10_000;

export function startBundler({ uid, denoDir, bundleMaxBytes = LIMITS.bundleBytes.default }: BundlerOptions): Bundler {
  const idle: Builder[] = [];
  const all = new Set<Builder>();
  const waiting: ((builder: Builder) => void)[] = [];

  async function build(source: BuildSource): Promise<BuildResult> {
    const builder = await take();
    try {
      const reply = await builder.build(source, BUILD_MS);
      if (reply === "too-slow") {
        return failed(
          source,
          `Cannot build the function: it took longer than ${BUILD_MS / 1000} s; make the source smaller or simpler`,
        );
      }
      if (reply === "died") {
        return failed(
          source,
          "Cannot build the function: the source is nested too deeply or needs too much memory to parse",
        );
      }
      if (!reply.ok) return reply;
      const bytes = new TextEncoder().encode(reply.code).length;
      if (bytes > bundleMaxBytes) {
        return failed(
          source,
          `Cannot use the bundle: it has ${bytes} bytes, and at most ${bundleMaxBytes} are allowed`,
        );
      }
      return { ok: true, code: `${reply.code}\n${reply.sourceMap}` };
    } finally {
      giveBack(builder);
    }
  }

  function take(): Builder | Promise<Builder> {
    const builder = idle.pop();
    if (builder?.isAlive) return builder;
    if (builder !== undefined) all.delete(builder);
    if (all.size < BUILDERS_MAX_COUNT) return start();
    return new Promise((resolve) => waiting.push(resolve));
  }

  function start(): Builder {
    const builder = startBuilder({ uid, denoDir });
    all.add(builder);
    return builder;
  }

  function giveBack(builder: Builder): void {
    if (!builder.isAlive) all.delete(builder);
    const next = waiting.shift();
    if (next !== undefined) next(builder.isAlive ? builder : start());
    else if (builder.isAlive) idle.push(builder);
  }

  return {
    build,
    async [Symbol.asyncDispose]() {
      await Promise.all([...all].map((builder) => builder.stop()));
    },
  };
}

function failed({ entry }: BuildSource, message: string): BuildResult {
  return { ok: false, problems: [{ message, file: entry, line: null, column: null, snippet: null }] };
}

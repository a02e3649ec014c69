/**
 * From a function's source to the one JavaScript module that a sandbox loads.
 *
 * Owns: how many builders and bundlings run, limits of size and time, what a failed build says.
 * Does not own: parsing (./build_process.ts), putting modules together (./bundling.ts), storing (../deploy/).
 *
 * @module
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildProblem, LIMITS } from "@fluxbase/contract";
import type { Annotation } from "./analysis.ts";
import { type Builder, startBuilder } from "./builder.ts";
import { type BundlingSettings, type DenoJson, runBundling } from "./bundling.ts";

export type { Annotation, DenoJson };

export interface BuildSource {
  /** A key of `files`. */
  readonly entry: string;
  /** The function's own files; those whose name ends in `.wasm` are base64. */
  readonly files: Readonly<Record<string, string>>;
  /** Shared modules in reach, by path, which begins with `_shared/`. */
  readonly shared: Readonly<Record<string, string>>;
  readonly denoJson: DenoJson;
  /** Already one file, to be used as it is. */
  readonly isPreBundled: boolean;
}

export type BuildResult =
  & { readonly annotations: readonly Annotation[] }
  & (
    | {
      readonly ok: true;
      readonly code: string;
      /** Paths of the shared modules in the bundle. */
      readonly shared: readonly string[];
      readonly usesDenoJson: boolean;
    }
    | {
      readonly ok: false;
      readonly problems: readonly BuildProblem[];
      /** Nothing is known of the source, its annotations neither. */
      readonly isUnread?: true;
    }
  );

export interface Bundler {
  /** Never throws for what is wrong with the source: that is a result. */
  build(source: BuildSource): Promise<BuildResult>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BundlerOptions {
  /** The uid of what builds, when the server runs as root. */
  readonly uid: number | null;
  readonly denoDir: string;
  /** For the folders of bundlings and the cache of packages. */
  readonly workDir: string;
  readonly bundleMaxBytes?: number;
  readonly importHosts?: readonly string[];
  readonly networkEnv?: Readonly<Record<string, string>>;
  readonly npmrc?: string | null;
  readonly bundlingMs?: number;
}

const BUILDERS_MAX_COUNT = 2;
const BUILD_MS = 10_000;
const BUNDLINGS_MAX_COUNT = Math.max(2, navigator.hardwareConcurrency);
/** The program that Deno bundles with, in the version that it asks for. */
const ESBUILD_FOLDER = "esbuild-0.25.5-1";
const SHARED_PREFIX = "_shared/";
const LEFTOVER_MS = 3_600_000;
/** Where the modules of a bundling's process lie. */
const BUNDLER_DIR = fileURLToPath(new URL(".", import.meta.url));
const RUNTIME_DIR = fileURLToPath(new URL("../../sandbox_runtime/", import.meta.url));

export function startBundler(options: BundlerOptions): Bundler {
  const { uid, denoDir, workDir, bundleMaxBytes = LIMITS.bundleBytes.default, importHosts = [] } = options;
  const builders = createPool<Builder>(BUILDERS_MAX_COUNT, {
    make: () => startBuilder({ uid, denoDir }),
    isUsable: ({ isAlive }) => isAlive,
  });
  const bundlings = createPool(BUNDLINGS_MAX_COUNT, { make: () => ({}), isUsable: () => true });
  const settings: BundlingSettings = {
    uid,
    workDir: join(workDir, "builds"),
    cacheDir: join(workDir, "packages"),
    hosts: importHosts,
    networkEnv: options.networkEnv ?? {},
    npmrc: options.npmrc ?? null,
    deadlineMs: options.bundlingMs ?? LIMITS.bundlingMs.default,
  };
  let isReady: Promise<void> | undefined;

  /** What failed is tried again with the next build. */
  function ready(): Promise<void> {
    return isReady ??= prepare(settings).catch((error) => {
      isReady = undefined;
      throw error;
    });
  }

  async function build(source: BuildSource): Promise<BuildResult> {
    const { entry, denoJson, ...rest } = source;
    const request = {
      ...rest,
      entry,
      imports: denoJson.imports ?? {},
      hosts: importHosts,
      hasJsxSettings: denoJson.compilerOptions?.["jsx"] !== undefined,
    };
    const reply = await builders.use((builder) => builder.build(request, BUILD_MS));
    if (reply === "too-slow") {
      return unread(
        entry,
        `Cannot build the function: it took longer than ${BUILD_MS / 1000} s; make the source smaller or simpler`,
      );
    }
    if (reply === "died") {
      return unread(
        entry,
        "Cannot build the function: the source is nested too deeply or needs too much memory to parse",
      );
    }
    const { annotations } = reply;
    if (reply.kind === "failed") return { ok: false, annotations, problems: reply.problems };
    if (reply.kind === "built") {
      const code = `${reply.code}\n${reply.sourceMap}`;
      return fits(reply.code, entry, annotations) ?? { ok: true, annotations, code, shared: [], usesDenoJson: false };
    }
    const files = Object.fromEntries(
      reply.files.filter((path) => path !== entry)
        .map((path) => [path, (path.startsWith(SHARED_PREFIX) ? source.shared[path] : source.files[path]) ?? ""]),
    );
    await ready();
    const bundled = await bundlings.use(() =>
      runBundling({ entry, entryCode: reply.entryCode, files, denoJson }, settings)
    );
    if (!bundled.ok) return { ok: false, annotations, problems: bundled.problems };
    const checked = await builders.use((builder) => builder.check({ moduleCode: bundled.code }, BUILD_MS));
    if (typeof checked === "string" || checked.syntaxError !== null) {
      const why = typeof checked === "string" ? "it is too large to read" : checked.syntaxError;
      return { ...failed(entry, `Cannot use the bundle: it is no JavaScript that runs here: ${why}`), annotations };
    }
    const map = new TextEncoder().encode(JSON.stringify(bundled.sourceMap)).toBase64();
    return fits(bundled.code, entry, annotations) ?? {
      ok: true,
      annotations,
      code: `${bundled.code}\n//# sourceMappingURL=data:application/json;base64,${map}\n`,
      shared: reply.files.filter((path) => path.startsWith(SHARED_PREFIX)),
      usesDenoJson: reply.usesImportMap || reply.files.some((path) => /\.[jt]sx$/.test(path)),
    };
  }

  function fits(code: string, entry: string, annotations: readonly Annotation[]): BuildResult | undefined {
    const bytes = new TextEncoder().encode(code).length;
    if (bytes <= bundleMaxBytes) return undefined;
    const message = `Cannot use the bundle: it has ${bytes} bytes, and at most ${bundleMaxBytes} are allowed`;
    return { ...failed(entry, message), annotations };
  }

  return {
    build,
    async [Symbol.asyncDispose]() {
      await Promise.all(builders.all().map((builder) => builder.stop()));
    },
  };
}

/** Folders, and the program that bundles, which npm has brought: nothing of it is fetched at the first use. */
async function prepare({ uid, workDir, cacheDir }: BundlingSettings): Promise<void> {
  const system = `${Deno.build.os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`;
  const programDir = join(cacheDir, "dl", ESBUILD_FOLDER);
  // Deno makes these while it still has the server's rights, and writes to them when it has lost them; where it cannot,
  // it tries for 150 ms.
  const caches = ["dl", "npm", "remote", "gen", "gen/file"].map((name) => join(cacheDir, name));
  const compiled = [BUNDLER_DIR, RUNTIME_DIR].flatMap(foldersTo).map((dir) => join(cacheDir, "gen/file", dir));
  for (const dir of [workDir, cacheDir, ...caches, ...compiled, programDir]) {
    await Deno.mkdir(dir, { recursive: true, mode: 0o711 });
    if (uid !== null) await Deno.chown(dir, uid, uid);
  }
  // What a server left behind that was killed while it built.
  for await (const { name } of Deno.readDir(workDir)) {
    const path = join(workDir, name);
    const { mtime } = await Deno.lstat(path).catch(() => ({ mtime: null }));
    if (mtime !== null && Date.now() - mtime.getTime() > LEFTOVER_MS) {
      await Deno.remove(path, { recursive: true }).catch(() => {});
    }
  }
  const program = join(programDir, `esbuild-${system}`);
  try {
    const brought = programOf(system);
    if (await sizeOf(program) === await sizeOf(brought)) return;
    // Renamed into its place, so that no other server ever finds half of it.
    const copy = `${program}.${crypto.randomUUID()}`;
    await Deno.copyFile(brought, copy);
    await Deno.chmod(copy, 0o755);
    await Deno.rename(copy, program);
  } catch {
    // Deno fetches the program from the registry then.
  }
}

/** Of the package that npm has brought for this system. */
function programOf(system: string): string {
  const esbuild = createRequire(import.meta.url).resolve("esbuild/package.json");
  return join(dirname(createRequire(esbuild).resolve(`@esbuild/${system}/package.json`)), "bin/esbuild");
}

/** `/a`, `/a/b`, `/a/b/c` of `/a/b/c`. */
function foldersTo(dir: string): string[] {
  const parts = dir.split("/").filter((part) => part !== "");
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).size;
  } catch {
    return undefined;
  }
}

interface Pool<T> {
  use<Result>(work: (one: T) => Promise<Result>): Promise<Result>;
  all(): T[];
}

/** At most `maxCount` things, made when needed; work waits for one that is free. */
function createPool<T>(
  maxCount: number,
  { make, isUsable }: { make: () => T; isUsable: (one: T) => boolean },
): Pool<T> {
  const idle: T[] = [];
  const all = new Set<T>();
  const waiting: ((one: T) => void)[] = [];

  function start(): T {
    const one = make();
    all.add(one);
    return one;
  }

  function take(): T | Promise<T> {
    const one = idle.pop();
    if (one !== undefined && isUsable(one)) return one;
    if (one !== undefined) all.delete(one);
    if (all.size < maxCount) return start();
    return new Promise((resolve) => waiting.push(resolve));
  }

  function giveBack(one: T): void {
    if (!isUsable(one)) all.delete(one);
    const next = waiting.shift();
    if (next !== undefined) next(isUsable(one) ? one : start());
    else if (isUsable(one)) idle.push(one);
  }

  return {
    async use(work) {
      const one = await take();
      try {
        return await work(one);
      } finally {
        giveBack(one);
      }
    },
    all: () => [...all],
  };
}

function unread(entry: string, message: string): BuildResult {
  return { ...failed(entry, message), isUnread: true };
}

function failed(entry: string, message: string): BuildResult & { readonly ok: false } {
  return {
    ok: false,
    annotations: [],
    problems: [{ message, file: entry, line: null, column: null, snippet: null }],
  };
}

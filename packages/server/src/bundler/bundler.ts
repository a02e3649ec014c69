/**
 * From a function's source to the one JavaScript module that a sandbox loads.
 *
 * Owns: how many builders and bundlings run, limits of size and time, what a failed build says.
 * Does not own: parsing (./build_process.ts), putting modules together (./bundling.ts), storing (../deploy/).
 *
 * @module
 */
import { join } from "node:path";
import { type BuildProblem, LIMITS } from "@fluxbase/contract";
import type { Annotation } from "./analysis.ts";
import { type Builder, startBuilder } from "./builder.ts";
import { esbuildProgram, SYSTEM } from "../processes/esbuild_program.ts";
import { commonRights } from "../processes/file_rights.ts";
import { startRenewedSpawner } from "../processes/renewed_spawner.ts";
import type { RuntimeFiles } from "../processes/runtime_files.ts";
import { sharedFilesOf, type StaticFiles, staticFilesComment, staticFilesOf } from "./static_files.ts";
import { bundlingRights, type BundlingSettings, type DenoJson, runBundling } from "./bundling.ts";
import { addToImportMap, type Redirect } from "./import_map.ts";
import { type Mirror, mirrored, mirroredHosts, mirrorHosts } from "./mirrors.ts";

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
  readonly runtime: RuntimeFiles;
  /** For the folders of bundlings and the cache of packages. */
  readonly workDir: string;
  readonly bundleMaxBytes?: number;
  readonly importHosts?: readonly string[];
  readonly importMirrors?: readonly Mirror[];
  readonly networkEnv?: Readonly<Record<string, string>>;
  readonly npmrc?: string | null;
  readonly bundlingMs?: number;
  now(): number;
}

const BUILDERS_MAX_COUNT = 2;
const BUILD_MS = 10_000;
const BUNDLINGS_MAX_COUNT = Math.max(2, navigator.hardwareConcurrency);
/** The program that Deno bundles with, in the version that it asks for. */
const ESBUILD_FOLDER = "esbuild-0.25.5-1";
const SHARED_PREFIX = "_shared/";
/** What changes how a source without imports is compiled. */
const DECORATOR_OPTIONS = ["experimentalDecorators", "emitDecoratorMetadata"];
const LARGEST_COUNT = 4;
const LEFTOVER_MS = 3_600_000;

/** What builds have fetched. */
export function packagesDir(workDir: string): string {
  return join(workDir, "packages");
}

export async function startBundler(options: BundlerOptions): Promise<Bundler> {
  const { uid, runtime, now, bundleMaxBytes = LIMITS.bundleBytes.default, importMirrors: mirrors = [] } = options;
  const hosts = [...options.importHosts ?? [], ...mirrorHosts(mirrors)];
  const networkEnv = options.networkEnv ?? {};
  const [workDir, cacheDir] = [join(options.workDir, "builds"), packagesDir(options.workDir)];
  await prepare({ uid, workDir, cacheDir });
  const spawners = await Promise.all([
    startRenewedSpawner(() => commonRights(runtime.paths, runtime.deno), { now }),
    startRenewedSpawner(() => bundlingRights({ workDir, cacheDir, networkEnv, runtime }), { now }),
  ]);
  const builders = createPool<Builder>(BUILDERS_MAX_COUNT, {
    make: () => startBuilder({ uid, files: runtime, spawner: spawners[0] }),
    isUsable: ({ isAlive }) => isAlive,
  });
  const bundlings = createPool(BUNDLINGS_MAX_COUNT, { make: () => Promise.resolve({}), isUsable: () => true });
  const settings: BundlingSettings = {
    uid,
    spawner: spawners[1],
    runtime,
    workDir,
    cacheDir,
    hosts,
    mirrors,
    networkEnv,
    npmrc: options.npmrc ?? null,
    deadlineMs: options.bundlingMs ?? LIMITS.bundlingMs.default,
  };

  async function build(source: BuildSource): Promise<BuildResult> {
    const { entry, denoJson, ...rest } = source;
    const request = {
      ...rest,
      entry,
      importMap: denoJson,
      mirrors,
      hosts,
      hasJsxSettings: denoJson.compilerOptions?.["jsx"] !== undefined,
      hasDecoratorSettings: DECORATOR_OPTIONS.some((name) => denoJson.compilerOptions?.[name] === true),
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
    const own: StaticFiles = source.isPreBundled ? {} : staticFilesOf(source.files);
    if (reply.kind === "built") {
      const whole = `${reply.code}${staticFilesComment(own)}`;
      const code = `${whole}\n${reply.sourceMap}`;
      return fits(whole, entry, annotations) ?? { ok: true, annotations, code, shared: [], usesDenoJson: false };
    }
    const paths = Object.keys(reply.files);
    const files = Object.fromEntries(
      paths.filter((path) => path !== entry).map((path) => [path, reply.files[path] ?? textOf(source, path)]),
    );
    const redirects = [...mirroredHosts(mirrors), ...reply.redirects, ...jsxRedirects(denoJson, mirrors)];
    const bundled = await bundlings.use(() =>
      runBundling(
        { entry, entryCode: reply.entryCode, files, denoJson: { ...denoJson, ...addToImportMap(denoJson, redirects) } },
        settings,
      )
    );
    if (!bundled.ok) return { ok: false, annotations, problems: bundled.problems };
    const checked = await builders.use((builder) => builder.check({ moduleCode: bundled.code }, BUILD_MS));
    if (typeof checked === "string" || checked.syntaxError !== null) {
      const why = typeof checked === "string" ? "it is too large to read" : checked.syntaxError;
      return { ...failed(entry, `Cannot use the bundle: it is no JavaScript that runs here: ${why}`), annotations };
    }
    const map = new TextEncoder().encode(JSON.stringify(bundled.sourceMap)).toBase64();
    const shared = sharedFilesOf(source.shared, [reply.entryCode, ...Object.values(files)]);
    const whole = `${bundled.code}${staticFilesComment({ ...bundled.files, ...shared, ...own })}`;
    return fits(whole, entry, annotations, bundled.sizes) ?? {
      ok: true,
      annotations,
      code: `${whole}\n//# sourceMappingURL=data:application/json;base64,${map}\n`,
      shared: [...new Set([...paths.filter((path) => path.startsWith(SHARED_PREFIX)), ...Object.keys(shared)])],
      usesDenoJson: reply.usesImportMap || request.hasDecoratorSettings ||
        paths.some((path) => /\.[jt]sx$/.test(path)),
    };
  }

  function fits(
    code: string,
    entry: string,
    annotations: readonly Annotation[],
    sizes: ReadonlyMap<string, number> = new Map(),
  ): BuildResult | undefined {
    const bytes = new TextEncoder().encode(code).length;
    if (bytes <= bundleMaxBytes) return undefined;
    const message = `Cannot use the bundle: it has ${bytes} bytes, and at most ${bundleMaxBytes} are allowed${
      largestOf(sizes)
    }; import less, or have an operator raise FLUXBASE_LIMITS_BUNDLE_BYTES`;
    return { ...failed(entry, message), annotations };
  }

  return {
    build,
    async [Symbol.asyncDispose]() {
      await Promise.all(builders.all().map((builder) => builder.stop()));
      for (const spawner of spawners) spawner.end();
    },
  };
}

/** Folders, and the program that bundles, which npm has brought: nothing of it is fetched at the first use. */
async function prepare(
  { uid, workDir, cacheDir }: Pick<BundlingSettings, "uid" | "workDir" | "cacheDir">,
): Promise<void> {
  const programDir = join(cacheDir, "dl", ESBUILD_FOLDER);
  const caches = ["dl", "npm", "remote", "gen"].map((name) => join(cacheDir, name));
  for (const dir of [workDir, cacheDir, ...caches, programDir]) {
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
  const program = join(programDir, `esbuild-${SYSTEM}`);
  try {
    const brought = esbuildProgram();
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

function textOf({ files, shared }: BuildSource, path: string): string {
  return (path.startsWith(SHARED_PREFIX) ? shared[path] : files[path]) ?? "";
}

/** What JSX imports where only `deno.json` says so. */
function jsxRedirects({ compilerOptions }: DenoJson, mirrors: readonly Mirror[]): Redirect[] {
  const source = compilerOptions?.["jsxImportSource"];
  if (typeof source !== "string") return [];
  return ["jsx-runtime", "jsx-dev-runtime"].flatMap((name) => {
    const specifier = `${source}/${name}`;
    const to = mirrored(specifier, { mirrors, names: undefined });
    return to === specifier ? [] : [{ scope: undefined, specifier, to }];
  });
}

/** What a bundle owes its size to. */
function largestOf(sizes: ReadonlyMap<string, number>): string {
  const largest = [...sizes].sort(([, a], [, b]) => b - a).slice(0, LARGEST_COUNT)
    .map(([name, size]) => `${name} ${Math.ceil(size / 1024)} KB`);
  return largest.length === 0 ? "" : `, mostly ${largest.join(", ")}`;
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
  { make, isUsable }: { make: () => Promise<T>; isUsable: (one: T) => boolean },
): Pool<T> {
  const idle: T[] = [];
  const all = new Set<T>();
  const waiting: ((one: T | Promise<T>) => void)[] = [];
  let startingCount = 0;

  async function start(): Promise<T> {
    startingCount += 1;
    try {
      const one = await make();
      all.add(one);
      return one;
    } catch (error) {
      // Whoever waits behind it tries for himself.
      waiting.shift()?.(start());
      throw error;
    } finally {
      startingCount -= 1;
    }
  }

  function take(): T | Promise<T> {
    const one = idle.pop();
    if (one !== undefined && isUsable(one)) return one;
    if (one !== undefined) all.delete(one);
    if (all.size + startingCount < maxCount) return start();
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

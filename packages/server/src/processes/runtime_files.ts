/**
 * The few files that confined processes need of the server: Deno, one module for each kind of process, and the parser.
 * They lie where an unprivileged user can read them and nobody but the server's user can write them.
 *
 * @module
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { StartError } from "../storage/start_error.ts";
import { esbuildProgram } from "./esbuild_program.ts";
import { isReachable } from "../storage/embedded/run_as.ts";

/** The main modules of confined processes, by the name of their file. */
const MODULES = {
  sandbox: "../../sandbox_runtime/bootstrap",
  builder: "../bundler/build_process",
  bundling: "../bundler/bundle_process",
  language: "../language/language_process",
} as const;
/** With native code: they cannot be part of one file. */
const PACKAGES = ["oxc-parser", "oxc-transform"];

export interface RuntimeFiles {
  readonly deno: string;
  readonly sandbox: string;
  readonly builder: string;
  readonly bundling: string;
  readonly language: string;
  /** All of them, and what they import. */
  readonly paths: readonly string[];
}

/** @param uid of the processes; null: that of the server */
export async function provideRuntimeFiles(
  dir: string,
  { uid }: { readonly uid: number | null },
): Promise<RuntimeFiles> {
  await Deno.mkdir(join(dir, "node_modules"), { recursive: true, mode: 0o755 });
  const mainModules = await bundleMainModules(dir);
  const packages = await Promise.all(PACKAGES.map((name) => providePackage(name, join(dir, "node_modules"), uid)));
  const deno = await provideFile(Deno.execPath(), join(dir, "deno"), uid);
  return { deno, ...mainModules, paths: [dir, deno, ...packages.flat()] };
}

type MainModules = Record<keyof typeof MODULES, string>;

/** One file each, so that nothing else of the server has to be in reach. */
async function bundleMainModules(dir: string): Promise<MainModules> {
  const entries = Object.entries(MODULES).map(([name, path]) => [name, entryOf(path)] as const);
  const { success, stderr } = await new Deno.Command(esbuildProgram(), {
    args: [
      ...entries.map(([name, path]) => `${join("sandbox_runtime", name)}=${path}`),
      "--bundle",
      "--format=esm",
      "--platform=node",
      "--target=esnext",
      "--minify",
      "--keep-names",
      "--log-level=error",
      // V8 compiles everything when it loads the file: once for a zygote, and not again in each of its copies.
      "--banner:js=//# allFunctionsCalledOnLoad",
      ...PACKAGES.map((name) => `--external:${name}`),
      `--outdir=${dir}`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new StartError(`Cannot prepare the sandboxes: ${new TextDecoder().decode(stderr).trim()}`);
  const files = entries.map(([name]) => [name, join(dir, "sandbox_runtime", `${name}.js`)]);
  return Object.fromEntries(files) as MainModules;
}

/** In the repository the source, in a package what was made of it. */
function entryOf(path: string): string {
  const ending = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  return fileURLToPath(new URL(`${path}${ending}`, import.meta.url));
}

const FOR_ALL = 0o005;

/** Where others can reach it already, it is used there. */
export async function provideFile(path: string, copy: string, uid: number | null): Promise<string> {
  const { mode } = await Deno.stat(path);
  const isForAll = ((mode ?? 0) & FOR_ALL) === FOR_ALL;
  if (isForAll && await isReachable(path, { uid, gid: uid })) return path;
  // A second name of a file has its rights too: one that is not for all stays so, and a copy is opened.
  const isLinked = isForAll && await Deno.link(path, copy).then(() => true, () => false);
  if (isLinked) return copy;
  await Deno.copyFile(path, copy);
  await Deno.chmod(copy, 0o755);
  return copy;
}

/** Puts a package and what it needs below `nodeModules`. Returns where they really are. */
async function providePackage(name: string, nodeModules: string, uid: number | null): Promise<string[]> {
  const found = packageDir(name, import.meta.url);
  const paths: string[] = [];
  for (const [packageName, dir] of [[name, found] as const, ...await bindingsOf(found)]) {
    const place = join(nodeModules, packageName);
    await Deno.mkdir(dirname(place), { recursive: true, mode: 0o755 });
    if (await isReachable(dir, { uid, gid: uid })) {
      await Deno.symlink(dir, place).catch(ignoreExisting);
      paths.push(await Deno.realPath(dir));
    } else {
      await copyTree(dir, place);
    }
  }
  return paths;
}

/** The native part of a package, which npm has chosen among its optional dependencies. */
async function bindingsOf(dir: string): Promise<[name: string, dir: string][]> {
  const { optionalDependencies = {} } = JSON.parse(await Deno.readTextFile(join(dir, "package.json")));
  return Object.keys(optionalDependencies).flatMap((name): [string, string][] => {
    try {
      return [[name, packageDir(name, join(dir, "package.json"))]];
    } catch {
      return [];
    }
  });
}

function packageDir(name: string, from: string): string {
  return dirname(createRequire(from).resolve(`${name}/package.json`));
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true, mode: 0o755 });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyTree(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
}

/**
 * One bundling, seen from the server: makes the folder, runs the process, reads what it says.
 *
 * Owns: the folder and its `deno.json`, the process and its bounds, errors in words that help.
 * Does not own: which files belong to the function (./module_graph.ts), how many run at once (./bundler.ts).
 *
 * @module
 */
import { join, posix, relative, resolve } from "node:path";
import { BESIDE_PREFIX, type BuildProblem } from "@fluxbase/contract";
import type { FileRights } from "../../sandbox_runtime/landlock.ts";
import { delay } from "../core/clock.ts";
import type { Spawner } from "../processes/confined_process.ts";
import { CERTIFICATES, commonRights, joinRights } from "../processes/file_rights.ts";
import type { RuntimeFiles } from "../processes/runtime_files.ts";
import type { ImportUse } from "./analysis.ts";
import { createFolder } from "./folder.ts";
import type { ImportMap } from "./import_map.ts";
import { jsrUrl, type Mirror, OWN_MODULE_SOURCES, OWN_MODULES_FOLDER } from "./mirrors.ts";
import type { BundlingMessage, BundlingOptions, BundlingReply } from "./bundle_process.ts";
import { nativeProblem } from "./native_packages.ts";
import { packageName } from "./package_name.ts";
import { problemAt } from "./problem_at.ts";
import { placeModules } from "./module_places.ts";
import { packageFiles } from "./package_files.ts";
import type { StaticFiles } from "./static_files.ts";
import { SDK_NAMES } from "./package_name.ts";
import { readSdkSource } from "./sdk_source.ts";
import { shownSources } from "./shown_sources.ts";

export interface BundlingSettings {
  /** The process's uid when the server runs as root. */
  readonly uid: number | null;
  /** Starts it where there are no files but those that `bundlingRights` names. */
  readonly spawner: Pick<Spawner, "start">;
  readonly runtime: RuntimeFiles;
  /** Folders of bundlings are made in it. */
  readonly workDir: string;
  /** Where packages are kept, and the program that bundles; writable by `uid`. */
  readonly cacheDir: string;
  /** Hosts from which modules may come. */
  readonly hosts: readonly string[];
  readonly mirrors: readonly Mirror[];
  /** Registry, proxy and certificates, as the server has them. */
  readonly networkEnv: Readonly<Record<string, string>>;
  /** The text of an .npmrc, or null. */
  readonly npmrc: string | null;
  readonly deadlineMs: number;
}

export interface BundlingInput {
  readonly entry: string;
  readonly entryCode: string;
  /** Without the entry, by path. */
  readonly files: Readonly<Record<string, string>>;
  /** The parts of `deno.json` that count for a build. */
  readonly denoJson: DenoJson;
}

export interface DenoJson extends ImportMap {
  readonly compilerOptions?: Readonly<Record<string, unknown>>;
}

export type BundlingResult =
  | {
    readonly ok: true;
    readonly code: string;
    readonly sourceMap: SourceMap;
    /** That packages read. */
    readonly files: StaticFiles;
    /** Of the code, in characters, by package. */
    readonly sizes: ReadonlyMap<string, number>;
  }
  | { readonly ok: false; readonly problems: readonly BuildProblem[] };

interface SourceMap {
  readonly version: number;
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly (string | null)[];
  readonly names: readonly string[];
  readonly mappings: string;
}

export const SHARED_FOLDER = "_shared";
export const SDK_FOLDER = "_sdk";
/** Own files of a function: beside the shared ones, and with a link to them, so that both ways to them work. */
export const OWN_FOLDER = "own";
const MEMORY_BYTES = 2 * 1024 * 1024 * 1024;
const CERTIFICATE_FILES = ["DENO_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"];
const PROBLEMS_MAX_COUNT = 5;
/** Name, version and the path from there. */
const PACKAGE_PATH = /\/npm\/[^/]+\/((?:@[^/]+\/)?[^/@]+)\/([^/]+?)(?:_\d+)?\/(.+)$/;
/** The folder in the cache, and the name. */
const PACKAGE_FOLDERS = /\/npm\/([^/\s"']+\/((?:@[^/\s"']+\/)?[^/@\s"']+)\/\d[^/\s"']*)\//g;
/** The folder of the package, its name, its version, and the path from there. */
const CACHED_FILE = /^\/npm\/([^/]+\/((?:@[^/]+\/)?[^/]+)\/([^/]+))\/(.+)$/;
/** What is neither a file of the function nor of a package. */
const OTHER_SOURCE = /^(?!deno:own\/)\w+:|^\.\.\/|^_sdk\/|^_built_in\//;
const FOREIGN_FILE = "Cannot bundle the function: it leads to a file outside the function";
const OUTPUT_MAX_BYTES = 256 * 1024 * 1024;
const ERRORS_MAX_BYTES = 1024 * 1024;

export type BundlingPlaces = Pick<BundlingSettings, "workDir" | "cacheDir" | "networkEnv" | "runtime">;

/** Of all bundlings; each then gives up the folders of the others. */
export function bundlingRights({ workDir, cacheDir, networkEnv, runtime }: BundlingPlaces): FileRights {
  return joinRights(commonRights(runtime.paths, runtime.deno), {
    read: [workDir, ...certificatesOf(networkEnv)],
    write: [cacheDir, workDir],
    execute: [join(cacheDir, "dl")],
  });
}

export async function runBundling(input: BundlingInput, settings: BundlingSettings): Promise<BundlingResult> {
  const dir = join(settings.workDir, crypto.randomUUID());
  try {
    await writeFolder(dir, input, settings);
    const reply = await runProcess(dir, input, settings);
    if (typeof reply === "string") return { ok: false, problems: [problem(input.entry, reply)] };
    const native = await nativeProblems(reply, input, settings);
    if (native.length > 0) return { ok: false, problems: native };
    if (!reply.ok) return { ok: false, problems: explainAll(reply.messages, dir, input) };
    const needed = reply.missing.filter((name) => isImported(reply.code, name));
    if (needed.length > 0) return { ok: false, problems: needed.map((name) => problem(input.entry, notThere(name))) };
    if (holdsForeignFile(reply.code, join(dir, "code"), settings)) {
      return { ok: false, problems: [problem(input.entry, FOREIGN_FILE)] };
    }
    return { ok: true, ...await splitMap(reply.code, dir, settings) };
  } finally {
    await Deno.remove(dir, { recursive: true }).catch(() => {});
  }
}

/** From the folder of the build, which stands for the functions folder. */
export function placeOf(path: string): string {
  return path.startsWith(`${SHARED_FOLDER}/`) ? path : posix.join(OWN_FOLDER, path);
}

async function writeFolder(dir: string, input: BundlingInput, { uid, npmrc }: BundlingSettings): Promise<void> {
  const { imports = {}, scopes, compilerOptions } = input.denoJson;
  const sdk = usesSdk(input) ? await readSdkSource() : undefined;
  const denoJson = {
    imports: {
      ...imports,
      // Whatever editors are told: here it is the server's own, which fits it.
      ...(sdk === undefined ? {} : Object.fromEntries(SDK_NAMES.map((name) => [name, `./${SDK_FOLDER}/${sdk.entry}`]))),
      [`${SHARED_FOLDER}/`]: `./${SHARED_FOLDER}/`,
    },
    ...(scopes === undefined ? {} : { scopes }),
    nodeModulesDir: "none",
    unstable: ["bare-node-builtins", "raw-imports"],
    ...(compilerOptions === undefined ? {} : { compilerOptions }),
  };
  const folder = createFolder(dir, uid);
  await folder.write("code/deno.json", JSON.stringify(denoJson));
  await folder.write(`code/${placeOf(input.entry)}`, input.entryCode);
  for (const [path, text] of Object.entries(input.files)) await folder.write(`code/${placeOf(path)}`, text);
  for (const [path, text] of Object.entries(sdk?.files ?? {})) await folder.write(`code/${SDK_FOLDER}/${path}`, text);
  for (const [path, text] of Object.entries(OWN_MODULE_SOURCES)) {
    await folder.write(`code/${OWN_MODULES_FOLDER}/${path}`, text);
  }
  await folder.make("lock");
  await Deno.symlink(`../${SHARED_FOLDER}`, join(dir, `code/${OWN_FOLDER}/${SHARED_FOLDER}`));
  // Its tokens must not lie where an import can reach.
  await folder.write("home/.npmrc", npmrc ?? "");
  await folder.handOver();
}

/** Whether its name stands anywhere in the sources: then it lies ready, and what does not import it is not bundled. */
function usesSdk({ entryCode, files }: BundlingInput): boolean {
  return [entryCode, ...Object.values(files)].some((text) => SDK_NAMES.some((name) => text.includes(name)));
}

/** A text is a sentence about why there is no reply. */
async function runProcess(
  dir: string,
  { entry }: BundlingInput,
  { uid, spawner, runtime, cacheDir, hosts, mirrors, networkEnv, deadlineMs }: BundlingSettings,
): Promise<BundlingReply | string> {
  const code = join(dir, "code");
  const jsr = jsrUrl(mirrors);
  const options: BundlingOptions = {
    uid,
    parentPid: Deno.pid,
    memoryBytes: MEMORY_BYTES,
    entryPath: `./${placeOf(entry)}`,
    files: joinRights(commonRights(runtime.paths, runtime.deno), {
      read: [code, join(dir, "home"), ...certificatesOf(networkEnv)],
      write: [cacheDir, join(dir, "lock")],
      execute: [join(cacheDir, "dl")],
    }),
  };
  const child = await spawner.start({
    program: runtime.deno,
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--lock=../lock/deno.lock",
      "--no-code-cache",
      "--config",
      join(code, "deno.json"),
      "--unstable-bundle",
      "--unstable-raw-imports",
      "--unstable-bare-node-builtins",
      // From where it is started: a path with a comma would be two.
      `--allow-read=.,${relative(code, cacheDir)}`,
      hosts.length === 0
        ? "--deny-import"
        : `--allow-import=${hosts.map((host) => /:\d+$/.test(host) ? host : `${host}:443`).join(",")}`,
      "--allow-ffi",
      "--allow-env",
      runtime.bundling,
      JSON.stringify(options),
    ],
    env: {
      ...networkEnv,
      ...(jsr === undefined ? {} : { JSR_URL: jsr }),
      HOME: join(dir, "home"),
      DENO_DIR: cacheDir,
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
    },
    cwd: code,
    uid,
    hasInput: false,
  });
  const timeout = new AbortController();
  let isTooSlow = false;
  void delay(deadlineMs, timeout.signal).then(() => {
    isTooSlow = true;
    child.kill();
  }, () => {});
  const [stdout, stderr, { code: exitCode }] = await Promise.all([
    readWhole(child.stdout, OUTPUT_MAX_BYTES),
    readWhole(child.stderr, ERRORS_MAX_BYTES),
    child.ended,
  ]);
  timeout.abort();
  if (isTooSlow) {
    return `Cannot bundle the function within ${
      deadlineMs / 1000
    } s: a registry or host may be slow or unreachable; try again, or import less`;
  }
  if (stdout === undefined) return "Cannot bundle the function: the result is far too large";
  const text = new TextDecoder().decode(stdout);
  if (text.endsWith("\n")) return JSON.parse(text);
  const last = new TextDecoder().decode(stderr ?? new Uint8Array(0)).trim().split("\n").at(-1) ?? "";
  return `Cannot bundle the function: ${cleaned(last, dir) || `its process ended with code ${exitCode}`}`;
}

/** Undefined when it is larger; the rest is read, too, and thrown away. */
async function readWhole(stream: ReadableStream<Uint8Array>, maxBytes: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length <= maxBytes) chunks.push(chunk);
  }
  return length <= maxBytes ? new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer()) : undefined;
}

/**
 * Where the kernel keeps no files from the program that bundles, and for the few that it needs itself: before each
 * module it writes a comment with its path.
 */
function holdsForeignFile(code: string, dir: string, { cacheDir }: BundlingSettings): boolean {
  return code.matchAll(/^ *\/\/ ([./][^\n]*)\n *(?:var|const|let|import|require)/gm).some(([, path = ""]) => {
    const full = resolve(dir, path);
    return ![dir, cacheDir].some((allowed) => full.startsWith(`${allowed}/`));
  });
}

function certificatesOf(networkEnv: Readonly<Record<string, string>>): string[] {
  const named = CERTIFICATE_FILES.flatMap((name) => networkEnv[name] ?? []);
  return networkEnv["DENO_TLS_CA_STORE"]?.includes("system") === true ? [...named, ...CERTIFICATES] : named;
}

async function splitMap(
  code: string,
  dir: string,
  { cacheDir }: BundlingSettings,
): Promise<Omit<BundlingResult & { readonly ok: true }, "ok">> {
  const marker = "//# sourceMappingURL=data:application/json;base64,";
  const start = code.lastIndexOf(marker);
  const map: SourceMap = JSON.parse(
    new TextDecoder().decode(Uint8Array.fromBase64(code.slice(start + marker.length).trim())),
  );
  const packages = relative(join(dir, "code"), cacheDir);
  const isPackage = (source: string) => source.startsWith(`${packages}/npm/`);
  const folders = new Map<string, string>();
  const placeOf = (source: string) => {
    if (!isPackage(source)) return OTHER_SOURCE.test(source) ? undefined : ownPath(source).replace(BESIDE_PREFIX, "");
    const [, folder, name, version, path] = CACHED_FILE.exec(source.slice(packages.length)) ?? [];
    if (folder === undefined) return undefined;
    folders.set(`${name}@${version}`, join(cacheDir, "npm", folder));
    return `npm/${name}@${version}/${path}`;
  };
  const { code: placed, seekers, sizes } = placeModules(code.slice(0, start), { sources: map.sources, placeOf });
  const files = await Promise.all(
    [...seekers].map(([name, text]) => packageFiles(folders.get(name) ?? "", `npm/${name}`, text)),
  );
  const sources = map.sources.map((source) =>
    isPackage(source) ? placeOf(source)?.replace(/^npm\//, "npm:") ?? source : ownPath(source)
  );
  const { version, names, mappings } = map;
  const contents = map.sources.map((source, index) =>
    source.startsWith(packages) || source.includes(`${SDK_FOLDER}/`) ? null : map.sourcesContent?.[index] ?? null
  );
  return {
    // Comments of the tool name folders of this machine.
    code: withModuleExports(placed).replaceAll(`${packages}/npm/`, "npm/"),
    sourceMap: { version, sources, ...shownSources(contents), names, mappings },
    files: Object.assign({}, ...files),
    sizes,
  };
}

/**
 * What `require` gives of an ES module that exports "module.exports" is that export, as in Node; packages that are written
 * in both ways count on it. The tool does not know it; the line stays one line, for the source map.
 */
function withModuleExports(code: string): string {
  return code.replace(
    /^var __toCommonJS = \((\w+)\) => __copyProps\(/m,
    'var __toCommonJS = ($1) => __hasOwnProp.call($1, "module.exports") ? $1["module.exports"] : __copyProps(',
  );
}

function notReached(host = "the host or the registry"): string {
  return `${host} does not answer; try again, check the network of the server, or have an operator name a mirror (FLUXBASE_FUNCTIONS_IMPORT_MIRRORS)`;
}

/** What the tool says, and what an author can do about it. */
const EXPLANATIONS: readonly [pattern: RegExp, explain: (groups: readonly string[]) => string][] = [
  [/react\/jsx-(?:dev-)?runtime/, () => "JSX needs a library; set jsxImportSource in compilerOptions of deno.json"],
  [
    /Could not find constraint '(.+)' in the list of packages/,
    ([name]) => `there is no npm package "${name}", or the registry does not answer; check name and version`,
  ],
  [
    /Could not find npm package '(.+)' matching '(.+)'/,
    ([name, version]) => `npm package "${name}" has no version ${version}; check the version`,
  ],
  [/npm package '(.+)' does not exist/, ([name]) => `there is no npm package "${name}"; check the name`],
  [
    /Requires import access to "(.+?)"/,
    ([host]) => `it leads to ${host}, and modules from there are not allowed here (FLUXBASE_FUNCTIONS_IMPORT_HOSTS)`,
  ],
  // One sentence for what is there and what is not: nobody learns of files of the machine.
  [/Requires read access|Cannot read (?:file|directory)/, () => "it leads to a file outside the function"],
  [/JSR package not found: (.+)/, ([name]) => `there is no JSR package ${name}; check the name`],
  [
    /No matching export in "(.+)" for import "(.+)"/,
    ([path = "", name]) => `${shown(path)} has no export "${name}"; import what it exports by name, or all with * as`,
  ],
  [/Module not found "(.+?)"/, ([url]) => `there is nothing at ${url}; check the address`],
  [
    /Do not know how to load path: deno:https?:\/\/([^/\s]+)/,
    ([host]) => `nothing came from there: ${notReached(host)}`,
  ],
  [/Do not know how to load path: deno:jsr:|Missing host in url: 'jsr:/, () => notReached("the registry of JSR")],
  [
    /(?:error sending request|client error|tcp connect error|dns error|Connection refused|timed out)/i,
    () => notReached(),
  ],
  [
    /Parameter decorators only work/,
    (_) =>
      "decorators of parameters are those of TypeScript; set experimentalDecorators in compilerOptions of deno.json",
  ],
];

/** Those that say the same of one place count once. */
function explainAll(messages: readonly BundlingMessage[], dir: string, input: BundlingInput): BuildProblem[] {
  const problems = new Map(
    messages.map((message) => explain(message, dir, input)).map((found) => [JSON.stringify(found), found]),
  );
  return [...problems.values()].slice(0, PROBLEMS_MAX_COUNT);
}

function explain({ text, file, length }: BundlingMessage, dir: string, input: BundlingInput): BuildProblem {
  const said = EXPLANATIONS.flatMap(([pattern, say]) => {
    const match = pattern.exec(text);
    return match === null ? [] : [say(match.slice(1))];
  })[0] ?? cleaned(text, dir);
  const [, name, version, inside] = PACKAGE_PATH.exec(file ?? "") ?? [];
  if (name !== undefined) return problemOfImport(name, `in npm:${name}@${version}/${inside}: ${said}`, input);
  const path = file === null ? input.entry : ownPath(file);
  const source = sourceOf(path, input);
  const use = source === undefined ? undefined : likelyImport(source, text, length);
  if (source === undefined || use === undefined) {
    const named = /npm:((?:@[^/\s"']+\/)?[^/@\s"']+)@/.exec(said)?.[1];
    return named === undefined
      ? problem(path, `Cannot bundle the function: ${said}`)
      : problemOfImport(named, said, input);
  }
  return problemAt(path, source, `Cannot import ${JSON.stringify(use.specifier)}: ${said}`, use.start);
}

function sourceOf(path: string, { entry, entryCode, files }: BundlingInput): string | undefined {
  return path === entry ? entryCode : files[path];
}

/** At the place where the function imports a package; of those that others bring, at its entry. */
function problemOfImport(name: string, why: string, input: BundlingInput): BuildProblem {
  const use = packageUses(input).find((one) => one.name === name);
  if (use === undefined) return problem(input.entry, `Cannot bundle the function: ${why}`);
  return problemAt(use.path, use.source, `Cannot import ${JSON.stringify(use.specifier)}: ${why}`, use.start);
}

interface PackageUse extends ImportUse {
  readonly name: string;
  readonly path: string;
  readonly source: string;
}

/** Where npm packages are named in the function's own files, by themselves or through a name of the import map. */
function packageUses(input: BundlingInput): PackageUse[] {
  const imports = input.denoJson.imports ?? {};
  return [input.entry, ...Object.keys(input.files)].flatMap((path) => {
    const source = sourceOf(path, input) ?? "";
    return quotedIn(source).flatMap(({ specifier, start }) => {
      const target = specifier.startsWith("npm:") ? specifier : imports[specifier] ?? "";
      const name = target.startsWith("npm:") ? packageName(target) : undefined;
      return name === undefined ? [] : [{ name, path, source, specifier, start }];
    });
  });
}

/** Of packages that the function imports itself: what others bring may do without its native part. */
async function nativeProblems(
  reply: BundlingReply,
  input: BundlingInput,
  { cacheDir }: BundlingSettings,
): Promise<BuildProblem[]> {
  const text = reply.ok ? reply.code : JSON.stringify(reply.messages);
  const folders = new Map([...text.matchAll(PACKAGE_FOLDERS)].map(([, folder = "", name = ""]) => [name, folder]));
  const problems: BuildProblem[] = [];
  for (const name of new Set(packageUses(input).map((use) => use.name))) {
    const folder = folders.get(name);
    const manifest = folder === undefined ? undefined : await readJson(join(cacheDir, "npm", folder, "package.json"));
    const why = nativeProblem(name, manifest);
    if (why !== undefined) problems.push(problemOfImport(name, why, input));
  }
  return problems;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch {
    return undefined;
  }
}

/** As a module that must be there when the bundle is loaded. */
function isImported(code: string, name: string): boolean {
  return code.matchAll(/^(?:import|export) [^\n]*?(["'])([^"'\n]+)\1;?$/gm).some(([, , specifier]) =>
    specifier === name
  );
}

function notThere(name: string): string {
  return `Cannot bundle the function: a package imports "${name}", which is not among what it depends on; import "npm:${name}" in the function, too`;
}

/** The tool's positions are those of the transformed file, so only the length of the specifier is of use. */
function likelyImport(source: string, text: string, length: number): ImportUse | undefined {
  const all = quotedIn(source);
  const fitting = all.filter(({ specifier }) => specifier.length + 2 === length);
  const bare = (specifier: string) => specifier.replace(/^(npm|jsr):\/?/, "").replace(/^https?:\/\/([^/]+).*$/, "$1");
  const isNamed = ({ specifier }: ImportUse) => specifier !== "" && text.includes(bare(specifier));
  // Of an export that is missing, the place is the name, and what is imported from is in the text.
  return fitting.find(isNamed) ?? (text.startsWith("No matching export") ? all.find(isNamed) : undefined) ?? fitting[0];
}

function quotedIn(source: string): ImportUse[] {
  return [...source.matchAll(/(["'])((?:npm|jsr|https?|data):[^"'\n]+|\.{0,2}[^"'\n]*)\1/g)]
    .map((match) => ({ specifier: match[2] ?? "", start: match.index }));
}

/** The other way round than `placeOf`. */
function ownPath(placed: string): string {
  const file = placed.replace(/^deno:/, "");
  return file.startsWith(`${SHARED_FOLDER}/`) || file.startsWith(`${SDK_FOLDER}/`) || /^\w+:/.test(file)
    ? file
    : posix.relative(OWN_FOLDER, file);
}

function cleaned(text: string, dir: string): string {
  return shown(text.replaceAll(`file://${dir}/code/`, "").replaceAll(`${dir}/code/`, ""))
    .replace(/^error: /, "").replace(/, run again with .*$/s, "").slice(0, 500);
}

/** Paths as an author knows them: of packages, what is in them; of nothing else, where it lies on this machine. */
function shown(text: string): string {
  return text.replaceAll(`${OWN_FOLDER}/`, "")
    .replace(/[^\s"'()]*\/npm\/[^/\s"']+\/((?:@[^/\s"']+\/)?[^/@\s"']+)\/(\d[^/\s"']*)/g, "npm:$1@$2")
    .replace(
      /file:\/\/\/[^\s"'()]+|(?<![\w:.@])(?:\/|(?:\.\.\/)+)[^\s"'()]*\/(?:builds|packages)\/[^\s"'()]*/g,
      "a file",
    );
}

function problem(file: string, message: string): BuildProblem {
  return { message, file, line: null, column: null, snippet: null };
}

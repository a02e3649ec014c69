/**
 * The modules that a function is made of: its own files, shared modules, and what comes from elsewhere.
 *
 * Follows imports through the source that the server was given, and nothing else: no path leads to a file of the
 * machine. Runs inside the builder process.
 *
 * @module
 */
import { isBuiltin } from "node:module";
import { dirname, join } from "node:path/posix";
import { BESIDE_PREFIX, type BuildProblem } from "@fluxbase/contract";
import { transformSync } from "oxc-transform";
import { analyse, type Annotation, importsIn, type ImportUse } from "./analysis.ts";
import { blockedModuleOf } from "./blocked_modules.ts";
import { type ImportMap, type Redirect, throughImportMap } from "./import_map.ts";
import { type Mirror, mirrored, OWN_MODULES_FOLDER } from "./mirrors.ts";
import { loosePath } from "./loose_paths.ts";
import { nativeProblem } from "./native_packages.ts";
import { packageName, SDK_NAMES } from "./package_name.ts";
import { problemAt } from "./problem_at.ts";

export interface GraphSource {
  /** A key of `files`. */
  readonly entry: string;
  /** The function's own, by path from its folder. Those whose name ends in `.wasm` are base64. */
  readonly files: Readonly<Record<string, string>>;
  /** By path, which begins with `_shared/`. */
  readonly shared: Readonly<Record<string, string>>;
  /** Of `deno.json`: names and what they stand for. */
  readonly importMap: ImportMap;
  readonly mirrors: readonly Mirror[];
  /** Host, or host and port, from which modules may come. */
  readonly hosts: readonly string[];
  /** Whether `deno.json` says how JSX is compiled. */
  readonly hasJsxSettings: boolean;
  /** Whether it says how decorators are compiled, which only bundling does. */
  readonly hasDecoratorSettings: boolean;
  /** Already one file, in which nothing is put together any more. */
  readonly isPreBundled: boolean;
}

export interface Graph {
  readonly problems: readonly BuildProblem[];
  /** Paths of own files and shared modules that are reached, the entry among them. */
  readonly files: ReadonlySet<string>;
  /** Whether anything has to be put together: another file, a package, a URL. */
  readonly needsBundling: boolean;
  /** Whether a name of the import map is used. */
  readonly usesImportMap: boolean;
  /** What code besides the entry says. */
  readonly schedules: readonly Annotation[];
  /** Names that lead elsewhere than they say. */
  readonly redirects: readonly Redirect[];
}

const SHARED_PREFIX = "_shared/";
export const SCRIPT = /\.[cm]?[jt]sx?$/;
const SCHEME = /^([a-z][a-z0-9+.-]*):/i;
const PROBLEMS_MAX_COUNT = 20;
const JSX_DEFAULT = "react/jsx-runtime";
const JSX_RUNTIME = /\/jsx-(?:dev-)?runtime$/;
const NO_JSX_LIBRARY =
  "JSX needs a library; write /** @jsxImportSource npm:preact@10 */ at the top of the file, or set jsx and jsxImportSource in compilerOptions of deno.json";

/** By type of a data: URL, the name under which its text is read. */
const DATA_SCRIPTS: Readonly<Record<string, string>> = {
  "text/javascript": "data.js",
  "application/javascript": "data.js",
  "application/ecmascript": "data.js",
  "text/ecmascript": "data.js",
  "text/jsx": "data.jsx",
  "application/typescript": "data.ts",
  "text/typescript": "data.ts",
  "text/tsx": "data.tsx",
};
const DATA_TEXTS = /^(application\/json|text\/plain|)$/;
const NO_DATA_TYPE = "a data: module must be of type text/javascript, application/typescript or application/json";

type Target =
  /** `named`: how it was asked for, where that is not its path. */
  | { readonly kind: "file"; readonly path: string; readonly named?: string }
  | { readonly kind: "package" }
  | { readonly kind: "built-in" }
  | { readonly kind: "wrong"; readonly why: string };

export function followImports(source: GraphSource, entryLeft: readonly ImportUse[]): Graph {
  const problems: BuildProblem[] = [];
  const files = new Set([source.entry]);
  let needsBundling = source.hasDecoratorSettings && !source.isPreBundled;
  let usesImportMap = false;
  const redirects: Redirect[] = [];
  const hasPackageJson = Object.hasOwn(source.files, "package.json");
  const schedules: Annotation[] = [];
  const waiting: string[] = [source.entry];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const code = codeOf(source, path);
    const analysis = analyse(path, code, { isEntry: path === source.entry });
    problems.push(...analysis.problems);
    if (path !== source.entry) schedules.push(...analysis.annotations.filter(({ inCode }) => inCode !== undefined));
    const left = path === source.entry || analysis.problems.length > 0 ? entryLeft : importsLeft(path, code);
    const remaining = namesBySpecifier(left);
    const written = new Set(analysis.imports.map(({ specifier }) => specifier));
    const added = left.filter(({ specifier }) => !written.has(specifier));
    if (added.length > 0) needsBundling = true;
    const jsx = added.filter(({ specifier }) => JSX_RUNTIME.test(specifier));
    if (jsx.some(isDefaultJsx) && !source.hasJsxSettings && !/\bReact\b/.test(code)) {
      problems.push({ message: NO_JSX_LIBRARY, file: path, line: null, column: null, snippet: null });
    }
    const required = source.isPreBundled || analysis.bindsRequire ? [] : analysis.requires;
    const blockedOnly = [...analysis.builtIns, ...(required.length > 0 ? [] : analysis.requires)];
    for (const { specifier, start } of [...analysis.imports, ...required, ...blockedOnly]) {
      const blocked = blockedModuleOf(throughImportMap(specifier, source.importMap, placeOf(path)).target);
      if (blocked !== undefined) problems.push(problemAt(path, code, refusal(specifier, blocked), start));
    }
    const followed = [
      // What only names types is gone when the function runs.
      ...analysis.imports.filter(({ specifier }) => remaining.has(specifier)),
      ...required,
      ...jsx.filter((use) => !isDefaultJsx(use)).map((use) => ({ ...use, start: placeOfJsx(use, code) })),
    ];
    for (const use of followed) {
      const { specifier, start } = use;
      const { target: mapped, scope } = throughImportMap(specifier, source.importMap, placeOf(path));
      usesImportMap ||= mapped !== specifier;
      if (blockedModuleOf(mapped) !== undefined) continue;
      const to = mirrored(mapped, { mirrors: source.mirrors, names: remaining.get(specifier) });
      if (to !== mapped) redirects.push({ scope, specifier, to });
      const blocked = to === mapped ? undefined : blockedModuleOf(to);
      const importer = { path: mapped === specifier ? path : "", isLoose: hasPackageJson || required.includes(use) };
      const target = blocked === undefined ? resolve(to, importer, source) : wrong(whyBlocked(blocked));
      if (target.kind === "wrong") problems.push(problemAt(path, code, cannotImport(specifier, target.why), start));
      else if (target.kind !== "built-in" || !specifier.startsWith("node:")) needsBundling = true;
      if (target.kind === "file" && target.named !== undefined) {
        redirects.push({ scope: undefined, specifier: placeOf(target.named), to: placeOf(target.path) });
      }
      if (target.kind === "file" && !files.has(target.path)) {
        files.add(target.path);
        if (SCRIPT.test(target.path)) waiting.push(target.path);
      }
    }
    if (problems.length >= PROBLEMS_MAX_COUNT) break;
  }
  return { problems: problems.slice(0, PROBLEMS_MAX_COUNT), files, needsBundling, usesImportMap, redirects, schedules };
}

/** Undefined for a module of which somebody may use anything. */
function namesBySpecifier(uses: readonly ImportUse[]): Map<string, readonly string[] | undefined> {
  const found = new Map<string, readonly string[] | undefined>();
  for (const { specifier, names } of uses) {
    const before = found.get(specifier);
    const isOpen = names === undefined || (before === undefined && found.has(specifier));
    found.set(specifier, isOpen ? undefined : [...before ?? [], ...names]);
  }
  return found;
}

/** What JSX imports where neither the file nor `deno.json` says otherwise. */
function isDefaultJsx({ specifier }: ImportUse): boolean {
  return specifier === JSX_DEFAULT;
}

function placeOfJsx({ specifier }: ImportUse, code: string): number {
  return Math.max(0, code.indexOf(specifier.replace(JSX_RUNTIME, "")));
}

export function codeOf({ files, shared }: GraphSource, path: string): string {
  return ((path.startsWith(SHARED_PREFIX) ? shared[path] : files[path]) ?? "").replace(/^\uFEFF/, "");
}

/** What is there when the types are gone. */
function importsLeft(path: string, code: string): readonly ImportUse[] {
  const output = transformSync(path, code, { sourceType: "module", target: "esnext" });
  return importsIn(path.replace(SCRIPT, ".js"), output.code);
}

function cannotImport(specifier: string, why: string): string {
  return `Cannot import ${JSON.stringify(specifier.slice(0, 200))}: ${why}`;
}

function refusal(specifier: string, blocked: string): string {
  return cannotImport(specifier, whyBlocked(blocked));
}

function whyBlocked(name: string): string {
  return `module ${name} is blocked for security; use the APIs of Deno or the web platform instead`;
}

/** Where a file lies while it is bundled, from the functions folder. */
function placeOf(path: string): string {
  return `./${path.startsWith(SHARED_PREFIX) ? path : join("own", path)}`;
}

interface Importer {
  /** Empty for a name of the import map, whose paths start at the functions' folder. */
  readonly path: string;
  /** Whether files may be named as Node does (./loose_paths.ts). */
  readonly isLoose: boolean;
}

function resolve(specifier: string, from: Importer, source: GraphSource): Target {
  if (specifier.startsWith(`./${OWN_MODULES_FOLDER}/`)) return { kind: "package" };
  if (/^\.{1,2}(\/|$)/.test(specifier)) return resolvePath(specifier, from, source);
  if (specifier.startsWith(SHARED_PREFIX)) return sharedFile(specifier, source);
  if (specifier.startsWith("/")) return wrong("a path must begin with ./ or ../ and stay among the function's files");
  const scheme = SCHEME.exec(specifier)?.[1]?.toLowerCase();
  if (scheme === "node") {
    return isBuiltin(specifier) ? { kind: "built-in" } : wrong("there is no such module of Node.js");
  }
  if (scheme === "npm" || scheme === "jsr") return resolvePackage(specifier);
  if (scheme === "data") return resolveData(specifier, source);
  if (scheme === "https" || scheme === "http") return resolveUrl(specifier, source.hosts);
  if (scheme !== undefined) return wrong(`${scheme}: modules cannot be imported; use npm:, jsr:, https: or node:`);
  if (isBuiltin(specifier)) return { kind: "built-in" };
  if (SDK_NAMES.includes(specifier)) return { kind: "package" };
  return wrong(`it is no path and no known name; ${nameAdvice(specifier)}`);
}

/** What lies deeper in a name with a scope is mostly a package of the author's own workspace. */
function nameAdvice(specifier: string): string {
  const [, name, inside] = /^(@[^/]+\/[^/]+)(\/.+)?$/.exec(specifier) ?? [];
  return inside === undefined
    ? `write "npm:${specifier}" with a version, or map the name in "imports" of deno.json`
    : `map "${name}/" in "imports" of deno.json, to a folder of the function or, for a package of npm, to "npm:/${name}@<version>/"`;
}

function resolvePath(specifier: string, from: Importer, source: GraphSource): Target {
  // Shared modules lie beside the folder of a function: `../_shared/x.ts` and `./_shared/x.ts` both mean them.
  const isShared = from.path.startsWith(SHARED_PREFIX);
  const path = join(dirname(isShared || from.path === "" ? from.path : `own/${from.path}`), specifier);
  if (path.startsWith(SHARED_PREFIX)) return sharedFile(path, source);
  const own = path.startsWith("own/") ? path.slice("own/".length) : undefined;
  if (own?.startsWith(SHARED_PREFIX)) return sharedFile(own, source);
  const beside = `${BESIDE_PREFIX}${path}`;
  const named = own ?? beside;
  if (!isShared && Object.hasOwn(source.files, named)) return { kind: "file", path: named };
  const loose = from.isLoose && !isShared ? loosePath(named, source.files) : undefined;
  if (loose !== undefined) return { kind: "file", path: loose, named };
  if (own === undefined || isShared) {
    return wrong(
      isShared || path.startsWith("../")
        ? "the path leaves the function; it may only lead to its own files, to _shared/, and to files beside its folder"
        : `there is no file ${JSON.stringify(beside)}${
          nearby(beside, Object.keys(source.files))
        } beside the function's folder; send it with the function, or make it a shared module (_shared/${path})`,
    );
  }
  return wrong(`there is no file ${JSON.stringify(own)}${nearby(own, Object.keys(source.files))}`);
}

function sharedFile(path: string, { shared }: GraphSource): Target {
  if (Object.hasOwn(shared, path)) return { kind: "file", path };
  return wrong(
    `there is no shared module ${JSON.stringify(path)}${
      nearby(path, Object.keys(shared))
    }; create it with POST /api/v1/functions/shared`,
  );
}

function resolvePackage(specifier: string): Target {
  const name = packageName(specifier);
  if (name === undefined) {
    return wrong("it names no package; write npm:name@version, npm:@scope/name@version or jsr:@scope/name@version");
  }
  const native = specifier.startsWith("npm:") ? nativeProblem(name, undefined) : undefined;
  return native === undefined ? { kind: "package" } : wrong(native);
}

function resolveUrl(specifier: string, hosts: readonly string[]): Target {
  const url = URL.parse(specifier);
  if (url === null) return wrong("it is no valid URL");
  if (url.username !== "" || url.password !== "") return wrong("a URL must not hold a user or a password");
  // Plain HTTP only from where the operator names host and port.
  const isAllowed = url.protocol === "https:"
    ? hosts.includes(url.hostname) || hosts.includes(url.host)
    : url.port !== "" && hosts.includes(url.host);
  if (isAllowed) return { kind: "package" };
  if (url.protocol === "http:" && (hosts.includes(url.hostname))) {
    return wrong("modules come by HTTPS only; write https://");
  }
  return wrong(
    `modules from ${url.host} are not allowed here; allowed are ${hosts.join(", ")} (FLUXBASE_FUNCTIONS_IMPORT_HOSTS)`,
  );
}

/** Its own imports count like the author's, without a folder to start from. */
function resolveData(specifier: string, source: GraphSource): Target {
  const { type, text } = readDataUrl(specifier) ?? {};
  if (text === undefined) return wrong("it is no valid data: URL");
  const name = DATA_SCRIPTS[type ?? ""];
  if (name === undefined) return DATA_TEXTS.test(type ?? "") ? { kind: "package" } : wrong(NO_DATA_TYPE);
  const { problems, imports, requires } = analyse(name, text, { isEntry: false });
  if (problems[0] !== undefined) return wrong(`the data: module cannot be read: ${problems[0].message}`);
  for (const use of [...imports, ...requires]) {
    const { target: mapped } = throughImportMap(use.specifier, source.importMap, "");
    const blocked = blockedModuleOf(mapped);
    if (blocked !== undefined) return wrong(`module ${blocked} is blocked for security`);
    const target = /^\.{0,2}\//.test(mapped) || mapped.startsWith(SHARED_PREFIX)
      ? wrong("a data: module has no files beside it")
      : resolve(mapped, { path: "", isLoose: false }, source);
    if (target.kind === "wrong") return wrong(`in the data: module, ${JSON.stringify(use.specifier)}: ${target.why}`);
  }
  return { kind: "package" };
}

function readDataUrl(url: string): { type: string; text: string } | undefined {
  const [, type = "", parameters = "", body = ""] = /^data:([^;,]*)([^,]*),(.*)$/is.exec(url) ?? [];
  try {
    const decoded = decodeURIComponent(body);
    const text = /;\s*base64\s*$/i.test(parameters)
      ? new TextDecoder().decode(Uint8Array.fromBase64(decoded))
      : decoded;
    return { type: type.trim().toLowerCase(), text };
  } catch {
    return undefined;
  }
}

/** The usual slips: no ending, another ending, another case. */
function nearby(path: string, known: readonly string[]): string {
  const stem = (text: string) => text.replace(/(\/index)?(\.\w+)?$/, "").toLowerCase();
  const near = known.find((one) => one !== path && stem(one) === stem(path));
  return near === undefined ? "" : `; did you mean ${JSON.stringify(near)}?`;
}

function wrong(why: string): Target {
  return { kind: "wrong", why };
}

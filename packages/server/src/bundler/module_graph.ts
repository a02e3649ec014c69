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
import type { BuildProblem } from "@fluxbase/contract";
import { transformSync } from "oxc-transform";
import { analyse, importsIn, type ImportUse } from "./analysis.ts";
import { blockedModuleOf } from "./blocked_modules.ts";
import { problemAt } from "./problem_at.ts";

export interface GraphSource {
  /** A key of `files`. */
  readonly entry: string;
  /** The function's own, by path from its folder. Those whose name ends in `.wasm` are base64. */
  readonly files: Readonly<Record<string, string>>;
  /** By path, which begins with `_shared/`. */
  readonly shared: Readonly<Record<string, string>>;
  /** Of `deno.json`: names and what they stand for. */
  readonly imports: Readonly<Record<string, string>>;
  /** Host, or host and port, from which modules may come. */
  readonly hosts: readonly string[];
  /** Whether `deno.json` says how JSX is compiled. */
  readonly hasJsxSettings: boolean;
}

export interface Graph {
  readonly problems: readonly BuildProblem[];
  /** Paths of own files and shared modules that are reached, the entry among them. */
  readonly files: ReadonlySet<string>;
  /** Whether anything has to be put together: another file, a package, a URL. */
  readonly needsBundling: boolean;
  /** Whether a name of `imports` is used. */
  readonly usesImportMap: boolean;
}

export const SHARED_PREFIX = "_shared/";
const SCRIPT = /\.[cm]?[jt]sx?$/;
const SCHEME = /^([a-z][a-z0-9+.-]*):/i;
const PROBLEMS_MAX_COUNT = 20;
const SDK = "@fluxbase/sdk";
/** What JSX imports where nothing says otherwise. */
const JSX_DEFAULT = "react/jsx-runtime";
const NO_JSX_LIBRARY =
  "JSX needs a library; write /** @jsxImportSource npm:preact@10 */ at the top of the file, or set jsx and jsxImportSource in compilerOptions of functions/deno.json";

type Target =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "package" }
  | { readonly kind: "built-in" }
  | { readonly kind: "wrong"; readonly why: string };

export function followImports(source: GraphSource, entryLeft: readonly ImportUse[]): Graph {
  const problems: BuildProblem[] = [];
  const files = new Set([source.entry]);
  let needsBundling = false;
  let usesImportMap = false;
  const waiting: string[] = [source.entry];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const code = codeOf(source, path);
    const { imports: written, requires, problems: broken } = analyse(path, code);
    problems.push(...broken);
    const left = path === source.entry || broken.length > 0 ? entryLeft : importsLeft(path, code);
    for (const { specifier, start } of requires) {
      const blocked = blockedModuleOf(throughImportMap(specifier, source.imports));
      if (blocked !== undefined) problems.push(problemAt(path, code, refusal(specifier, blocked), start));
    }
    const isImplicit = ({ specifier }: ImportUse) => specifier === JSX_DEFAULT;
    if (left.some(isImplicit) && !written.some(isImplicit) && !source.hasJsxSettings && !/\bReact\b/.test(code)) {
      problems.push({ message: NO_JSX_LIBRARY, file: path, line: null, column: null, snippet: null });
    }
    const remaining = new Set(left.map(({ specifier }) => specifier));
    for (const { specifier } of left) if (!written.some((use) => use.specifier === specifier)) needsBundling = true;
    for (const { specifier, start } of written) {
      const report = (why: string) => problems.push(problemAt(path, code, cannotImport(specifier, why), start));
      const mapped = throughImportMap(specifier, source.imports);
      usesImportMap ||= mapped !== specifier;
      const blocked = blockedModuleOf(mapped);
      if (blocked !== undefined) {
        problems.push(problemAt(path, code, refusal(specifier, blocked), start));
        continue;
      }
      // What only names types is gone when the function runs.
      if (!remaining.has(specifier)) continue;
      const target = resolve(mapped, mapped === specifier ? path : "", source);
      if (target.kind === "wrong") report(target.why);
      else if (target.kind !== "built-in" || !specifier.startsWith("node:")) needsBundling = true;
      if (target.kind === "file" && !files.has(target.path)) {
        files.add(target.path);
        if (SCRIPT.test(target.path)) waiting.push(target.path);
      }
    }
    if (problems.length >= PROBLEMS_MAX_COUNT) break;
  }
  return { problems: problems.slice(0, PROBLEMS_MAX_COUNT), files, needsBundling, usesImportMap };
}

function codeOf({ files, shared }: GraphSource, path: string): string {
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
  return cannotImport(
    specifier,
    `module ${blocked} is blocked for security; use the APIs of Deno or the web platform instead`,
  );
}

/** Exact names first, then the longest one that ends in a slash, as import maps have it. */
function throughImportMap(specifier: string, imports: Readonly<Record<string, string>>): string {
  const exact = Object.hasOwn(imports, specifier) ? imports[specifier] : undefined;
  if (exact !== undefined) return exact;
  const prefix = Object.keys(imports).filter((name) => name.endsWith("/") && specifier.startsWith(name))
    .sort((a, b) => b.length - a.length)[0];
  return prefix === undefined ? specifier : `${imports[prefix]}${specifier.slice(prefix.length)}`;
}

/** `from`: the importing file; empty for a name of the import map, whose paths start at the functions' folder. */
function resolve(specifier: string, from: string, source: GraphSource): Target {
  if (/^\.{1,2}(\/|$)/.test(specifier)) return resolvePath(specifier, from, source);
  if (specifier.startsWith(SHARED_PREFIX)) return sharedFile(specifier, source);
  if (specifier.startsWith("/")) return wrong("a path must begin with ./ or ../ and stay among the function's files");
  const scheme = SCHEME.exec(specifier)?.[1]?.toLowerCase();
  if (scheme === "node") {
    return isBuiltin(specifier) ? { kind: "built-in" } : wrong("there is no such module of Node.js");
  }
  if (scheme === "npm" || scheme === "jsr" || scheme === "data") return { kind: "package" };
  if (scheme === "https" || scheme === "http") return resolveUrl(specifier, source.hosts);
  if (scheme !== undefined) return wrong(`${scheme}: modules cannot be imported; use npm:, jsr:, https: or node:`);
  if (isBuiltin(specifier)) return { kind: "built-in" };
  if (specifier === SDK) return wrong("the SDK comes with a later version of the platform; use fetch until then");
  return wrong(
    `it is no path and no known name; write "npm:${specifier}" with a version, or map the name in functions/deno.json`,
  );
}

function resolvePath(specifier: string, from: string, source: GraphSource): Target {
  // Shared modules lie beside the folder of a function: `../_shared/x.ts` and `./_shared/x.ts` both mean them.
  const isShared = from.startsWith(SHARED_PREFIX);
  const path = join(dirname(isShared || from === "" ? from : `own/${from}`), specifier);
  if (path.startsWith(SHARED_PREFIX)) return sharedFile(path, source);
  const own = path.startsWith("own/") ? path.slice("own/".length) : undefined;
  if (own?.startsWith(SHARED_PREFIX)) return sharedFile(own, source);
  if (own !== undefined && Object.hasOwn(source.files, own)) return { kind: "file", path: own };
  if (own === undefined || isShared) {
    return wrong("the path leaves the function; it may only lead to its own files and to _shared/");
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

function resolveUrl(specifier: string, hosts: readonly string[]): Target {
  const url = URL.parse(specifier);
  if (url === null) return wrong("it is no valid URL");
  if (url.username !== "" || url.password !== "") return wrong("a URL must not hold a user or a password");
  // Plain HTTP only from where the operator names host and port.
  const isAllowed = url.protocol === "https:"
    ? hosts.includes(url.hostname) || hosts.includes(url.host)
    : url.port !== "" && hosts.includes(url.host);
  if (isAllowed) return { kind: "package" };
  return wrong(
    `modules from ${url.host} are not allowed here; allowed are ${hosts.join(", ")} (FLUXBASE_FUNCTIONS_IMPORT_HOSTS)`,
  );
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

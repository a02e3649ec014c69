/**
 * `deno.json` as builds use it: that of the functions folder, and a function's own, which wins.
 *
 * Comments and trailing commas are allowed, as Deno allows them. `importMap` may name a file beside it.
 *
 * @module
 */
import { join } from "node:path/posix";
import type { BuildProblem } from "@fluxbase/contract";
import { parse, type ParseError, printParseErrorCode } from "jsonc-parser";
import type { DenoJson } from "../bundler/bundler.ts";

export interface DenoJsonFile {
  readonly denoJson: DenoJson;
  readonly warnings: readonly string[];
}

type Files = Readonly<Record<string, string>>;
type Names = Readonly<Record<string, string>>;
type Scopes = Readonly<Record<string, Names>>;

/** The first that a function has is its own. */
const NAMES = ["deno.json", "deno.jsonc"];
/** Taken without being named, as `deno.json` is: Supabase's projects have it. */
const IMPORT_MAP = "import_map.json";
export const PACKAGE_JSON = "package.json";
/** Where a function's own files lie while it is bundled, seen from the functions folder. */
const OWN = "./own/";

/**
 * @param files those beside it, for `importMap`
 * @throws {Error} with a sentence
 */
export function parseDenoJson(name: string, text: string, files: Files = {}): DenoJsonFile {
  const value = parseObject(name, text);
  const { importMap, compilerOptions = {} } = value;
  let imports = namesOf(name, value["imports"]);
  let scopes = scopesOf(name, value);
  if (importMap !== undefined) {
    const path = typeof importMap === "string" ? join(importMap) : "";
    const content = files[path];
    if (content === undefined) {
      throw new Error(`Cannot use ${name}: "importMap" names ${JSON.stringify(importMap)}, and there is no such file`);
    }
    const map = parseObject(path, content);
    imports = { ...namesOf(path, map["imports"]), ...imports };
    scopes = joinScopes(scopesOf(path, map), scopes);
  }
  if (!isRecord(compilerOptions)) throw new Error(`Cannot use ${name}: "compilerOptions" must be an object`);
  return { denoJson: withoutEmpty({ imports, scopes, compilerOptions }), warnings: [] };
}

export type OwnDenoJson = DenoJsonFile & { readonly problems: readonly BuildProblem[] };

/** What a dependency of `package.json` may be so that npm's registry has it. */
const VERSION = /^(?:[\^~<>=\s]*\d[\w.\-+]*(?:\s*(?:\|\||-|\s)\s*[\^~<>=]*\d[\w.\-+]*)*|\*|x|latest|[a-z][\w-]*)$/i;

/**
 * The dependencies of a `package.json`, as names of an import map.
 *
 * @throws {Error} with a sentence
 */
export function parsePackageJson(text: string): DenoJsonFile {
  const { dependencies = {} } = parseObject(PACKAGE_JSON, text);
  if (!isRecord(dependencies)) throw new Error(`Cannot use ${PACKAGE_JSON}: "dependencies" must be an object`);
  const imports: Record<string, string> = {};
  const warnings: string[] = [];
  for (const [name, wanted] of Object.entries(dependencies)) {
    const [, alias, version] = /^npm:((?:@[^/@]+\/)?[^@]+)(?:@(.*))?$/.exec(String(wanted)) ?? [];
    const [target, range] = alias === undefined ? [name, String(wanted).trim() || "*"] : [alias, version ?? "*"];
    if (VERSION.test(range)) {
      imports[name] = `npm:${target}@${range}`;
      imports[`${name}/`] = `npm:/${target}@${range}/`;
    } else warnings.push(`${PACKAGE_JSON}: dependency "${name}" is left out: ${range} is no version of an npm package`);
  }
  return { denoJson: hasKeys(imports) ? { imports } : {}, warnings };
}

/** Of a function's own files; paths in it start at the function. */
export function ownDenoJson(files: Files): OwnDenoJson {
  const name = NAMES.find((one) => Object.hasOwn(files, one)) ??
    (Object.hasOwn(files, IMPORT_MAP) ? IMPORT_MAP : undefined);
  const packages = readOr(PACKAGE_JSON, () => {
    const text = files[PACKAGE_JSON];
    return text === undefined ? NOTHING : parsePackageJson(text);
  });
  if (name === undefined) return packages;
  const own = readOr(name, () => {
    const { denoJson, warnings } = parseDenoJson(name, files[name] ?? "", files);
    return { denoJson: withPaths(denoJson, fromFolder), warnings };
  });
  return {
    denoJson: joinDenoJson(packages.denoJson, own.denoJson),
    warnings: [...packages.warnings, ...own.warnings],
    problems: [...packages.problems, ...own.problems],
  };
}

const NOTHING: DenoJsonFile = { denoJson: {}, warnings: [] };

function readOr(name: string, read: () => DenoJsonFile): OwnDenoJson {
  try {
    return { ...read(), problems: [] };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { ...NOTHING, problems: [{ message, file: name, line: null, column: null, snippet: null }] };
  }
}

/** Of the names of an import map, those that lead to files beside the functions, and where: from the functions folder. */
export function mappedPaths({ imports = {}, scopes = {} }: DenoJson): Record<string, string> {
  return Object.fromEntries(
    [...Object.values(scopes), imports].flatMap(Object.entries<string>).flatMap(([name, to]) =>
      to.startsWith("./") && !to.startsWith(OWN) && !to.startsWith("./_shared/") ? [[name, to.slice(2)]] : []
    ),
  );
}

/** What a function's own says wins, name by name. */
export function joinDenoJson(folder: DenoJson, own: DenoJson): DenoJson {
  return withoutEmpty({
    imports: { ...folder.imports, ...own.imports },
    scopes: joinScopes(folder.scopes ?? {}, own.scopes ?? {}),
    compilerOptions: { ...folder.compilerOptions, ...own.compilerOptions },
  });
}

/** The folder's, as it is for one function: what it says of the function's own folder is about its own files. */
export function folderDenoJsonFor(functionName: string, denoJson: DenoJson): DenoJson {
  const folder = `./${functionName}/`;
  return withPaths(denoJson, (path) => path.startsWith(folder) ? `${OWN}${path.slice(folder.length)}` : path);
}

function withPaths({ imports = {}, scopes = {}, ...rest }: DenoJson, place: (path: string) => string): DenoJson {
  const placed = (names: Names) => Object.fromEntries(Object.entries(names).map(([name, to]) => [name, place(to)]));
  const placedScopes = Object.entries(scopes).map(([scope, names]) => [place(scope), placed(names)]);
  return withoutEmpty({ ...rest, imports: placed(imports), scopes: Object.fromEntries(placedScopes) });
}

function joinScopes(first: Scopes, second: Scopes): Scopes {
  const joined: Record<string, Names> = { ...first };
  for (const [scope, names] of Object.entries(second)) joined[scope] = { ...joined[scope], ...names };
  return joined;
}

function withoutEmpty(denoJson: DenoJson): DenoJson {
  return Object.fromEntries(Object.entries(denoJson).filter(([, value]) => hasKeys(value)));
}

/** `./x` of a function is `./own/x` of the folder, `../_shared/x` is `./_shared/x`. */
function fromFolder(to: string): string {
  if (!/^\.{1,2}\//.test(to)) return to;
  const path = join(OWN, to);
  return `./${path}${to.endsWith("/") && !path.endsWith("/") ? "/" : ""}`;
}

function namesOf(file: string, names: unknown = {}, field = "imports"): Names {
  if (isRecord(names) && Object.values(names).every((to) => typeof to === "string")) return names as Names;
  throw new Error(`Cannot use ${file}: "${field}" must be an object of strings`);
}

function scopesOf(file: string, { scopes = {} }: Record<string, unknown>): Scopes {
  if (!isRecord(scopes)) throw new Error(`Cannot use ${file}: "scopes" must be an object`);
  return Object.fromEntries(
    Object.entries(scopes).map(([scope, names]) => [scope, namesOf(file, names, `scopes["${scope}"]`)]),
  );
}

function parseObject(name: string, text: string): Record<string, unknown> {
  const errors: ParseError[] = [];
  const value: unknown = parse(text, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (first !== undefined) {
    const line = text.slice(0, first.offset).split("\n").length;
    throw new Error(`Cannot use ${name}: line ${line}: ${printParseErrorCode(first.error)}`);
  }
  if (!isRecord(value)) throw new Error(`Cannot use ${name}: it must be an object`);
  return value;
}

function hasKeys(value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length > 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

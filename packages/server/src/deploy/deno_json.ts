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
  const warnings: string[] = [];
  const { importMap, compilerOptions = {}, scopes } = value;
  let imports = importsOf(name, value);
  if (importMap !== undefined) {
    const path = typeof importMap === "string" ? join(importMap) : "";
    const content = files[path];
    if (content === undefined) {
      throw new Error(`Cannot use ${name}: "importMap" names ${JSON.stringify(importMap)}, and there is no such file`);
    }
    const map = parseObject(path, content);
    if (hasKeys(map["scopes"])) warnings.push(`${path}: "scopes" is left out`);
    imports = { ...importsOf(path, map), ...imports };
  }
  if (!isRecord(compilerOptions)) throw new Error(`Cannot use ${name}: "compilerOptions" must be an object`);
  if (hasKeys(scopes)) warnings.push(`${name}: "scopes" is left out`);
  return {
    denoJson: { ...hasKeys(imports) ? { imports } : {}, ...hasKeys(compilerOptions) ? { compilerOptions } : {} },
    warnings,
  };
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
    const imports = Object.entries(denoJson.imports ?? {}).map(([from, to]) => [from, fromFolder(to)]);
    return {
      denoJson: { ...denoJson, ...imports.length > 0 ? { imports: Object.fromEntries(imports) } : {} },
      warnings,
    };
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
export function mappedPaths(imports: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(imports).flatMap(([name, to]) =>
      to.startsWith("./") && !to.startsWith(OWN) && !to.startsWith("./_shared/") ? [[name, to.slice(2)]] : []
    ),
  );
}

/** What a function's own says wins, name by name. */
export function joinDenoJson(folder: DenoJson, own: DenoJson): DenoJson {
  const imports = { ...folder.imports, ...own.imports };
  const compilerOptions = { ...folder.compilerOptions, ...own.compilerOptions };
  return { ...hasKeys(imports) ? { imports } : {}, ...hasKeys(compilerOptions) ? { compilerOptions } : {} };
}

/** `./x` of a function is `./own/x` of the folder, `../_shared/x` is `./_shared/x`. */
function fromFolder(to: string): string {
  if (!/^\.{1,2}\//.test(to)) return to;
  const path = join(OWN, to);
  return `./${path}${to.endsWith("/") && !path.endsWith("/") ? "/" : ""}`;
}

function importsOf(name: string, { imports = {} }: Record<string, unknown>): Record<string, string> {
  if (isRecord(imports) && Object.values(imports).every((to) => typeof to === "string")) {
    return imports as Record<string, string>;
  }
  throw new Error(`Cannot use ${name}: "imports" must be an object of strings`);
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

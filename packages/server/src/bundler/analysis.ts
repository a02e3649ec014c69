/**
 * What the syntax tree of one source file says: its imports, and which binding answers requests.
 *
 * Runs only inside the builder process: the parser is native code and its input is hostile.
 *
 * @module
 */
import type { BuildProblem } from "@fluxbase/contract";
import { type ParseResult, parseSync, type Program } from "oxc-parser";
import { problemAt } from "./problem_at.ts";

export interface ImportUse {
  readonly specifier: string;
  /** Offset in the source. */
  readonly start: number;
}

export interface Analysis {
  readonly problems: readonly BuildProblem[];
  readonly imports: readonly ImportUse[];
  readonly requires: readonly ImportUse[];
  readonly annotations: readonly Annotation[];
  /** Top-level binding that must be exported for the runtime, if the source does not make its handler reachable itself. */
  readonly handlerBinding: "handler" | "main" | undefined;
  readonly hasHandler: boolean;
}

const PROBLEMS_MAX_COUNT = 20;
const NO_HANDLER =
  "Cannot find a handler: declare `async function handler(req) { … }`, or export a function or an object with fetch as default";

/** `@fluxbase:name value` in a comment. */
export interface Annotation {
  readonly name: string;
  /** Empty when nothing stands behind the name. */
  readonly value: string;
  /** What is wrong with it starts here. */
  readonly place: BuildProblem;
}

const ANNOTATIONS_MAX_COUNT = 100;
const ANNOTATION_VALUE_MAX_CHARACTERS = 1_000;

export function analyse(file: string, code: string): Analysis {
  const parsed = parseSync(file, code, { sourceType: "module" });
  const syntax = parsed.errors.filter(({ severity }) => severity === "Error").slice(0, PROBLEMS_MAX_COUNT);
  if (syntax.length > 0) {
    const problems = syntax.map(({ message, labels }) => problemAt(file, code, message, labels[0]?.start));
    return {
      problems,
      imports: [],
      requires: [],
      annotations: [],
      handlerBinding: undefined,
      hasHandler: false,
    };
  }
  const bindings = topLevelBindings(parsed.program);
  const handlerBinding = bindings.has("handler") ? "handler" : bindings.has("main") ? "main" : undefined;
  const hasHandler = handlerBinding !== undefined || exportsHandler(parsed) || callsServe(parsed.program);
  const annotations = annotationsOf(file, code, parsed);
  const requires = /\brequire\b|getBuiltinModule/.test(code) ? requiresOf(parsed.program) : [];
  return { problems: [], imports: importsOf(parsed, code), requires, annotations, handlerBinding, hasHandler };
}

/** Every line of every comment may hold one; only looked for where the text occurs at all. */
function annotationsOf(file: string, code: string, { comments }: ParseResult): Annotation[] {
  const found: Annotation[] = [];
  for (const { value, end, type } of comments) {
    if (!value.includes("@fluxbase:")) continue;
    let offset = end - value.length - (type === "Block" ? 2 : 0);
    for (const line of value.split("\n")) {
      const [, before = "", name = "", text = ""] = /^([\s*]*)@fluxbase:([^\s]*)(.*)$/.exec(line.trimEnd()) ?? [];
      if (name !== "" && found.length < ANNOTATIONS_MAX_COUNT) {
        const place = problemAt(file, code, "", offset + before.length);
        found.push({ name, value: text.trim().slice(0, ANNOTATION_VALUE_MAX_CHARACTERS), place });
      }
      offset += line.length + 1;
    }
  }
  return found;
}

/** Of JavaScript that we made: without its tree, which is the costly part. */
export function importsIn(file: string, code: string): readonly ImportUse[] {
  return importsOf(parseSync(file, code, { sourceType: "module" }), code);
}

export function noHandlerProblem(file: string): BuildProblem {
  return { message: NO_HANDLER, file, line: null, column: null, snippet: null };
}

/** What is asked for by name at run time: `require("x")`, `process.getBuiltinModule("x")`. */
function requiresOf(node: unknown, found: ImportUse[] = []): ImportUse[] {
  if (Array.isArray(node)) { for (const one of node) requiresOf(one, found); }
  if (!isNode(node)) return found;
  if (node.type === "CallExpression" && isRequire(node["callee"])) {
    const [first] = Array.isArray(node["arguments"]) ? node["arguments"] : [];
    if (isNode(first) && typeof first["value"] === "string") {
      found.push({ specifier: first["value"], start: Number(first["start"]) });
    }
  }
  for (const child of Object.values(node)) if (typeof child === "object" && child !== null) requiresOf(child, found);
  return found;
}

function isRequire(callee: unknown): boolean {
  if (!isNode(callee)) return false;
  const { name, property } = callee;
  return name === "require" || (isNode(property) && property["name"] === "getBuiltinModule");
}

function importsOf({ module }: ParseResult, code: string): ImportUse[] {
  const uses: ImportUse[] = module.staticImports.map(({ moduleRequest }) => ({
    specifier: moduleRequest.value,
    start: moduleRequest.start,
  }));
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest } of entries) {
      if (moduleRequest) uses.push({ specifier: moduleRequest.value, start: moduleRequest.start });
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const literal = /^(['"`])([^'"`$\\]*)\1$/.exec(code.slice(moduleRequest.start, moduleRequest.end));
    if (literal?.[2] !== undefined) uses.push({ specifier: literal[2], start: moduleRequest.start });
  }
  return uses;
}

function exportsHandler({ module }: ParseResult): boolean {
  return module.staticExports.some(({ entries }) =>
    entries.some(({ isType, exportName }) =>
      !isType &&
      (exportName.kind === "Default" || exportName.name === "handler" || exportName.name === "main" ||
        exportName.name === "default")
    )
  );
}

function topLevelBindings(program: Program): Set<string> {
  const names = new Set<string>();
  for (const statement of program.body) {
    const declared = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement;
    switch (declared?.type) {
      case "FunctionDeclaration":
      case "ClassDeclaration":
        if (declared.id && !declared.declare) names.add(declared.id.name);
        break;
      case "VariableDeclaration":
        if (!declared.declare) { for (const { id } of declared.declarations) addPatternNames(id, names); }
        break;
      case "ImportDeclaration":
        if (declared.importKind !== "type") { for (const { local } of declared.specifiers) names.add(local.name); }
        break;
    }
  }
  return names;
}

function addPatternNames(pattern: unknown, names: Set<string>): void {
  if (!isNode(pattern)) return;
  if (pattern.type === "Identifier" && typeof pattern["name"] === "string") {
    names.add(pattern["name"]);
    return;
  }
  for (const key of ["properties", "elements", "value", "argument", "left"]) {
    const child = pattern[key];
    for (const item of Array.isArray(child) ? child : [child]) addPatternNames(item, names);
  }
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, "type") === "string";
}

/** `Deno.serve(…)` anywhere outside a function body. */
function callsServe(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(callsServe);
  if (!isNode(node)) return false;
  if (node.type.includes("Function") || node.type === "ClassBody") return false;
  if (node.type === "CallExpression" && isDenoServe(node["callee"])) return true;
  return Object.values(node).some((child) => typeof child === "object" && child !== null && callsServe(child));
}

function isDenoServe(callee: unknown): boolean {
  if (!isNode(callee) || callee.type !== "MemberExpression") return false;
  const { object, property } = callee;
  return isNode(object) && object["name"] === "Deno" && isNode(property) &&
    (property["name"] === "serve" || property["value"] === "serve");
}

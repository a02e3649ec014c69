/**
 * What the syntax tree of one source file says: its imports, and which binding answers requests.
 *
 * Runs only inside the builder process: the parser is native code and its input is hostile.
 *
 * @module
 */
import type { BuildProblem } from "@fluxbase/contract";
import { type Comment, type ParseResult, parseSync, type Program, Visitor } from "oxc-parser";
import { type CodeSchedule, schedulesInCode } from "./code_schedules.ts";
import { isNode, type Node } from "./nodes.ts";
import { problemAt } from "./problem_at.ts";

export interface ImportUse {
  readonly specifier: string;
  /** Offset in the source. */
  readonly start: number;
  /** That are imported; undefined where it may be anything. */
  readonly names?: readonly string[];
}

export interface Analysis {
  readonly problems: readonly BuildProblem[];
  readonly imports: readonly ImportUse[];
  /** Of `require("x")`. */
  readonly requires: readonly ImportUse[];
  /** Of `process.getBuiltinModule("x")`. */
  readonly builtIns: readonly ImportUse[];
  /** Whether `require` is the author's own: nothing is known about what it does then. */
  readonly bindsRequire: boolean;
  readonly annotations: readonly Annotation[];
  /** Top-level binding that must be exported for the runtime, if the source does not make its handler reachable itself. */
  readonly handlerBinding: "handler" | "main" | undefined;
  /** Whether the handler wants clients of the SDK handed to it: `handler(req, fluxbase, fluxbaseService, utils)`. */
  readonly takesClients: boolean;
  /** False: whatever happens when it is loaded, nothing will answer. */
  readonly hasHandler: boolean;
  /** It exports by `module.exports`, and has none of what makes a file a module. */
  readonly isCommonJs: boolean;
}

const PROBLEMS_MAX_COUNT = 20;
const NO_HANDLER =
  'Cannot find a handler: declare `async function handler(req) { … }`, export a function or an object with fetch as default, export GET, POST or another method, or start a server (Deno.serve, addEventListener("fetch", …), listen() of Node)';

/** `@fluxbase:name value` in a comment. */
export interface Annotation {
  readonly name: string;
  /** Empty when nothing stands behind the name. */
  readonly value: string;
  /** What is wrong with it starts here. */
  readonly place: BuildProblem;
  /** From there to the value, in characters. */
  readonly valueAt: number;
  /** It stands in code, not in a comment. */
  readonly inCode?: InCode;
}

export interface InCode {
  /** What its author calls it. */
  readonly job?: string;
  /** It is worked out when the code runs: nobody can read it. */
  readonly isUnread?: true;
}

/** A bundler follows every one; nobody writes more. */
const TEXTS_MAX_COUNT = 100;
const ANNOTATIONS_MAX_COUNT = 100;
const ANNOTATION_VALUE_MAX_CHARACTERS = 1_000;

/** `isEntry`: what it exports is what the function exports. */
export function analyse(file: string, code: string, { isEntry }: { readonly isEntry: boolean }): Analysis {
  const parsed = parseSync(file, code, { sourceType: "module" });
  const syntax = parsed.errors.filter(({ severity }) => severity === "Error").slice(0, PROBLEMS_MAX_COUNT);
  if (syntax.length > 0) {
    const problems = [
      ...endedComments(file, code),
      ...syntax.map(({ message, labels }) => problemAt(file, code, message, labels[0]?.start)),
    ].slice(0, PROBLEMS_MAX_COUNT);
    const annotations = annotationsOf(file, code, [asOneComment(code)]);
    return {
      ...nothingAsked(),
      problems,
      annotations,
      handlerBinding: undefined,
      takesClients: false,
      hasHandler: false,
      isCommonJs: false,
    };
  }
  const isCommonJs = !parsed.module.hasModuleSyntax && isCommonJsName(file, code);
  const bindings = topLevelBindings(parsed.program);
  // A file of CommonJS exports what it means to export.
  const handlerBinding = isCommonJs ? undefined : HANDLER_NAMES.find((name) => bindings.has(name));
  const hasHandler = handlerBinding !== undefined || isCommonJs || exportsHandler(parsed) || mayStartServer(parsed);
  const annotations = [
    ...annotationsOf(file, code, parsed.comments),
    ...scheduleAnnotations(file, code, schedulesInCode(code, () => parsed.program, { isEntry })),
  ];
  const full = annotations.some(({ name }) => name === BASE_PATH) ? undefined : fullPathUse(code, parsed);
  if (full !== undefined) {
    annotations.push({ name: BASE_PATH, value: "full", place: problemAt(file, code, "", full), valueAt: 0 });
  }
  const takesClients = !isCommonJs && handlersTakeClients(parsed.program, handlerBinding);
  return { ...asked(parsed, code), problems: [], annotations, handlerBinding, takesClients, hasHandler, isCommonJs };
}

const HANDLER_NAMES = ["handler", "main"] as const;
const EXPORTED_HANDLER = /^(default|handler|main|GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)$/;
const COMMON_JS = /\bmodule\s*\.\s*exports\b|\bexports\s*[.[]|\brequire\s*\(/;

function isCommonJsName(file: string, code: string): boolean {
  return /\.c[jt]s$/.test(file) || COMMON_JS.test(code);
}

/** Of a source that cannot be read, nobody knows where its comments end. */
function asOneComment(code: string): Comment {
  return { type: "Line", value: code.replaceAll("//", "  ").replaceAll("/*", " *"), start: 0, end: code.length };
}

/** A schedule such as every five minutes holds what ends a comment of several lines. */
const ENDED_COMMENT = /@fluxbase:schedule[^\n]{0,200}?(\*\/\d)/g;

function endedComments(file: string, code: string): BuildProblem[] {
  for (const { 0: whole, 1: end = "", index } of code.matchAll(ENDED_COMMENT)) {
    if (code.lastIndexOf("/*", index) <= code.lastIndexOf("*/", index)) continue;
    const message =
      "*/ ends the comment in the middle of the schedule: write it in a comment of one line, // @fluxbase:schedule */5 * * * *, or with 0/5 instead of */5";
    return [problemAt(file, code, message, index + whole.length - end.length)];
  }
  return [];
}

function scheduleAnnotations(file: string, code: string, found: readonly CodeSchedule[]): Annotation[] {
  return found.slice(0, ANNOTATIONS_MAX_COUNT).map(({ text, job, start }) => ({
    name: "schedule",
    value: (text ?? "").slice(0, ANNOTATION_VALUE_MAX_CHARACTERS),
    place: problemAt(file, code, "", start),
    valueAt: 0,
    inCode: { ...(job === undefined ? {} : { job }), ...(text === undefined ? { isUnread: true } : {}) },
  }));
}

/** Every line of every comment may hold one; only looked for where the text occurs at all. */
function annotationsOf(file: string, code: string, comments: readonly Comment[]): Annotation[] {
  const found: Annotation[] = [];
  for (const { value, end, type } of comments) {
    if (!value.includes("@fluxbase:")) continue;
    let offset = end - value.length - (type === "Block" ? 2 : 0);
    for (const line of value.split("\n")) {
      const [, before = "", name = "", text = ""] = /^([\s*]*)@fluxbase:([^\s]*)(.*)$/.exec(line.trimEnd()) ?? [];
      if (name !== "" && found.length < ANNOTATIONS_MAX_COUNT) {
        const place = problemAt(file, code, "", offset + before.length);
        const value = text.replace(/\s*\*\/\s*$/, "").trim().slice(0, ANNOTATION_VALUE_MAX_CHARACTERS);
        const valueAt = "@fluxbase:".length + name.length + text.length - text.trimStart().length;
        found.push({ name, value, place, valueAt });
      }
      offset += line.length + 1;
    }
  }
  return found;
}

/** Of JavaScript that we made. */
export function importsIn(file: string, code: string): readonly ImportUse[] {
  return asked(parseSync(file, code, { sourceType: "module" }), code).imports;
}

/** The tree is the costly part: it is only made for what it alone tells. */
function asked(parsed: ParseResult, code: string): Asked {
  const imports = importsOf(parsed);
  if (parsed.module.dynamicImports.length === 0 && !/require|getBuiltinModule|\\u/.test(code)) {
    return { ...nothingAsked(), imports };
  }
  const { imports: dynamic, ...rest } = askedIn(parsed.program);
  return { imports: [...imports, ...dynamic], ...rest };
}

export function noHandlerProblem(file: string): BuildProblem {
  return { message: NO_HANDLER, file, line: null, column: null, snippet: null };
}

interface Asked {
  readonly imports: ImportUse[];
  readonly requires: ImportUse[];
  readonly builtIns: ImportUse[];
  /** Whether the source has a `require` of its own anywhere. */
  bindsRequire: boolean;
}

function nothingAsked(): Asked {
  return { imports: [], requires: [], builtIns: [], bindsRequire: false };
}

/** What is asked for in an expression: `import(…)`, `require(…)`, `process.getBuiltinModule(…)`. */
function askedIn(node: unknown, found: Asked = nothingAsked()): Asked {
  if (Array.isArray(node)) { for (const one of node) askedIn(one, found); }
  if (!isNode(node)) return found;
  if (node.type === "ImportExpression") found.imports.push(...usesIn(node["source"]));
  const { callee } = node;
  if (node.type === "CallExpression" && isNode(callee) && Array.isArray(node["arguments"])) {
    const { property } = callee;
    const [first] = node["arguments"];
    if (isRequire(callee)) found.requires.push(...usesIn(first));
    else if (isNode(property) && property["name"] === "getBuiltinModule") found.builtIns.push(...usesIn(first));
  }
  found.bindsRequire ||= bindsRequire(node);
  for (const child of Object.values(node)) if (typeof child === "object" && child !== null) askedIn(child, found);
  return found;
}

function bindsRequire(node: Node): boolean {
  const names = new Set<string>();
  addPatternNames(node["id"] ?? node["local"], names);
  if (Array.isArray(node["params"])) { for (const parameter of node["params"]) addPatternNames(parameter, names); }
  return names.has("require");
}

/** Also `require.resolve`. */
function isRequire({ name, object }: Node): boolean {
  return name === "require" || (isNode(object) && object["name"] === "require");
}

function usesIn(expression: unknown): ImportUse[] {
  return textsOf(expression).map((specifier) => ({
    specifier,
    start: isNode(expression) ? Number(expression["start"]) : 0,
  }));
}

/** The texts that an expression can be, as far as a bundler would work them out. */
function textsOf(node: unknown): string[] {
  if (!isNode(node)) return [];
  switch (node.type) {
    case "Literal":
      return typeof node["value"] === "string" ? [node["value"]] : [];
    case "TemplateLiteral":
      return textsOfTemplate(node["quasis"], node["expressions"]);
    case "BinaryExpression":
      return node["operator"] === "+" ? joined(textsOf(node["left"]), textsOf(node["right"])) : [];
    case "ConditionalExpression":
      return [...textsOf(node["consequent"]), ...textsOf(node["alternate"])];
    case "LogicalExpression":
      return [...textsOf(node["left"]), ...textsOf(node["right"])];
    case "SequenceExpression":
      return textsOf(Array.isArray(node["expressions"]) ? node["expressions"].at(-1) : undefined);
    default:
      // Parentheses, `as`, `satisfies`, `!`.
      return textsOf(node["expression"]);
  }
}

function textsOfTemplate(quasis: unknown, expressions: unknown): string[] {
  if (!Array.isArray(quasis) || !Array.isArray(expressions)) return [];
  return quasis.reduce<string[]>((texts, quasi, index) => {
    const { cooked } = quasi.value ?? {};
    const next = joined(texts, typeof cooked === "string" ? [cooked] : []);
    return index < expressions.length ? joined(next, textsOf(expressions[index])) : next;
  }, [""]);
}

/** Each of one list before each of the other: none where one is unknown. */
function joined(before: readonly string[], after: readonly string[]): string[] {
  return before.flatMap((start) => after.map((end) => start + end)).slice(0, TEXTS_MAX_COUNT);
}

function importsOf({ module }: ParseResult): ImportUse[] {
  const uses: ImportUse[] = module.staticImports.map(({ moduleRequest, entries }) => ({
    specifier: moduleRequest.value,
    start: moduleRequest.start,
    names: entries.map(({ importName }) => importName.name ?? importName.kind),
  }));
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest, importName } of entries) {
      if (moduleRequest === null) continue;
      const names = [importName.name ?? importName.kind];
      uses.push({ specifier: moduleRequest.value, start: moduleRequest.start, names });
    }
  }
  return uses;
}

function exportsHandler({ module }: ParseResult): boolean {
  return module.staticExports.some(({ entries }) =>
    entries.some(({ isType, exportName }) =>
      !isType &&
      (exportName.kind === "Default" || EXPORTED_HANDLER.test(exportName.name ?? ""))
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

/** Only loading tells whether a module that imports something, or calls something at its top level, starts a server. */
function mayStartServer({ module, program }: ParseResult): boolean {
  const { staticImports, staticExports, dynamicImports } = module;
  return staticImports.length > 0 || dynamicImports.length > 0 ||
    staticExports.some(({ entries }) => entries.some(({ moduleRequest }) => moduleRequest !== null)) ||
    callsOutsideFunctions(program);
}

const CALLS: ReadonlySet<string> = new Set(["CallExpression", "NewExpression", "TaggedTemplateExpression"]);

function callsOutsideFunctions(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(callsOutsideFunctions);
  if (!isNode(node)) return false;
  if (CALLS.has(node.type)) return true;
  if (node.type.includes("Function")) return false;
  return Object.values(node).some((child) =>
    typeof child === "object" && child !== null && callsOutsideFunctions(child)
  );
}

const BASE_PATH = "base-path";
const FULL_PATH = "/functions/v1/";
/** Of routers: what takes a path before all others, and what takes one with what answers there. */
const BASE_METHODS = /^(?:basePath|use|route|mount)$/;
const ROUTE_METHODS = /^(?:get|post|put|patch|delete|all)$/;
const BASE_OPTIONS = /^(?:base|prefix|basePath)$/;

/** Where a router is told the whole public path: only with that will it find its routes. */
function fullPathUse(code: string, { program }: ParseResult): number | undefined {
  if (!code.includes(FULL_PATH)) return undefined;
  let place: number | undefined;
  new Visitor({
    CallExpression({ callee, arguments: [first, second], start }) {
      if (callee.type !== "MemberExpression" || callee.property.type !== "Identifier" || !isFullPath(first)) return;
      const { name } = callee.property;
      const isRoute = ROUTE_METHODS.test(name) && second?.type.includes("Function");
      if (BASE_METHODS.test(name) || isRoute) place ??= start;
    },
    Property({ key, value, start }) {
      if (key.type === "Identifier" && BASE_OPTIONS.test(key.name) && isFullPath(value)) place ??= start;
    },
  }).visit(program);
  return place;
}

function isFullPath(node: unknown): boolean {
  return isNode(node) && typeof node["value"] === "string" && node["value"].startsWith(FULL_PATH);
}

function handlersTakeClients({ body }: Program, handlerBinding: string | undefined): boolean {
  return body.some((statement) => {
    if (statement.type === "ExportDefaultDeclaration") return takesClients(statement.declaration);
    const declared = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement;
    if (declared?.type === "FunctionDeclaration") return declared.id?.name === handlerBinding && takesClients(declared);
    return declared?.type === "VariableDeclaration" &&
      declared.declarations.some(({ id, init }) =>
        id.type === "Identifier" && id.name === handlerBinding && takesClients(init)
      );
  });
}

/** By what nobody else's handlers have: a second parameter of that name, or four. */
function takesClients(node: unknown): boolean {
  if (!isNode(node) || !Array.isArray(node["params"])) return false;
  const second: unknown = node["params"][1];
  const name = isNode(second) ? second["name"] : undefined;
  return node["params"].length === 4 || (typeof name === "string" && /^_?fluxbase/i.test(name));
}

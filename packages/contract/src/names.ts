/**
 * Names of functions and namespaces: checked once at the border, then trusted by their type.
 *
 * @module
 */
import { PlatformError } from "./errors.ts";

declare const brand: unique symbol;
export type FunctionName = string & { readonly [brand]: "FunctionName" };
export type Namespace = string & { readonly [brand]: "Namespace" };

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/;
const NAME_RULE = "1 to 63 letters, digits, hyphens or underscores, the first a letter or digit";

/** Names that would shadow a route or a file of the platform. */
export const RESERVED_NAMES: readonly string[] = [
  "shared",
  "_shared",
  "index",
  "main",
  "handler",
  "sync",
  "reload",
  "namespaces",
  "executions",
];

export const DEFAULT_NAMESPACE = "default" as Namespace;

/** What is wrong with `text` as a function name, or undefined if nothing is. */
export function functionNameProblem(text: string): string | undefined {
  if (!NAME.test(text)) return `${quoted(text)} is no function name: it must be ${NAME_RULE}`;
  if (RESERVED_NAMES.includes(text)) {
    return `"${text}" is no function name: it is reserved, as are ${RESERVED_NAMES.join(", ")}`;
  }
  return undefined;
}

/** What is wrong with `text` as a namespace, or undefined if nothing is. */
export function namespaceProblem(text: string): string | undefined {
  if (!NAME.test(text)) return `${quoted(text)} is no namespace: it must be ${NAME_RULE}`;
  // `/functions/shared/…` are the shared modules.
  return text === "shared" ? `"shared" is no namespace: it is reserved` : undefined;
}

const MODULE_PATH =
  /^_shared\/(?:[A-Za-z0-9_@-][A-Za-z0-9_@.-]*\/)*[A-Za-z0-9_@-][A-Za-z0-9_@.-]*\.([cm]?[jt]sx?|jsonc?|txt|md|html|css|sql|graphql|csv|svg|xml|ya?ml)$/;

/** What is wrong with `text` as the path of a shared module, or undefined if nothing is. */
export function modulePathProblem(text: string): string | undefined {
  if (MODULE_PATH.test(text) && text.length <= 200) return undefined;
  return `${
    quoted(text)
  } is no path of a shared module: it must look like _shared/utils/date.ts, of letters, digits, hyphens, underscores and dots, and end like source or text (.ts, .tsx, .js, .json, .txt, .html, .sql …)`;
}

/** The only maker of a FunctionName. */
export function parseFunctionName(text: string): FunctionName {
  const problem = functionNameProblem(text);
  if (problem !== undefined) throw new PlatformError("INVALID_ARGUMENT", `Cannot use this name: ${problem}`);
  return text as FunctionName;
}

/** The only maker of a Namespace. */
export function parseNamespace(text: string): Namespace {
  const problem = namespaceProblem(text);
  if (problem !== undefined) throw new PlatformError("INVALID_ARGUMENT", `Cannot use this namespace: ${problem}`);
  return text as Namespace;
}

/** The value as a caller may see it again: JSON-quoted, and short. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/**
 * The fields of a function as clients send them: parsed once, every problem named at once.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { CAPTURE_MODES, functionNameProblem, isBesidePath, namespaceProblem, PlatformError } from "@fluxbase/contract";
import { z } from "zod";
import { unknownField } from "../core/nearest.ts";

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const FILE_PATH_MAX_CHARACTERS = 200;
const FILE_PATH_PART = /^(?!\.{1,2}$)[A-Za-z0-9_@.-]+$/;
const PROBLEMS_SHOWN_COUNT = 20;

/** Text that every part of the platform can keep: Postgres knows no NUL, UTF-8 no half characters. */
const isKeepable = (value: string) => !value.includes("\0") && value.isWellFormed();
const text = z.string().refine(isKeepable, "must not contain NUL or unpaired surrogates");
const isText = (value: unknown) => typeof value === "string" && isKeepable(value);
const textOrList = z.union([text, z.array(text)]).nullable();
const flag = z.boolean();

/** A record whose keys are checked one by one; a plain object would let `__proto__` slip through. */
const texts = z.custom<Record<string, string>>(
  (value) => isRecord(value) && Object.values(value).every(isText),
  { message: "must be an object whose values are strings without NUL" },
);

const textsOrNull = z.custom<Record<string, string | null>>(
  (value) => isRecord(value) && Object.values(value).every((item) => item === null || isText(item)),
  { message: "must be an object whose values are strings without NUL, or null" },
);

const flagOrHosts = z.union([z.boolean(), z.array(z.string()).readonly()], "must be true, false or a list of hosts")
  .nullable();

const reach = z.enum(["namespace", "admin"]).nullable();

/** Null takes a setting away, so that the annotation or the default counts again; other fields it leaves as they are. */
const FIELDS = {
  namespace: text,
  code: text.min(1, "must not be empty"),
  files: texts,
  description: text.max(1_000, "must have at most 1,000 characters").nullable(),
  enabled: flag,
  timeout: z.number().nullable(),
  timeout_seconds: z.number().nullable(),
  memory: z.number().nullable(),
  memory_limit_mb: z.number().nullable(),
  max_response_bytes: z.number().nullable(),
  env: texts,
  permissions: z.strictObject({
    net: flagOrHosts,
    env: flag.nullable(),
    read: flag.nullable(),
    write: flag.nullable(),
    service: reach,
  }).partial().nullable(),
  allow_net: flagOrHosts,
  allow_env: flag.nullable(),
  allow_read: flag.nullable(),
  allow_write: flag.nullable(),
  allow_service: reach,
  allow_unauthenticated: flag.nullable(),
  is_public: flag.nullable(),
  cors_origins: textOrList,
  cors_methods: textOrList,
  cors_headers: textOrList,
  cors_credentials: flag.nullable(),
  cors_max_age: z.number().nullable(),
  rate_limit: text.nullable(),
  rate_limit_per_minute: z.number().nullable(),
  rate_limit_per_hour: z.number().nullable(),
  rate_limit_per_day: z.number().nullable(),
  cron_schedule: text.nullable(),
  isolation: z.enum(["shared", "request"]).nullable(),
  base_path: z.enum(["keep", "strip", "full"]).nullable(),
  auth: z.enum(["platform", "none"]).nullable(),
  cors: z.enum(["on", "off"]).nullable(),
  routes: textOrList,
  disable_execution_logs: flag.nullable(),
  verify: text.nullable(),
  respond_async: flag.nullable(),
  retries: z.number().nullable(),
  task_concurrency: z.number().nullable(),
  capture: z.enum(CAPTURE_MODES).nullable(),
  hooks: textOrList,
  is_bundled: flag,
  is_pre_bundled: flag,
  original_code: text,
} as const;

const fieldsSchema = z.strictObject({ name: text, ...FIELDS }).partial();
export const functionCreateSchema = fieldsSchema.required({ name: true });
/** Of the environment what is not named stays; null takes a variable away. */
export const functionUpdateSchema = fieldsSchema.extend({ env_changes: textsOrNull.optional() });

export type FunctionInput = z.output<typeof functionUpdateSchema>;
export type NewFunctionInput = z.output<typeof functionCreateSchema>;

const NULL_IS_NOTHING: ReadonlySet<string> = new Set([
  "namespace",
  "code",
  "files",
  "enabled",
  "env",
  "permissions",
  "is_bundled",
  "is_pre_bundled",
  "original_code",
]);

/** What clients send for a setting that nobody has set: they mean the default. */
const UNSET: Readonly<Record<string, unknown>> = {
  ...Object.fromEntries(
    [
      "timeout",
      "timeout_seconds",
      "memory",
      "memory_limit_mb",
      "max_response_bytes",
      "rate_limit_per_minute",
      "rate_limit_per_hour",
      "rate_limit_per_day",
    ].map((name) => [name, 0]),
  ),
  cron_schedule: "",
  rate_limit: "",
  isolation: "",
};

function withoutNulls(value: unknown): unknown {
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, one]) => [name, Object.hasOwn(UNSET, name) && UNSET[name] === one ? null : one] as const)
      .filter(([name, one]) => one !== null || !NULL_IS_NOTHING.has(name)),
  );
}

/**
 * A function as this server showed it, sent back: what is as it was shown is no change, and what nobody can set is not
 * listened to.
 */
export function changesOf(sent: unknown, shown: Readonly<Record<string, unknown>>): unknown {
  if (!isRecord(sent) || sent["id"] !== shown["id"]) return sent;
  const isField = (name: string) => Object.hasOwn(functionUpdateSchema.shape, name);
  const entries = Object.entries(sent).filter(([name, value]) =>
    isDeepStrictEqual(value, shown[name]) ? false : isField(name) || !Object.hasOwn(shown, name)
  );
  return Object.fromEntries(entries);
}

/** @throws {PlatformError} INVALID_ARGUMENT naming every field that is wrong */
export function parseNewFunction(sent: unknown): NewFunctionInput {
  const value = withoutNulls(sent);
  const { data, error } = functionCreateSchema.safeParse(value);
  const problems = [...problemsOf(error, value), ...(isRecord(value) ? ownProblems(value) : [])];
  if (isRecord(value) && value["code"] === undefined && value["files"] === undefined) {
    problems.push('"code" is missing');
  }
  if (data === undefined || problems.length > 0) throw invalidFunction(problems);
  return data;
}

/** @throws {PlatformError} INVALID_ARGUMENT naming every field that is wrong */
export function parseFunctionUpdate(sent: unknown): FunctionInput {
  const value = withoutNulls(sent);
  const { data, error } = functionUpdateSchema.safeParse(value);
  const problems = [...problemsOf(error, value), ...(isRecord(value) ? ownProblems(value) : [])];
  if (data === undefined || problems.length > 0) throw invalidFunction(problems);
  return data;
}

export function invalidFunction(problems: readonly string[]): PlatformError {
  const shown = problems.slice(0, PROBLEMS_SHOWN_COUNT);
  const rest = problems.length - shown.length;
  return new PlatformError(
    "INVALID_ARGUMENT",
    `Cannot accept the function: ${shown.join("; ")}${rest > 0 ? `; and ${rest} more` : ""}`,
    { details: { problems: shown } },
  );
}

function problemsOf(error: z.ZodError | undefined, value: unknown): string[] {
  if (error === undefined) return [];
  if (!isRecord(value)) return ['the body must be a JSON object, such as {"name": "hello", "code": "…"}'];
  const seen = new Set<string>();
  return error.issues.flatMap((issue): string[] => {
    const path = issue.path.join(".");
    // The first thing that is wrong with a field explains the others.
    if (path !== "" && seen.has(path)) return [];
    seen.add(path);
    switch (issue.code) {
      case "unrecognized_keys":
        return issue.keys.map((key) =>
          path === "" ? unknownField(key, Object.keys(functionUpdateSchema.shape)) : unknownField(`${path}.${key}`, [])
        );
      case "invalid_type":
        return [
          valueAt(value, issue.path) === undefined
            ? `"${path}" is missing`
            : `"${path}" must be ${withArticle(issue.expected)}, not ${kindOf(valueAt(value, issue.path))}`,
        ];
      case "invalid_union":
        return [`"${path}" must be a string or a list of strings, not ${kindOf(valueAt(value, issue.path))}`];
      case "invalid_value":
        return [`"${path}" must be one of ${issue.values.join(", ")}`];
      default:
        return [`"${path}" ${issue.message}`];
    }
  });
}

/** Names, which have rules of their own. */
function ownProblems(value: Record<string, unknown>): string[] {
  const problems: (string | undefined)[] = [];
  const { name, namespace, env, env_changes: changes, files } = value;
  if (typeof name === "string") problems.push(functionNameProblem(name));
  if (typeof namespace === "string") problems.push(namespaceProblem(namespace));
  for (const [field, names] of Object.entries({ env, env_changes: changes })) {
    for (const key of isRecord(names) ? Object.keys(names) : []) {
      if (ENV_NAME.test(key) && key !== "__proto__") continue;
      problems.push(
        `${quoted(`${field}.${key}`)} is no name for a variable: letters, digits and underscores, no digit first`,
      );
    }
  }
  if (isRecord(files)) problems.push(...fileProblems(files));
  return problems.filter((problem) => problem !== undefined);
}

function fileProblems(files: Readonly<Record<string, unknown>>): string[] {
  const paths = Object.keys(files);
  const folders = new Set(paths.flatMap((path) => [...path.matchAll(/\//g)].map(({ index }) => path.slice(0, index))));
  return paths.flatMap((path) => {
    const isPath = path.length <= FILE_PATH_MAX_CHARACTERS && path !== "__proto__" &&
      (isBesidePath(path) || path.split("/").every((part) => FILE_PATH_PART.test(part)));
    if (!isPath) {
      return [
        `${
          quoted(`files.${path}`)
        } is no path for a file: it must be relative, and stay in the function's folder or be of source beside it (../helpers/x.ts)`,
      ];
    }
    if (folders.has(path)) return [`${quoted(`files.${path}`)} is a file and a folder`];
    if (path.endsWith(".wasm") && !isBase64(files[path])) return [`${quoted(`files.${path}`)} must be base64`];
    return [];
  });
}

function isBase64(value: unknown): boolean {
  try {
    return typeof value === "string" && Uint8Array.fromBase64(value).length > 0;
  } catch {
    return false;
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, key) => isRecord(inner) ? inner[String(key)] : undefined, value);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return withArticle(typeof value);
}

function withArticle(kind: string): string {
  if (kind === "record") return "an object";
  return `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`;
}

function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

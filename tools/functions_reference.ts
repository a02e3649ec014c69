/**
 * The page of what can be set for one function: fields of the API, annotations, types, bounds and defaults.
 *
 * Names, types and defaults come from the code; a field or an annotation that is missing here, or that is not there any
 * more, is an error.
 *
 * @module
 */
import { DEFAULT_SETTINGS, type FunctionSettingsFields, type Limit, LIMITS } from "../packages/contract/mod.ts";
import { settingsView } from "../packages/server/src/api/function_view.ts";
import { ANNOTATION_NAMES, readAnnotations } from "../packages/server/src/deploy/annotations.ts";
import { type FunctionInput, functionUpdateSchema } from "../packages/server/src/deploy/function_input.ts";
import { TASK_BOUNDS } from "../packages/server/src/deploy/merge_settings.ts";
import { code, generatedFrom, table } from "./markdown.ts";

interface Row {
  /** An example, as it stands in a comment. */
  readonly annotation?: string;
  readonly type: string;
  readonly bounds?: string;
  readonly about: string;
}

type Field =
  | keyof FunctionSettingsFields & keyof FunctionInput
  | "description"
  | "namespace"
  | "enabled"
  | "env"
  | "env_changes";

const between = ({ min, max }: Pick<Limit, "min" | "max">, unit: string, factor = 1) =>
  `${(min / factor).toLocaleString("en")} to ${(max / factor).toLocaleString("en")} ${unit}`;

const ROWS: Readonly<Partial<Record<Field, Row>>> = {
  timeout: {
    annotation: "timeout 30s",
    type: "seconds",
    bounds: "0.001 s to `FLUXBASE_LIMITS_WALL_MAX_MS`",
    about: "Time for one call, from the first byte of the request to the last byte of the response.",
  },
  memory: {
    annotation: "memory 256",
    type: "megabytes",
    bounds: between(LIMITS.memoryMiB, "MB"),
    about: "JavaScript heap of one sandbox.",
  },
  max_response_bytes: {
    annotation: "max-response 100MB",
    type: "bytes",
    bounds: between(LIMITS.responseBodyBytes, "MB", 1024 ** 2),
    about: "Size of one response body.",
  },
  allow_unauthenticated: {
    annotation: "allow-unauthenticated",
    type: "boolean",
    about: "Anyone may call the function without a key.",
  },
  auth: {
    annotation: "auth none",
    type: "`platform`, `none`",
    about:
      "`none`: the function checks its callers itself; credentials that are not this server's are passed on to it.",
  },
  is_public: {
    annotation: "public false",
    type: "boolean",
    about: "Callers without the scope `functions:read` see the function in lists.",
  },
  cors_origins: {
    annotation: "cors-origins https://app.example.com",
    type: "list of origins, or `*`",
    about: "Origins whose pages may call it. Empty: `FLUXBASE_CORS_ALLOWED_ORIGINS`.",
  },
  cors_methods: {
    annotation: "cors-methods GET,POST",
    type: "list of methods",
    about: "Methods those pages may use.",
  },
  cors_headers: {
    annotation: "cors-headers Content-Type,Authorization",
    type: "list of headers, or `*`",
    about: "Request headers those pages may send.",
  },
  cors_credentials: {
    annotation: "cors-credentials true",
    type: "boolean",
    about: "Those pages may send cookies and authorization headers. Not together with `*`.",
  },
  cors_max_age: {
    annotation: "cors-max-age 3600",
    type: "seconds",
    bounds: "0 to 86,400 s",
    about: "How long browsers may cache a preflight.",
  },
  cors: {
    annotation: "cors off",
    type: "`on`, `off`",
    about: "`off`: the function answers OPTIONS itself, and no CORS headers are added.",
  },
  rate_limit: {
    annotation: "rate-limit 100/min",
    type: "`N/min`, `N/hour`, `N/day`, or several with commas",
    bounds: "1 to 1,000,000,000 requests",
    about: "Calls for each user or key; anonymous callers are counted by IP address.",
  },
  allow_net: {
    annotation: "allow-net api.stripe.com,*.example.com",
    type: "boolean or list of hosts",
    bounds: "50 hosts",
    about: "Network access: all public hosts, none, or only these.",
  },
  allow_env: { annotation: "allow-env false", type: "boolean", about: "Access to environment variables." },
  allow_read: { annotation: "allow-read", type: "boolean", about: "Reading files of its scratch folder." },
  allow_write: { annotation: "allow-write", type: "boolean", about: "Writing files to its scratch folder." },
  allow_service: {
    type: "`namespace`, `admin`",
    about: "What the function's own service-role key may do; only an admin may set `admin`.",
  },
  isolation: {
    annotation: "isolation request",
    type: "`shared`, `request`",
    about: "`request`: a new sandbox for each call, discarded afterwards.",
  },
  base_path: {
    annotation: "base-path strip",
    type: "`keep`, `strip`, `full`",
    about: "Which path `req.url` has: with the function's name, without it, or exactly as it was called.",
  },
  routes: {
    annotation: "route GET /shop/*",
    type: "list of paths, each with a method or without",
    bounds: "20 paths",
    about: "Public paths of its own.",
  },
  verify: {
    annotation: "verify stripe STRIPE_WEBHOOK_SECRET",
    type: "sender and name of a secret",
    about: "Requests must carry a valid signature ([Webhooks](../webhooks.md)).",
  },
  hooks: {
    annotation: "hook before_sign_in",
    type: "list of events",
    about: "Authentication events that call the function ([Authentication hooks](../auth-hooks.md)).",
  },
  cron_schedule: {
    annotation: "schedule 0 9 * * MON-FRI Europe/Paris",
    type: "cron expression with an optional time zone",
    bounds: "50 schedules by annotation",
    about: "When the function runs ([Schedules](../schedules.md)).",
  },
  respond_async: {
    annotation: "respond-async",
    type: "boolean",
    about: "Every call is queued and answered with 202 ([Asynchronous calls](../asynchronous-calls.md)).",
  },
  retries: {
    annotation: "retries 5",
    type: "number",
    bounds: between(TASK_BOUNDS.retries, "attempts"),
    about: "Attempts of a queued call after the first one.",
  },
  task_concurrency: {
    annotation: "task-concurrency 2",
    type: "number",
    bounds: between(TASK_BOUNDS.task_concurrency, "calls"),
    about: "Queued calls that run at the same time, on all servers together.",
  },
  capture: {
    annotation: "capture errors",
    type: "`none`, `errors`, `all`",
    about:
      "Which requests are kept, without credentials, to be replayed. Default: `errors` in development, else `none`.",
  },
  disable_execution_logs: {
    annotation: "disable-execution-logs",
    type: "boolean",
    about: "Log lines are not stored.",
  },
  description: {
    annotation: "description Greets people",
    type: "text",
    bounds: "1,000 characters",
    about: "For people.",
  },
  namespace: {
    annotation: "namespace shop",
    type: "name",
    about: "Which group of functions it belongs to; cannot be changed later.",
  },
  enabled: { type: "boolean", about: "`false`: calls get 403 `FUNCTION_DISABLED`." },
  env: { type: "object of texts", about: "Environment variables; values can be set but never read back." },
  env_changes: {
    type: "object of texts or `null`",
    about: "Sets single variables in an update and keeps the others; `null` removes one.",
  },
};

/** Other spellings of the same, and what is no setting. */
const ALSO: Readonly<Record<string, string>> = {
  timeout_seconds: "timeout",
  memory_limit_mb: "memory",
  rate_limit_per_minute: "rate_limit",
  rate_limit_per_hour: "rate_limit",
  rate_limit_per_day: "rate_limit",
};
const SOURCE: readonly string[] = [
  "name",
  "code",
  "files",
  "permissions",
  "is_bundled",
  "is_pre_bundled",
  "original_code",
];
const DEFAULTS: Readonly<Record<string, unknown>> = {
  ...settingsView(DEFAULT_SETTINGS),
  enabled: true,
  namespace: "default",
};

export function functionsPage(): string {
  assertComplete();
  const rows = Object.entries(ROWS).map(([field, { annotation, type, bounds = "", about }]) => [
    code(field),
    annotation === undefined ? "" : code(`@fluxbase:${annotation}`),
    type,
    bounds,
    defaultOf(field),
    about,
  ]);
  const also = Object.entries(ALSO).map(([name, field]) => `${code(name)} (${code(field)})`).join(", ");
  return `# Settings of a function

Set them through the API, the command line or the dashboard, or as an annotation in a comment of the source. The API wins
over the annotation, and the annotation over the default; \`settings_origins\` of a function says where each value comes
from. \`null\` removes what the API has set. [Configuration](../configuration.md) has examples.

${generatedFrom("packages/server/src/deploy/")}
${table(["API field", "Annotation", "Type", "Bounds", "Default", "What it does"], rows)}
Other names: ${also}. The four permissions may also be sent together, as
\`"permissions": { "net": true, "env": true, "read": false, "write": false }\`.
`;
}

function defaultOf(field: string): string {
  const value = DEFAULTS[field];
  if (value === null && field.startsWith("cors_")) return "the server's";
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return "";
  return code(String(value));
}

function assertComplete(): void {
  const fields = Object.keys(functionUpdateSchema.shape).filter((name) => !SOURCE.includes(name));
  const known = [...Object.keys(ROWS), ...Object.keys(ALSO)];
  const examples = Object.entries(ROWS).flatMap(([field, { annotation }]) =>
    annotation === undefined
      ? []
      : [{ field, name: annotation.split(" ")[0] ?? "", value: annotation.replace(/^\S+ ?/, "") }]
  );
  assertSame("fields of a function", fields, known);
  assertSame("annotations", ANNOTATION_NAMES, examples.map(({ name }) => name));
  for (const { field, name, value } of examples) {
    const place = { message: "", file: null, line: null, column: null, snippet: null };
    const { inputs: [read], schedules } = readAnnotations([{ name, value, valueAt: 0, place }]);
    const set = Object.keys(read?.input ?? {}).map((one) => ALSO[one] ?? one);
    if (!set.includes(field) && !(field === "cron_schedule" && schedules.length === 1)) {
      throw new Error(`tools/functions_reference.ts: "@fluxbase:${name} ${value}" does not set ${field}`);
    }
  }
}

function assertSame(what: string, actual: readonly string[], described: readonly string[]): void {
  const missing = actual.filter((name) => !described.includes(name));
  const gone = described.filter((name) => !actual.includes(name));
  if (missing.length + gone.length === 0) return;
  throw new Error(
    `tools/functions_reference.ts: ${what}: not described: ${missing.join(", ") || "none"}; not there: ${
      gone.join(", ") || "none"
    }`,
  );
}

/**
 * The settings of a function as they are shown: each under the name that the API has for it.
 *
 * @module
 */
import type { FunctionDetails } from "@fluxbase/sdk";

export interface SettingField {
  readonly name: string;
  readonly label: string;
  readonly kind: "number" | "text" | "list" | "switch" | "choice" | "hosts";
  readonly hint?: string;
  readonly choices?: readonly (readonly [string, string])[];
}

export interface SettingGroup {
  readonly title: string;
  readonly fields: readonly SettingField[];
}

const field = (
  name: string,
  label: string,
  kind: SettingField["kind"],
  more: Pick<SettingField, "hint" | "choices"> = {},
): SettingField => ({ name, label, kind, ...more });

export const GROUPS: readonly SettingGroup[] = [
  {
    title: "Limits",
    fields: [
      field("timeout", "Time limit", "number", { hint: "Seconds for one call." }),
      field("memory", "Memory", "number", { hint: "MB for one sandbox." }),
      field("max_response_bytes", "Response size", "number", { hint: "Bytes at most." }),
      field("rate_limit_per_minute", "Calls per minute", "number", { hint: "For each caller. Empty: no limit." }),
      field("rate_limit_per_hour", "Calls per hour", "number", { hint: "For each caller. Empty: no limit." }),
      field("rate_limit_per_day", "Calls per day", "number", { hint: "For each caller. Empty: no limit." }),
      field("isolation", "Isolation", "choice", {
        choices: [["shared", "calls share sandboxes"], ["request", "a new sandbox for each call"]],
      }),
    ],
  },
  {
    title: "Access",
    fields: [
      field("allow_unauthenticated", "Anonymous calls", "switch", {
        hint: "Off: callers without a key or token get 401.",
      }),
      field("is_public", "Visible in lists", "switch", {
        hint: "Off: only keys that may read functions see it listed.",
      }),
      field("auth", "Authentication", "choice", {
        choices: [["platform", "by the server"], ["none", "by the function"]],
        hint: "By the function: it gets every Authorization header and decides itself.",
      }),
      field("verify", "Webhook signature", "text", {
        hint: "A sender and the secret it signs with, such as stripe STRIPE_WEBHOOK_SECRET. Other requests get 401.",
      }),
    ],
  },
  {
    title: "Permissions",
    fields: [
      field("allow_net", "Network access", "hosts", {
        hint: "all, none, or hosts separated by commas: api.example.com, *.example.org",
      }),
      field("allow_env", "Environment variables and secrets", "switch"),
      field("allow_read", "Read files", "switch", { hint: "In its own folder and its scratch space." }),
      field("allow_write", "Write files", "switch", { hint: "In its scratch space." }),
      field("allow_service", "Service role key", "choice", {
        choices: [["namespace", "its namespace only"], ["admin", "everything"]],
        hint: "What the key that the function gets may do. Only admins can change it.",
      }),
    ],
  },
  {
    title: "CORS",
    fields: [
      field("cors", "CORS headers", "choice", {
        choices: [["on", "set by the server"], ["off", "set by the function"]],
        hint: "For calls from web pages of other origins.",
      }),
      field("cors_origins", "Allowed origins", "list", {
        hint: "Separated by commas; * for any. Empty: the server's setting.",
      }),
      field("cors_methods", "Allowed methods", "list", { hint: "Empty: the server's setting." }),
      field("cors_headers", "Allowed headers", "list", { hint: "Empty: the server's setting." }),
      field("cors_credentials", "Cookies and credentials", "choice", {
        choices: [["", "the server's setting"], ["true", "allowed"], ["false", "not allowed"]],
      }),
      field("cors_max_age", "Cache preflights for", "number", { hint: "Seconds. Empty: the server's setting." }),
    ],
  },
  {
    title: "Routing",
    fields: [
      field("routes", "Public paths", "list", { hint: "Separated by commas, such as GET /shop/*" }),
      field("base_path", "Path in the request", "choice", {
        choices: [["keep", "with the function's name"], ["strip", "without the function's name"], [
          "full",
          "as it was called",
        ]],
      }),
    ],
  },
  {
    title: "Triggers",
    fields: [
      field("cron_schedule", "Schedule", "text", {
        hint: "Such as 0 9 * * MON-FRI Europe/Paris. The Triggers page has all schedules, with their runs.",
      }),
      field("hooks", "Auth hooks", "list", {
        hint: "Separated by commas, such as before_sign_in. Only admins can change them.",
      }),
    ],
  },
  {
    title: "Asynchronous calls",
    fields: [
      field("respond_async", "Every call is a task", "switch", {
        hint: "Callers get 202 at once; the call runs later.",
      }),
      field("retries", "Retries", "number", { hint: "Attempts of a task after the first, 0 to 100." }),
      field("task_concurrency", "Tasks at a time", "number", { hint: "On all servers together." }),
    ],
  },
  {
    title: "Records",
    fields: [
      field("capture", "Keep requests for replay", "choice", {
        choices: [
          ["", "the server's setting"],
          ["none", "none"],
          ["errors", "of failed calls"],
          ["all", "of all calls"],
        ],
        hint: "Headers and up to 256 KB of body, encrypted, without credentials. At most 200 requests of a function.",
      }),
      field("disable_execution_logs", "Discard log lines", "switch"),
    ],
  },
];

/** As it is edited. */
export function textOf(fn: FunctionDetails, { name, kind }: SettingField): string {
  const value: unknown = Reflect.get(fn, name);
  if (kind === "hosts") return value === true ? "all" : value === false ? "none" : (value as string[]).join(", ");
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** As it is sent; null takes away what the API has set. */
export function valueOf({ kind }: SettingField, text: string): unknown {
  const trimmed = text.trim();
  switch (kind) {
    case "switch":
      return trimmed === "true";
    case "number":
      return trimmed === "" ? null : Number(trimmed);
    case "list":
      return trimmed === "" ? null : partsOf(trimmed);
    case "hosts":
      return trimmed === "all" || trimmed === "" ? true : trimmed === "none" ? false : partsOf(trimmed);
    case "choice":
      // Of a setting that is on, off, or left to the server.
      return trimmed === "" ? null : trimmed === "true" || trimmed === "false" ? trimmed === "true" : trimmed;
    case "text":
      return trimmed === "" ? null : trimmed;
  }
}

function partsOf(text: string): string[] {
  return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
}

const ENV_LINE = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/;

/** Lines of NAME=value. @throws {Error} for a line that is none */
export function envOf(text: string): Record<string, string> {
  const env: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (line.trim() === "" || line.trim().startsWith("#")) continue;
    const [, name, value = ""] = ENV_LINE.exec(line) ?? [];
    if (name === undefined) throw new Error(`"${line.trim().slice(0, 40)}" is no line such as NAME=value`);
    env[name] = value.trim().replace(/^(["'])(.*)\1$/, "$2");
  }
  return env;
}

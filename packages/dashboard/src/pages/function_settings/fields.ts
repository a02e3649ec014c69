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
      field("max_response_bytes", "Answer", "number", { hint: "Bytes at most." }),
      field("rate_limit_per_minute", "Calls a minute", "number", { hint: "Of one caller; empty: no limit." }),
      field("rate_limit_per_hour", "Calls an hour", "number"),
      field("rate_limit_per_day", "Calls a day", "number"),
      field("isolation", "Sandboxes", "choice", {
        choices: [["shared", "shared by calls"], ["request", "one for each call"]],
      }),
    ],
  },
  {
    title: "Who may call",
    fields: [
      field("allow_unauthenticated", "Without a key", "switch"),
      field("is_public", "Listed for everybody", "switch"),
      field("auth", "Who checks callers", "choice", {
        choices: [["platform", "the server"], ["none", "the function itself"]],
      }),
      field("verify", "Signed by", "text", { hint: "Such as stripe STRIPE_WEBHOOK_SECRET: others get 401." }),
    ],
  },
  {
    title: "What it reaches",
    fields: [
      field("allow_net", "Network", "hosts", {
        hint: "all, none, or hosts with commas: api.example.com, *.example.org",
      }),
      field("allow_env", "Environment", "switch"),
      field("allow_read", "Read files", "switch"),
      field("allow_write", "Write files", "switch"),
      field("allow_service", "Its own key", "choice", {
        choices: [["namespace", "its namespace"], ["admin", "everything"]],
        hint: "Only admins give it more.",
      }),
    ],
  },
  {
    title: "Browsers of other origins",
    fields: [
      field("cors", "CORS headers", "choice", { choices: [["on", "by the server"], ["off", "by the function"]] }),
      field("cors_origins", "Origins", "list", { hint: "With commas; * for any. Empty: as the server." }),
      field("cors_methods", "Methods", "list"),
      field("cors_headers", "Headers", "list"),
      field("cors_max_age", "Remembered", "number", { hint: "Seconds." }),
    ],
  },
  {
    title: "Paths",
    fields: [
      field("routes", "Public paths", "list", { hint: "Such as GET /shop/*" }),
      field("base_path", "The path it sees", "choice", {
        choices: [["keep", "with its name"], ["strip", "behind its name"], ["full", "whole"]],
      }),
    ],
  },
  {
    title: "Records and retries",
    fields: [
      field("disable_execution_logs", "Keep no log lines", "switch"),
      field("retries", "Attempts of a task again", "number"),
      field("task_concurrency", "Tasks at once", "number"),
      field("respond_async", "Answer later", "switch", { hint: "Calls become tasks." }),
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
    case "text":
    case "choice":
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

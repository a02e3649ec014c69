/**
 * What the API has set of a function, as opposed to annotations and defaults: kept with each version in the words of the
 * API, so that a later annotation cannot override it.
 *
 * @module
 */
import type { SettingOrigin } from "@fluxbase/contract";
import type { FunctionInput } from "./function_input.ts";
import { fieldsOfText } from "./merge_settings.ts";

/** Fields that are settings, each under its first name. */
export const SETTING_NAMES = [
  "timeout",
  "memory",
  "max_response_bytes",
  "allow_net",
  "allow_env",
  "allow_read",
  "allow_write",
  "allow_service",
  "allow_unauthenticated",
  "is_public",
  "cors_origins",
  "cors_methods",
  "cors_headers",
  "cors_credentials",
  "cors_max_age",
  "rate_limit_per_minute",
  "rate_limit_per_hour",
  "rate_limit_per_day",
  "cron_schedule",
  "isolation",
  "base_path",
  "auth",
  "cors",
  "routes",
  "disable_execution_logs",
  "verify",
  "respond_async",
  "retries",
  "task_concurrency",
  "capture",
  "hooks",
] as const satisfies readonly (keyof FunctionInput)[];

export type SettingName = (typeof SETTING_NAMES)[number];
export type GivenSettings = Pick<FunctionInput, SettingName>;

/** Sent fields replace, null takes one away, the others stay. */
export function addGiven(before: GivenSettings, input: FunctionInput): GivenSettings {
  const sent = firstNames(input);
  const after: Record<string, unknown> = { ...before };
  for (const name of SETTING_NAMES) {
    if (sent[name] === undefined) continue;
    if (sent[name] === null) delete after[name];
    else after[name] = sent[name];
  }
  return after;
}

/** Each setting under one name, whatever it was sent under. */
function firstNames(
  { timeout_seconds, memory_limit_mb, permissions, rate_limit, ...input }: FunctionInput,
): FunctionInput {
  const { net, env, read, write, service } = permissions ?? {};
  const others: Readonly<Record<string, unknown>> = {
    timeout: timeout_seconds,
    memory: memory_limit_mb,
    allow_net: net,
    allow_env: env,
    allow_read: read,
    allow_write: write,
    allow_service: service,
  };
  const sent = Object.entries(others).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(sent), ...fieldsOfText(rate_limit), ...input };
}

export function originsOf(
  given: Readonly<Record<string, unknown>>,
  annotations: Readonly<Record<string, unknown>>,
): Record<SettingName, SettingOrigin> {
  return Object.fromEntries(
    SETTING_NAMES.map((
      name,
    ) => [name, Object.hasOwn(given, name) ? "api" : Object.hasOwn(annotations, name) ? "annotation" : "default"]),
  ) as Record<SettingName, SettingOrigin>;
}

/**
 * Functions as callers see them: both spellings of every field, never the value of an environment variable.
 *
 * @module
 */
import type { FunctionDetails, FunctionSettings, FunctionSummary } from "@fluxbase/contract";
import { describeProblems } from "../deploy/deploy.ts";
import type { FunctionWithVersion } from "../storage/functions.ts";

export function summaryOf({ function: fn, version }: FunctionWithVersion): FunctionSummary {
  const { settings, problems, bundleBytes } = version;
  return {
    id: fn.id,
    name: fn.name,
    namespace: fn.namespace,
    description: fn.description,
    enabled: fn.enabled,
    version: version.number,
    live_version: fn.liveVersion,
    ...settingsView(settings),
    is_bundled: problems.length === 0,
    bundle_error: problems.length === 0 ? null : describeProblems(problems),
    bundle_size: bundleBytes,
    source: fn.source,
    created_at: fn.createdAt.toISOString(),
    updated_at: fn.updatedAt.toISOString(),
    created_by: fn.createdBy,
  };
}

export function detailsOf(found: FunctionWithVersion): FunctionDetails {
  const { entry, files, envNames, problems } = found.version;
  const code = files[entry] ?? "";
  return {
    ...summaryOf(found),
    code,
    original_code: code,
    files,
    env: envNames,
    bundle_problems: problems,
  };
}

function settingsView(settings: FunctionSettings) {
  const { permissions, cors, rateLimits } = settings;
  const timeout = settings.timeoutMs / 1000;
  const limitPer = (unit: "min" | "hour" | "day") => rateLimits.find(({ per }) => per === unit)?.limit ?? null;
  const [rateLimit] = rateLimits;
  return {
    timeout,
    timeout_seconds: timeout,
    memory: settings.memoryMiB,
    memory_limit_mb: settings.memoryMiB,
    max_response_bytes: settings.responseBodyBytes,
    permissions,
    allow_net: permissions.net,
    allow_env: permissions.env,
    allow_read: permissions.read,
    allow_write: permissions.write,
    allow_unauthenticated: settings.allowUnauthenticated,
    is_public: settings.isPublic,
    cors_origins: cors.origins,
    cors_methods: cors.methods,
    cors_headers: cors.headers,
    cors_credentials: cors.credentials,
    cors_max_age: cors.maxAgeSec,
    rate_limit: rateLimit === undefined ? null : `${rateLimit.limit}/${rateLimit.per}`,
    rate_limit_per_minute: limitPer("min"),
    rate_limit_per_hour: limitPer("hour"),
    rate_limit_per_day: limitPer("day"),
    cron_schedule: settings.cronSchedule,
    isolation: settings.isolation,
    disable_execution_logs: settings.disableExecutionLogs,
  };
}

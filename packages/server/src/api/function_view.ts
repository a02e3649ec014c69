/**
 * Functions as callers see them: both spellings of every field, never the value of an environment variable.
 *
 * @module
 */
import {
  type Canary,
  DEFAULT_RETRIES,
  DEFAULT_TASK_CONCURRENCY,
  type FunctionDetails,
  type FunctionSettings,
  type FunctionSettingsFields,
  type FunctionSummary,
  type FunctionVersion,
  type FunctionVersionDetails,
  type SharedModule,
} from "@fluxbase/contract";
import { nextRuns } from "../schedules/next_runs.ts";
import { describeProblems } from "../deploy/build_version.ts";
import { originsOf } from "../deploy/given_settings.ts";
import { WHOLE } from "../deploy/shared_modules.ts";
import type { FunctionWithVersion, StoredFunction } from "../storage/functions.ts";
import type { StoredModule } from "../storage/shared_modules.ts";
import { ORIGINAL, type StoredVersion } from "../storage/versions.ts";

export function summaryOf({ function: fn, version }: FunctionWithVersion): FunctionSummary {
  const { description } = version.annotations;
  return {
    id: fn.id,
    name: fn.name,
    namespace: fn.namespace,
    description: fn.description ?? (typeof description === "string" ? description : null),
    enabled: fn.enabled,
    version: version.number,
    live_version: fn.liveVersion,
    canary: canaryOf(fn),
    ...settingsView(version.settings),
    ...bundleView(version),
    source: fn.source,
    created_at: fn.createdAt.toISOString(),
    updated_at: fn.updatedAt.toISOString(),
    created_by: fn.createdBy,
  };
}

function canaryOf({ canaryVersion: version, canaryPercent: percent }: StoredFunction): Canary | null {
  return version === null || percent === null ? null : { version, percent };
}

export function detailsOf(found: FunctionWithVersion): FunctionDetails {
  const { version } = found;
  const { code } = sourceView(version);
  return {
    ...summaryOf(found),
    ...sourceView(version),
    original_code: code,
    warnings: version.warnings,
    shared_modules: sharedModulesOf(version),
  };
}

export function versionOf(version: StoredVersion, fn: StoredFunction): FunctionVersion {
  const { timeout, memory } = settingsView(version.settings);
  return {
    version: version.number,
    is_live: version.number === fn.liveVersion,
    traffic_percent: version.number === fn.canaryVersion
      ? fn.canaryPercent ?? 0
      : version.number === fn.liveVersion
      ? 100 - (fn.canaryPercent ?? 0)
      : 0,
    ...bundleView(version),
    content_hash: version.contentHash,
    timeout,
    memory,
    warnings: version.warnings,
    shared_modules: sharedModulesOf(version),
    created_at: version.createdAt.toISOString(),
    created_by: version.createdBy,
  };
}

export function versionDetailsOf(version: StoredVersion, fn: StoredFunction): FunctionVersionDetails {
  return { ...versionOf(version, fn), ...settingsView(version.settings), ...sourceView(version) };
}

export function moduleOf(module: StoredModule): SharedModule {
  return {
    id: module.id,
    namespace: module.namespace,
    module_path: module.modulePath,
    content: module.content,
    description: module.description,
    version: module.version,
    source: module.source,
    created_at: module.createdAt.toISOString(),
    updated_at: module.updatedAt.toISOString(),
    created_by: module.createdBy,
  };
}

function bundleView({ problems, bundleBytes }: StoredVersion) {
  return {
    is_bundled: problems.length === 0,
    bundle_error: problems.length === 0 ? null : describeProblems(problems),
    bundle_size: bundleBytes,
  };
}

function sourceView({ entry, files: stored, envNames, problems, given, annotations }: StoredVersion) {
  const { [ORIGINAL]: original, ...files } = stored;
  return {
    code: original ?? files[entry] ?? "",
    files,
    env: envNames,
    bundle_problems: problems,
    settings_origins: originsOf(given ?? {}, annotations),
  };
}

function sharedModulesOf({ dependencies }: StoredVersion): string[] {
  return Object.keys(dependencies).filter((path) => path.startsWith(WHOLE) && path !== WHOLE).sort();
}

export function settingsView(settings: FunctionSettings): FunctionSettingsFields {
  const { permissions, cors, rateLimits } = settings;
  const { service = "namespace" } = permissions;
  const timeout = settings.timeoutMs / 1000;
  const limitPer = (unit: "min" | "hour" | "day") => rateLimits.find(({ per }) => per === unit)?.limit ?? null;
  return {
    timeout,
    timeout_seconds: timeout,
    memory: settings.memoryMiB,
    memory_limit_mb: settings.memoryMiB,
    max_response_bytes: settings.responseBodyBytes,
    permissions: { ...permissions, service },
    allow_net: permissions.net,
    allow_env: permissions.env,
    allow_read: permissions.read,
    allow_write: permissions.write,
    allow_service: service,
    allow_unauthenticated: settings.allowUnauthenticated,
    is_public: settings.isPublic,
    cors_origins: cors.origins,
    cors_methods: cors.methods,
    cors_headers: cors.headers,
    cors_credentials: cors.credentials,
    cors_max_age: cors.maxAgeSec,
    rate_limit: rateLimits.length === 0 ? null : rateLimits.map(({ limit, per }) => `${limit}/${per}`).join(","),
    rate_limit_per_minute: limitPer("min"),
    rate_limit_per_hour: limitPer("hour"),
    rate_limit_per_day: limitPer("day"),
    cron_schedule: settings.cronSchedule,
    schedules: (settings.schedules ?? []).map((one) => ({ ...one, next_runs: nextRuns(one) })),
    isolation: settings.isolation,
    base_path: settings.basePath ?? "keep",
    auth: settings.auth ?? "platform",
    cors: settings.ownCors ? "off" : "on",
    routes: settings.routes ?? [],
    disable_execution_logs: settings.disableExecutionLogs,
    verify: settings.verify ?? null,
    hooks: settings.hooks ?? [],
    respond_async: settings.respondAsync ?? false,
    retries: settings.retries ?? DEFAULT_RETRIES,
    task_concurrency: settings.taskConcurrency ?? DEFAULT_TASK_CONCURRENCY,
    capture: settings.capture ?? null,
  };
}

/**
 * From what a client sent to the complete settings of a version: sent fields replace, the others stay.
 *
 * @module
 */
import { isToken } from "../../sandbox_runtime/header_rules.ts";
import {
  ACCOUNT_EVENTS,
  AUTH_HOOKS,
  type CaptureMode,
  DEFAULT_RETRIES,
  DEFAULT_TASK_CONCURRENCY,
  type FunctionSettings,
  LIMITS,
  parsePublicRoute,
  type Permissions,
  publicRouteText,
  type RateLimit,
  type ServiceReach,
  type VersionSchedule,
} from "@fluxbase/contract";
import { parseScheduleText } from "../schedules/schedule_text.ts";
import { parseWebhookRule } from "../webhooks/rule.ts";
import { type FunctionInput, invalidFunction } from "./function_input.ts";

export interface SettingsBounds {
  /** The longest time a function may ask for. */
  readonly wallMaxMs: number;
}

/** Of one list; it becomes one header of every answer. */
const CORS_MAX_CHARACTERS = 4_096;
const MS_PER_SEC = 1_000;
const CORS_MAX_AGE_SEC = 86_400;

const RATE_LIMIT_MAX = 1_000_000_000;

/** @throws {PlatformError} INVALID_ARGUMENT naming every field that is wrong */
export function mergeSettings(base: FunctionSettings, sent: FunctionInput, bounds: SettingsBounds): FunctionSettings {
  const problems: string[] = [];
  const input = withoutNulls(sent);

  /** One value that may come under two names. */
  function either<T>(first: keyof FunctionInput, second: keyof FunctionInput, a: T | undefined, b: T | undefined) {
    if (a !== undefined && b !== undefined && String(a) !== String(b)) {
      problems.push(`"${first}" is ${a} and "${second}" is ${b}: send one of the two`);
    }
    return a ?? b;
  }
  function within(
    name: keyof FunctionInput,
    value: number,
    { min, max, unit }: { min: number; max: number; unit: string },
  ) {
    if (value >= min && value <= max) return;
    problems.push(`"${name}" is ${value}: it must be from ${min} to ${max} ${unit}`);
  }
  function whole(name: keyof FunctionInput, value: number): void {
    if (!Number.isInteger(value)) problems.push(`"${name}" is ${value}: it must be a whole number`);
  }

  const timeoutSec = either("timeout", "timeout_seconds", input.timeout, input.timeout_seconds);
  if (timeoutSec !== undefined) {
    within("timeout", timeoutSec, {
      min: LIMITS.wallMs.min / MS_PER_SEC,
      max: bounds.wallMaxMs / MS_PER_SEC,
      unit: "seconds",
    });
  }
  const memoryMiB = either("memory", "memory_limit_mb", input.memory, input.memory_limit_mb);
  if (memoryMiB !== undefined) {
    whole("memory", memoryMiB);
    within("memory", memoryMiB, { ...LIMITS.memoryMiB, unit: "MB" });
  }
  const responseBodyBytes = input.max_response_bytes;
  if (responseBodyBytes !== undefined) {
    whole("max_response_bytes", responseBodyBytes);
    within("max_response_bytes", responseBodyBytes, { ...LIMITS.responseBodyBytes, unit: "bytes" });
  }
  if (typeof input.cors_max_age === "number") {
    whole("cors_max_age", input.cors_max_age);
    within("cors_max_age", input.cors_max_age, { min: 0, max: CORS_MAX_AGE_SEC, unit: "seconds" });
  }
  for (const [name, bounds] of Object.entries(TASK_BOUNDS)) {
    const value = input[name as keyof typeof TASK_BOUNDS];
    if (value === undefined) continue;
    whole(name as keyof FunctionInput, value);
    within(name as keyof FunctionInput, value, bounds);
  }
  const perUnit = { ...fieldsOfText(input.rate_limit, problems), ...limitFields(input) };
  for (const [name, value] of Object.entries(perUnit)) {
    if (typeof value !== "number") continue;
    whole(name as keyof FunctionInput, value);
    within(name as keyof FunctionInput, value, { min: 1, max: RATE_LIMIT_MAX, unit: "requests" });
  }
  if (input.auth === "none" && input.allow_unauthenticated === false) {
    problems.push(
      '"auth" is "none" and "allow_unauthenticated" is false: with "none", anybody may call; send one of the two',
    );
  }
  const schedule = input.cron_schedule === undefined ? undefined : parseScheduleText(input.cron_schedule);
  if (schedule !== undefined && "fault" in schedule) {
    problems.push(`"cron_schedule" ${schedule.fault} (at character ${schedule.at + 1})`);
  }
  const permission = (name: "env" | "read" | "write", alone: boolean | undefined) =>
    either("permissions", `allow_${name}`, input.permissions?.[name] ?? undefined, alone) ?? base.permissions[name];
  const net = either(
    "permissions",
    "allow_net",
    hostsOf(input.permissions?.net ?? undefined, problems),
    hostsOf(input.allow_net, problems),
  );
  const permissions: Permissions = {
    net: net ?? base.permissions.net,
    env: permission("env", input.allow_env),
    read: permission("read", input.allow_read),
    write: permission("write", input.allow_write),
    ...reachOf(
      either("permissions", "allow_service", input.permissions?.service ?? undefined, input.allow_service),
      base,
    ),
  };
  const cors = {
    origins: listOf(input.cors_origins) ?? base.cors.origins,
    methods: listOf(input.cors_methods) ?? base.cors.methods,
    headers: listOf(input.cors_headers) ?? base.cors.headers,
    credentials: input.cors_credentials ?? base.cors.credentials,
    maxAgeSec: input.cors_max_age ?? base.cors.maxAgeSec,
  };
  if (cors.credentials === true && cors.origins?.includes("*")) {
    problems.push(
      '"cors_credentials" is true and "cors_origins" is "*": browsers refuse that; list the origins by name',
    );
  }
  for (const origin of cors.origins ?? []) {
    if (origin !== "*" && URL.parse(origin)?.origin !== origin) {
      problems.push(
        `"cors_origins" has ${JSON.stringify(origin)}: it must be * or an origin such as https://app.example.com`,
      );
    }
  }
  for (const name of ["origins", "methods", "headers"] as const) {
    const length = (cors[name] ?? []).reduce((sum, text) => sum + text.length, 0);
    if (length <= CORS_MAX_CHARACTERS) continue;
    problems.push(`"cors_${name}" has ${length} characters: at most ${CORS_MAX_CHARACTERS} are allowed together`);
  }
  for (const name of ["methods", "headers"] as const) {
    const wrong = cors[name]?.find((text) => !isToken(text));
    if (wrong === undefined) continue;
    problems.push(`"cors_${name}" has ${JSON.stringify(wrong)}: HTTP allows letters, digits and "-" there, no spaces`);
  }
  const routes = routesOf(input.routes, problems) ?? base.routes;
  const rule = input.verify === undefined ? undefined : parseWebhookRule(input.verify);
  if (typeof rule === "string") problems.push(`"verify": ${rule}`);
  const hooks = listOf(input.hooks)?.map((name) => {
    const hook = HOOKS.find((one) => one === name.replaceAll("-", "_"));
    if (hook === undefined) {
      problems.push(`"hooks" has ${JSON.stringify(name.slice(0, 80))}: it must be one of ${HOOKS.join(", ")}`);
    }
    return hook;
  });
  if (problems.length > 0) throw invalidFunction(problems);
  const verify = input.verify?.trim().replaceAll(/\s+/g, " ") ?? base.verify;
  return {
    timeoutMs: timeoutSec === undefined ? base.timeoutMs : Math.max(1, Math.round(timeoutSec * MS_PER_SEC)),
    memoryMiB: memoryMiB ?? base.memoryMiB,
    responseBodyBytes: responseBodyBytes ?? base.responseBodyBytes,
    permissions,
    cors,
    rateLimits: rateLimitsOf(base.rateLimits, perUnit),
    allowUnauthenticated: input.allow_unauthenticated ?? (input.auth === "none" || base.allowUnauthenticated),
    isPublic: input.is_public ?? base.isPublic,
    isolation: input.isolation ?? base.isolation,
    disableExecutionLogs: input.disable_execution_logs ?? base.disableExecutionLogs,
    cronSchedule: input.cron_schedule?.trim().replaceAll(/\s+/g, " ") ?? base.cronSchedule,
    ...unusual(input, base),
    ...(verify === undefined ? {} : { verify }),
    ...tasksOf(input, base),
    ...captureOf(input.capture ?? base.capture),
    ...hooksOf(hooks?.filter((hook) => hook !== undefined) ?? base.hooks),
    ...(routes === undefined || routes.length === 0 ? {} : { routes }),
  };
}

export const TASK_BOUNDS = {
  retries: { min: 0, max: 100, unit: "retries" },
  task_concurrency: { min: 1, max: 1_000, unit: "tasks" },
};

function captureOf(capture: CaptureMode | undefined): Pick<FunctionSettings, "capture"> {
  return capture === undefined ? {} : { capture };
}

/** What is there only where it is not as usual. */
function tasksOf(
  input: Pick<WithoutNulls, "respond_async" | "retries" | "task_concurrency">,
  base: FunctionSettings,
): Pick<FunctionSettings, "respondAsync" | "retries" | "taskConcurrency"> {
  const retries = input.retries ?? base.retries ?? DEFAULT_RETRIES;
  const taskConcurrency = input.task_concurrency ?? base.taskConcurrency ?? DEFAULT_TASK_CONCURRENCY;
  return {
    ...(input.respond_async ?? base.respondAsync ? { respondAsync: true } : {}),
    ...(retries === DEFAULT_RETRIES ? {} : { retries }),
    ...(taskConcurrency === DEFAULT_TASK_CONCURRENCY ? {} : { taskConcurrency }),
  };
}

const ROUTES_MAX_COUNT = 20;

/** The same list for the same routes. */
function routesOf(
  sent: string | readonly string[] | undefined,
  problems: string[],
): readonly string[] | undefined {
  const routes = listOf(sent)?.map((text) => {
    const route = parsePublicRoute(text);
    if (typeof route !== "string") return publicRouteText(route);
    problems.push(`"routes" has ${JSON.stringify(text.slice(0, 100))}: ${route}`);
    return text;
  });
  if (routes !== undefined && routes.length > ROUTES_MAX_COUNT) {
    problems.push(`"routes" lists ${routes.length} paths, and at most ${ROUTES_MAX_COUNT} are possible`);
  }
  return routes && [...new Set(routes)].sort();
}

/** What is there only where it is not as usual. */
function unusual(
  input: Pick<WithoutNulls, "base_path" | "auth" | "cors">,
  base: FunctionSettings,
): Pick<FunctionSettings, "basePath" | "auth" | "ownCors"> {
  const basePath = input.base_path ?? base.basePath ?? "keep";
  return {
    ...(basePath === "keep" ? {} : { basePath }),
    ...((input.auth ?? base.auth) === "none" ? { auth: "none" } : {}),
    ...((input.cors ?? (base.ownCors ? "off" : "on")) === "off" ? { ownCors: true } : {}),
  };
}

/** Kept only where it is more than nothing, so that versions from before are still equal to what they would be now. */
function reachOf(sent: ServiceReach | undefined, { permissions }: FunctionSettings): Pick<Permissions, "service"> {
  return (sent ?? permissions.service) === "admin" ? { service: "admin" } : {};
}

const HOOKS = [...AUTH_HOOKS, ...ACCOUNT_EVENTS];
type Hook = (typeof HOOKS)[number];

/** Sorted, each once; none is nothing at all. */
function hooksOf(hooks: readonly Hook[] = []): Pick<FunctionSettings, "hooks"> {
  return hooks.length === 0 ? {} : { hooks: [...new Set(hooks)].sort() };
}

/** As Deno knows hosts. */
const HOST = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::([1-9]\d{0,4}))?$/;
const HOSTS_MAX_COUNT = 50;
const HOST_MAX_CHARACTERS = 253;

/** The same list for the same hosts; an empty one allows none. */
function hostsOf(
  value: boolean | readonly string[] | undefined,
  problems: string[],
): boolean | readonly string[] | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  const hosts = [...new Set(value.map((host) => host.trim().toLowerCase()))].sort();
  if (hosts.length > HOSTS_MAX_COUNT) {
    problems.push(`"permissions.net" lists ${hosts.length} hosts, and at most ${HOSTS_MAX_COUNT} are possible`);
  }
  for (const host of hosts) {
    const port = HOST.exec(host)?.[1];
    const isHost = HOST.test(host) && host.length <= HOST_MAX_CHARACTERS && Number(port ?? 1) <= 65_535;
    if (isHost) continue;
    problems.push(
      `"permissions.net" has ${
        JSON.stringify(host.slice(0, 100))
      }: it must be a host such as api.example.com, *.example.com or api.example.com:8443`,
    );
  }
  return hosts.length === 0 ? false : hosts;
}

type WithoutNulls = { readonly [Name in keyof FunctionInput]?: Exclude<FunctionInput[Name], null> };

/** Null takes away what was given (./given_settings.ts): here it is as if nothing were sent. */
function withoutNulls(input: FunctionInput): WithoutNulls {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null));
}

function listOf(value: string | readonly string[] | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const items = typeof value === "string" ? value.split(",") : value;
  return items.map((item) => item.trim()).filter((item) => item !== "");
}

const UNITS = { rate_limit_per_minute: "min", rate_limit_per_hour: "hour", rate_limit_per_day: "day" } as const;
type LimitField = keyof typeof UNITS;
type LimitFields = { readonly [Field in LimitField]?: number | null };

/** Those of the three that were sent. */
function limitFields(input: FunctionInput): LimitFields {
  const sentFields = Object.keys(UNITS).map((name) => [name, input[name as LimitField]] as const);
  return Object.fromEntries(sentFields.filter(([, value]) => value !== undefined));
}

/** `100/min,1000/hour` stands for all three: those that are not in it are taken away. */
export function fieldsOfText(text: string | null | undefined, problems: string[] = []): LimitFields {
  if (text === undefined) return {};
  const fields: Record<LimitField, number | null> = {
    rate_limit_per_minute: null,
    rate_limit_per_hour: null,
    rate_limit_per_day: null,
  };
  for (const part of text === null ? [] : text.split(",")) {
    const [, number, unit] = /^\s*(\d{1,10})\s*\/\s*(min|minute|hour|day)\s*$/.exec(part) ?? [];
    const name = (Object.keys(UNITS) as LimitField[]).find((field) => UNITS[field] === unit?.replace("minute", "min"));
    if (name === undefined || number === undefined) {
      problems.push(
        `"rate_limit" has ${JSON.stringify(part.slice(0, 80))}: it must be such as 100/min, 1000/hour or 10000/day`,
      );
    } else fields[name] = Number(number);
  }
  return fields;
}

function rateLimitsOf(before: readonly RateLimit[], fields: LimitFields): readonly RateLimit[] {
  return (Object.keys(UNITS) as LimitField[]).flatMap((name) => {
    const per = UNITS[name];
    const limit = fields[name] === undefined ? before.find((one) => one.per === per)?.limit : fields[name];
    return limit === undefined || limit === null ? [] : [{ limit, per }];
  });
}

/** The schedules that a version brings along: of its code, and the one of its field, which wins over one of its name. */
export function withSchedules(settings: FunctionSettings, ofCode: readonly VersionSchedule[]): FunctionSettings {
  const { schedules: _, ...others } = settings;
  const field = settings.cronSchedule === null ? undefined : parseScheduleText(settings.cronSchedule);
  const ofField = field === undefined || "fault" in field ? [] : [{ ...field, source: "field" as const }];
  const schedules = [...ofField, ...ofCode.filter(({ name }) => ofField.every((one) => one.name !== name))];
  return schedules.length === 0 ? others : { ...others, schedules };
}

/** The other way round, for versions of which it is not known what was sent. */
export function settingsAsGiven(settings: FunctionSettings): FunctionInput {
  const { permissions, cors } = settings;
  const fields: FunctionInput = {
    timeout: settings.timeoutMs / MS_PER_SEC,
    memory: settings.memoryMiB,
    max_response_bytes: settings.responseBodyBytes,
    allow_net: typeof permissions.net === "boolean" ? permissions.net : [...permissions.net],
    allow_env: permissions.env,
    allow_read: permissions.read,
    allow_write: permissions.write,
    allow_service: permissions.service ?? null,
    allow_unauthenticated: settings.allowUnauthenticated,
    is_public: settings.isPublic,
    cors_origins: cors.origins === null ? null : [...cors.origins],
    cors_methods: cors.methods === null ? null : [...cors.methods],
    cors_headers: cors.headers === null ? null : [...cors.headers],
    cors_credentials: cors.credentials,
    cors_max_age: cors.maxAgeSec,
    cron_schedule: settings.cronSchedule,
    isolation: settings.isolation,
    base_path: settings.basePath ?? null,
    auth: settings.auth ?? null,
    cors: settings.ownCors ? "off" : null,
    routes: settings.routes === undefined ? null : [...settings.routes],
    disable_execution_logs: settings.disableExecutionLogs,
    verify: settings.verify ?? null,
    hooks: settings.hooks === undefined ? null : [...settings.hooks],
    respond_async: settings.respondAsync ?? null,
    retries: settings.retries ?? null,
    task_concurrency: settings.taskConcurrency ?? null,
    capture: settings.capture ?? null,
    ...Object.fromEntries(
      (Object.keys(UNITS) as LimitField[]).map((name) => [
        name,
        settings.rateLimits.find(({ per }) => per === UNITS[name])?.limit ?? null,
      ]),
    ),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

/**
 * What routes answer, for the OpenAPI document; the compiler holds them against the contract.
 *
 * @module
 */
import {
  ACCOUNT_EVENTS,
  type AuditEntry,
  AUTH_HOOKS,
  type AuthHookView,
  type BuildProblem,
  CAPTURE_MODES,
  type CapturedRequestView,
  CATCH_UPS,
  type DbHookView,
  ERRORS,
  type Execution,
  EXECUTION_STATUSES,
  type ExecutionDetails,
  type FunctionDetails,
  type FunctionSummary,
  type FunctionVersion,
  type FunctionVersionDetails,
  type Key,
  LOG_LEVELS,
  type LogEntry,
  type Metrics,
  METRICS_STEPS,
  OVERLAPS,
  type QueuedTask,
  type RelatedExecution,
  type ReloadAnswer,
  type ReplayAnswer,
  type Schedule,
  SCHEDULE_SOURCES,
  type ScheduleDetails,
  type ScheduleTick,
  type SecretView,
  type SessionView,
  type SharedModule,
  type SharedModuleDetails,
  SKIP_REASONS,
  type SyncAnswer,
  type SyncFailure,
  type Task,
  TASK_STATES,
  type TaskDetails,
  type TopFunction,
  TRIGGER_TYPES,
  type UserView,
} from "@fluxbase/contract";
import { z } from "zod";

const textOrNull = z.string().nullable();
const textsOrNull = z.array(z.string()).nullable();
const numberOrNull = z.number().nullable();
const net = z.union([z.boolean(), z.array(z.string())]);
const service = z.enum(["namespace", "admin"]);
const permissions = z.object({ net, env: z.boolean(), read: z.boolean(), write: z.boolean(), service });

const settingsFields = {
  timeout: z.number(),
  timeout_seconds: z.number(),
  memory: z.int(),
  memory_limit_mb: z.int(),
  max_response_bytes: z.int(),
  permissions,
  allow_net: net,
  allow_env: z.boolean(),
  allow_read: z.boolean(),
  allow_write: z.boolean(),
  allow_service: service,
  allow_unauthenticated: z.boolean(),
  is_public: z.boolean(),
  cors_origins: textsOrNull,
  cors_methods: textsOrNull,
  cors_headers: textsOrNull,
  cors_credentials: z.boolean().nullable(),
  cors_max_age: numberOrNull,
  rate_limit: textOrNull,
  rate_limit_per_minute: numberOrNull,
  rate_limit_per_hour: numberOrNull,
  rate_limit_per_day: numberOrNull,
  cron_schedule: textOrNull,
  schedules: z.array(z.object({
    name: z.string(),
    cron: z.string(),
    time_zone: z.string(),
    catch_up: z.enum(CATCH_UPS),
    overlap: z.enum(OVERLAPS),
    source: z.enum(["annotation", "code", "field"]),
    next_runs: z.array(z.iso.datetime()),
  })),
  isolation: z.enum(["shared", "request"]),
  base_path: z.enum(["keep", "strip", "full"]),
  auth: z.enum(["platform", "none"]),
  cors: z.enum(["on", "off"]),
  routes: z.array(z.string()),
  disable_execution_logs: z.boolean(),
  verify: textOrNull,
  hooks: z.array(z.enum([...AUTH_HOOKS, ...ACCOUNT_EVENTS])),
  respond_async: z.boolean(),
  retries: z.int(),
  task_concurrency: z.int(),
  capture: z.enum(CAPTURE_MODES).nullable(),
};

const summaryFields = {
  id: z.uuid(),
  name: z.string(),
  namespace: z.string(),
  description: textOrNull,
  enabled: z.boolean(),
  version: z.int(),
  live_version: numberOrNull,
  canary: z.object({ version: z.int(), percent: z.int() }).nullable(),
  ...settingsFields,
  is_bundled: z.boolean(),
  bundle_error: textOrNull,
  bundle_size: numberOrNull,
  source: z.enum(["api", "filesystem", "dashboard"]),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
  created_by: textOrNull,
};

const buildProblem = z.object({
  message: z.string(),
  file: textOrNull,
  line: numberOrNull,
  column: numberOrNull,
  snippet: textOrNull,
}) satisfies z.ZodType<BuildProblem>;

export const functionSummarySchema = z.object(summaryFields) satisfies z.ZodType<FunctionSummary>;

const texts = z.array(z.string());
const sourceFields = {
  code: z.string(),
  files: z.record(z.string(), z.string()),
  env: texts,
  bundle_problems: z.array(buildProblem),
  settings_origins: z.record(z.string(), z.enum(["api", "annotation", "default"])),
};

export const functionDetailsSchema = z.object({
  ...summaryFields,
  ...sourceFields,
  original_code: z.string(),
  warnings: texts,
  shared_modules: texts,
}) satisfies z.ZodType<FunctionDetails>;

export const functionVersionSchema = z.object({
  version: z.int(),
  is_live: z.boolean(),
  traffic_percent: z.int(),
  is_bundled: z.boolean(),
  bundle_error: textOrNull,
  bundle_size: numberOrNull,
  content_hash: z.string(),
  timeout: z.number(),
  memory: z.int(),
  warnings: texts,
  shared_modules: texts,
  created_at: z.iso.datetime(),
  created_by: textOrNull,
}) satisfies z.ZodType<FunctionVersion>;

export const functionVersionDetailsSchema = z.object({
  ...functionVersionSchema.shape,
  ...settingsFields,
  ...sourceFields,
}) satisfies z.ZodType<FunctionVersionDetails>;

export const sharedModuleSchema = z.object({
  id: z.uuid(),
  namespace: z.string(),
  module_path: z.string(),
  content: z.string(),
  description: textOrNull,
  version: z.int(),
  source: z.enum(["api", "filesystem", "dashboard"]),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
  created_by: textOrNull,
  rebuilding: texts.exactOptional(),
}) satisfies z.ZodType<SharedModule>;

export const sharedModuleDetailsSchema = sharedModuleSchema.extend({
  versions: z.array(z.object({ version: z.int(), created_at: z.iso.datetime(), created_by: textOrNull })),
  used_by: z.array(z.object({
    function: z.string(),
    version: z.int(),
    state: z.enum(["current", "building", "failed", "pinned"]),
    problem: textOrNull,
  })),
}) satisfies z.ZodType<SharedModuleDetails>;

export const keySchema = z.object({
  id: z.uuid(),
  name: z.string(),
  description: textOrNull,
  key_prefix: z.string(),
  scopes: texts,
  namespaces: textsOrNull,
  rate_limit_per_minute: numberOrNull,
  rate_limit_per_hour: numberOrNull,
  rate_limit_per_day: numberOrNull,
  user_id: z.uuid().nullable(),
  expires_at: z.iso.datetime().nullable(),
  revoked_at: z.iso.datetime().nullable(),
  last_used_at: z.iso.datetime().nullable(),
  created_at: z.iso.datetime(),
  created_by: textOrNull,
  key: z.string().exactOptional(),
  enabled: z.boolean(),
  deprecated_at: textOrNull,
  grace_period_ends_at: textOrNull,
  revoked_by: textOrNull,
  revocation_reason: textOrNull,
  key_type: z.enum(["client", "service"]),
}) satisfies z.ZodType<Key>;

const syncFailure = z.object({
  function: z.string(),
  name: z.string(),
  error: z.string(),
  action: z.enum(["create", "update", "delete", "check"]),
  problems: z.array(buildProblem),
}) satisfies z.ZodType<SyncFailure>;
const syncDetails = { created: texts, updated: texts, deleted: texts, unchanged: texts };
const counts = z.object({
  created: z.int(),
  updated: z.int(),
  deleted: z.int(),
  unchanged: z.int(),
  errors: z.int(),
});

export const syncAnswerSchema = z.object({
  message: z.string(),
  namespace: z.string(),
  summary: counts,
  details: z.object(syncDetails),
  errors: z.array(syncFailure),
  warnings: texts,
  dry_run: z.boolean(),
}) satisfies z.ZodType<SyncAnswer>;

export const reloadAnswerSchema = z.object({
  message: z.string(),
  ...syncDetails,
  errors: z.array(syncFailure),
  warnings: texts,
  total: z.int(),
  dry_run: z.boolean(),
}) satisfies z.ZodType<ReloadAnswer>;

const errorCode = z.enum(Object.keys(ERRORS) as [keyof typeof ERRORS]);

export const taskSchema = z.object({
  id: z.uuid(),
  cursor: z.string(),
  function_id: z.uuid(),
  function_name: z.string(),
  namespace: z.string(),
  state: z.enum(TASK_STATES),
  trigger_type: z.enum(TRIGGER_TYPES),
  source_id: textOrNull,
  method: z.string(),
  url: z.string(),
  run_at: z.iso.datetime(),
  attempts: z.int(),
  retries: z.int(),
  execution_id: textOrNull,
  status_code: numberOrNull,
  error: textOrNull,
  error_code: errorCode.nullable(),
  created_at: z.iso.datetime(),
  created_by: textOrNull,
  finished_at: z.iso.datetime().nullable(),
}) satisfies z.ZodType<Task>;

const taskBody = z.object({
  content: z.string(),
  encoding: z.enum(["utf-8", "base64"]),
  content_type: textOrNull,
  is_cut: z.boolean(),
}).nullable();

export const taskDetailsSchema = taskSchema.extend({
  answer: taskBody,
  payload: z.object({ headers: z.record(z.string(), z.string()), body: taskBody }),
}) satisfies z.ZodType<TaskDetails>;

const scheduleTickSchema = z.object({
  scheduled_at: z.iso.datetime(),
  skipped: z.enum(SKIP_REASONS).nullable(),
  task_id: textOrNull,
  task_state: z.enum(TASK_STATES).nullable(),
  execution_id: textOrNull,
  status_code: numberOrNull,
  error: textOrNull,
}) satisfies z.ZodType<ScheduleTick>;

export const scheduleSchema = z.object({
  id: z.uuid(),
  function_name: z.string(),
  namespace: z.string(),
  name: z.string(),
  source: z.enum(SCHEDULE_SOURCES),
  cron: textOrNull,
  time_zone: z.string(),
  run_at: z.iso.datetime().nullable(),
  catch_up: z.enum(CATCH_UPS),
  overlap: z.enum(OVERLAPS),
  paused: z.boolean(),
  next_runs: z.array(z.iso.datetime()),
  last_tick: scheduleTickSchema.nullable(),
  created_at: z.iso.datetime(),
  created_by: textOrNull,
}) satisfies z.ZodType<Schedule>;

export const scheduleDetailsSchema = scheduleSchema.extend({
  ticks: z.array(scheduleTickSchema),
}) satisfies z.ZodType<ScheduleDetails>;

export const queuedTaskSchema = z.object({
  task_id: z.uuid(),
  status_url: z.string(),
}) satisfies z.ZodType<QueuedTask>;

export const executionSchema = z.object({
  id: z.string(),
  cursor: z.string(),
  request_id: z.string(),
  function_id: z.uuid(),
  function_name: z.string(),
  namespace: z.string(),
  version: z.int(),
  trigger_type: z.enum(TRIGGER_TYPES),
  status: z.enum(EXECUTION_STATUSES),
  status_code: numberOrNull,
  duration_ms: numberOrNull,
  queue_ms: z.number(),
  cold_start: z.boolean(),
  method: z.string(),
  path: z.string(),
  user_id: textOrNull,
  error_message: textOrNull,
  error: textOrNull,
  error_code: errorCode.nullable(),
  error_stack: textOrNull,
  logs: z.string(),
  executed_at: z.iso.datetime(),
  started_at: z.iso.datetime(),
  completed_at: z.iso.datetime().nullable(),
  node: textOrNull,
  task_id: textOrNull,
  task_attempt: numberOrNull,
  first_byte_ms: numberOrNull,
  trace_id: textOrNull,
  cpu_ms: numberOrNull,
  memory_mb: numberOrNull,
  bytes_in: numberOrNull,
  bytes_out: numberOrNull,
}) satisfies z.ZodType<Execution>;

const relatedExecutionSchema = executionSchema.pick({
  id: true,
  function_name: true,
  namespace: true,
  version: true,
  status: true,
  status_code: true,
  duration_ms: true,
  started_at: true,
}) satisfies z.ZodType<RelatedExecution>;

const countsFields = {
  calls: z.int(),
  statuses: z.partialRecord(z.enum(EXECUTION_STATUSES), z.int()),
  status_classes: z.record(z.string(), z.int()),
  error_codes: z.partialRecord(errorCode, z.int()),
  cold_starts: z.int(),
  refused: z.int(),
  rate_limited: z.int(),
  duration_ms: z.object({ mean: z.number(), p50: z.number(), p90: z.number(), p95: z.number(), p99: z.number() })
    .nullable(),
  queue_ms: z.object({ mean: z.number() }).nullable(),
  cpu_ms: z.number(),
  memory_mb: z.number(),
  bytes_in: z.int(),
  bytes_out: z.int(),
  log_lines: z.int(),
};

export const metricsSchema = z.object({
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  step: z.enum(METRICS_STEPS),
  series: z.array(z.object({
    key: textOrNull,
    total: z.object(countsFields),
    points: z.array(z.object({ at: z.iso.datetime(), ...countsFields })),
  })),
}) satisfies z.ZodType<Metrics>;

export const topFunctionSchema = z.object({
  function_id: z.uuid(),
  name: z.string(),
  namespace: z.string(),
  ...countsFields,
}) satisfies z.ZodType<TopFunction>;

export const logEntrySchema = z.object({
  id: z.string(),
  cursor: z.string(),
  function_id: z.uuid(),
  function_name: textOrNull,
  namespace: textOrNull,
  timestamp: z.iso.datetime(),
  level: z.enum(LOG_LEVELS),
  message: z.string(),
  execution_id: z.string().nullable(),
  line_number: z.int(),
  fields: z.record(z.string(), z.unknown()).nullable(),
}) satisfies z.ZodType<LogEntry>;

export const executionDetailsSchema = executionSchema.extend({
  caller: z.object({ kind: z.string(), role: textOrNull, key_id: textOrNull, user_id: textOrNull }).nullable(),
  limits: z.object({ timeout_ms: z.number(), memory_mb: z.number() }).nullable(),
  sandbox: z.object({ cold: z.boolean(), age_ms: z.number(), request_number: z.int() }).nullable(),
  timeline: z.array(
    z.object({
      phase: z.enum(["queue", "start", "load", "handler", "answer"]),
      from_ms: z.number(),
      to_ms: z.number(),
    }),
  ),
  failure: z.object({
    code: errorCode.nullable(),
    message: z.string(),
    stack: textOrNull,
    code_frame: textOrNull,
    related: z.array(z.object({ kind: z.enum(["cause", "member"]), stack: z.string() })),
  }).nullable(),
  parent: relatedExecutionSchema.nullable(),
  replay_of: textOrNull,
  is_captured: z.boolean(),
  calls: z.array(relatedExecutionSchema),
  tasks: z.array(
    z.object({
      id: z.string(),
      function_name: z.string(),
      namespace: z.string(),
      state: z.enum(TASK_STATES),
      created_at: z.iso.datetime(),
    }),
  ),
  log_entries: z.array(logEntrySchema),
}) satisfies z.ZodType<ExecutionDetails>;

const same = z.boolean();
const shownBodySchema = z.object({
  bytes: z.int(),
  is_cut: z.boolean(),
  encoding: z.enum(["utf8", "base64"]),
  content: z.string(),
});

export const capturedRequestSchema = z.object({
  execution_id: z.string(),
  method: z.string(),
  target: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])),
  body: shownBodySchema,
  removed: z.array(z.string()),
}) satisfies z.ZodType<CapturedRequestView>;

export const replaySchema = z.object({
  execution_id: z.string(),
  replay_of: z.string(),
  version: z.int(),
  status_code: z.int(),
  error_code: errorCode.nullable(),
  headers: z.array(z.tuple([z.string(), z.string()])),
  body: shownBodySchema,
  removed: z.array(z.string()),
  comparison: z.object({
    same,
    status: z.object({ before: z.int(), after: z.int(), same }),
    error_code: z.object({ before: errorCode.nullable(), after: errorCode.nullable(), same }),
    headers: z.object({ same, differing: z.array(z.string()) }),
    body: z.object({ before_bytes: numberOrNull, after_bytes: numberOrNull, same: same.nullable() }),
  }),
}) satisfies z.ZodType<ReplayAnswer>;

export const userSchema = z.object({
  id: z.string(),
  email: z.string().nullable(),
  email_verified: z.boolean(),
  role: z.string(),
  user_metadata: z.record(z.string(), z.unknown()),
  app_metadata: z.record(z.string(), z.unknown()),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
  disabled_at: z.iso.datetime().nullable(),
}) satisfies z.ZodType<UserView>;

export const sessionSchema = z.object({
  user: userSchema,
  access_token: z.string(),
  refresh_token: z.string(),
  expires_in: z.int(),
  token_type: z.literal("bearer"),
}) satisfies z.ZodType<SessionView>;

export const secretSchema = z.object({
  id: z.string(),
  key: z.string(),
  name: z.string(),
  scope: z.enum(["global", "namespace", "user"]),
  namespace: textOrNull,
  namespaces: textsOrNull,
  description: textOrNull,
  version: z.int(),
  expires_at: textOrNull,
  is_expired: z.boolean(),
  user_id: textOrNull,
  created_by: textOrNull,
  updated_by: textOrNull,
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
}) satisfies z.ZodType<SecretView>;

export const authHookSchema = z.object({
  event: z.enum([...AUTH_HOOKS, ...ACCOUNT_EVENTS]),
  functions: texts,
  enabled: z.boolean(),
  waiting: z.int(),
  dead: z.int(),
  last_error: textOrNull,
}) satisfies z.ZodType<AuthHookView>;

export const dbHookSchema = z.object({
  id: z.uuid(),
  function: z.string(),
  table: z.string(),
  events: z.array(z.enum(["INSERT", "UPDATE", "DELETE"])),
  columns: textsOrNull,
  where: textOrNull,
  ordered: z.boolean(),
  problem: textOrNull,
  waiting: z.int(),
  dead: z.int(),
  last_error: textOrNull,
  created_at: z.iso.datetime(),
  created_by: textOrNull,
}) satisfies z.ZodType<DbHookView>;

export const auditEntrySchema = z.object({
  id: z.string(),
  timestamp: z.iso.datetime(),
  request_id: z.string(),
  actor_kind: z.string(),
  actor_id: textOrNull,
  actor_role: textOrNull,
  address: z.string(),
  user_agent: textOrNull,
  action: z.string(),
  target: textOrNull,
  status: z.int(),
  code: textOrNull,
  reason: textOrNull,
  changes: z.record(z.string(), z.object({ before: z.unknown(), after: z.unknown() }).partial()).nullable(),
}) satisfies z.ZodType<AuditEntry>;

export const errorSchema = z.looseObject({ error: z.string(), code: errorCode, request_id: z.string() });

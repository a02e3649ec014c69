/**
 * What routes answer, for the OpenAPI document; the compiler holds them against the contract.
 *
 * @module
 */
import {
  type BuildProblem,
  ERRORS,
  type Execution,
  EXECUTION_STATUSES,
  type FunctionDetails,
  type FunctionSummary,
  LOG_LEVELS,
  type LogEntry,
} from "@fluxbase/contract";
import { z } from "zod";

const textOrNull = z.string().nullable();
const textsOrNull = z.array(z.string()).nullable();
const numberOrNull = z.number().nullable();
const permissions = z.object({ net: z.boolean(), env: z.boolean(), read: z.boolean(), write: z.boolean() });

const summaryFields = {
  id: z.uuid(),
  name: z.string(),
  namespace: z.string(),
  description: textOrNull,
  enabled: z.boolean(),
  version: z.int(),
  live_version: numberOrNull,
  timeout: z.number(),
  timeout_seconds: z.number(),
  memory: z.int(),
  memory_limit_mb: z.int(),
  max_response_bytes: z.int(),
  permissions,
  allow_net: z.boolean(),
  allow_env: z.boolean(),
  allow_read: z.boolean(),
  allow_write: z.boolean(),
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
  isolation: z.enum(["shared", "request"]),
  disable_execution_logs: z.boolean(),
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

export const functionDetailsSchema = z.object({
  ...summaryFields,
  code: z.string(),
  original_code: z.string(),
  files: z.record(z.string(), z.string()),
  env: z.array(z.string()),
  bundle_problems: z.array(buildProblem),
}) satisfies z.ZodType<FunctionDetails>;

const errorCode = z.enum(Object.keys(ERRORS) as [keyof typeof ERRORS]);

export const executionSchema = z.object({
  id: z.string(),
  function_id: z.uuid(),
  function_name: z.string(),
  namespace: z.string(),
  version: z.int(),
  trigger_type: z.enum(["http", "cron", "hook", "test"]),
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
}) satisfies z.ZodType<Execution>;

export const logEntrySchema = z.object({
  id: z.string(),
  timestamp: z.iso.datetime(),
  level: z.enum(LOG_LEVELS),
  message: z.string(),
  execution_id: z.string().nullable(),
  line_number: z.int(),
  fields: z.record(z.string(), z.unknown()).nullable(),
}) satisfies z.ZodType<LogEntry>;

export const errorSchema = z.looseObject({ error: z.string(), code: errorCode, request_id: z.string() });

/**
 * What the platform and its clients agree on: wire shapes, error codes, limits with units.
 *
 * @module
 */
export { type ErrorBody, type ErrorCode, type ErrorDetails, ERRORS, PlatformError } from "./src/errors.ts";
export { type Limit, type LimitKey, LIMITS } from "./src/limits.ts";
export {
  DEFAULT_NAMESPACE,
  type FunctionName,
  functionNameProblem,
  modulePathProblem,
  type Namespace,
  namespaceProblem,
  parseFunctionName,
  parseNamespace,
  RESERVED_NAMES,
} from "./src/names.ts";
export {
  ACCOUNT_EVENTS,
  type AccountEvent,
  AUTH_HOOKS,
  type AuthHook,
  CAPTURE_MODES,
  type CaptureMode,
  type CorsPolicy,
  type CorsSettings,
  DEFAULT_RETRIES,
  DEFAULT_SETTINGS,
  DEFAULT_TASK_CONCURRENCY,
  type FunctionSettings,
  type Permissions,
  type RateLimit,
  type ServiceReach,
} from "./src/function_settings.ts";
export {
  type QueuedTask,
  type Task,
  TASK_STATES,
  type TaskBody,
  type TaskDetails,
  type TaskState,
} from "./src/tasks.ts";
export { type ListedUser, type SessionView, type UserToken, type UserView } from "./src/users.ts";
export { type SettingView, type UserSettingView } from "./src/settings.ts";
export { type SecretStats, type SecretVersionView, type SecretView } from "./src/secrets.ts";
export { type AuditEntry } from "./src/audit.ts";
export { type Key } from "./src/keys.ts";
export {
  type CapturedRequestView,
  type Execution,
  EXECUTION_STATUSES,
  type ExecutionDetails,
  type ExecutionFailure,
  type ExecutionPhase,
  type ExecutionStatus,
  LOG_LEVELS,
  type LogEntry,
  type LogLevel,
  type LogLevelView,
  type RelatedExecution,
  type RelatedTask,
  type ReplayAnswer,
  type ReplayComparison,
  type ShownBody,
} from "./src/executions.ts";
export { TRIGGER_TYPES, type TriggerType } from "./src/triggers.ts";
export {
  type Durations,
  type Metrics,
  METRICS_BY,
  METRICS_STEPS,
  type MetricsBy,
  type MetricsCounts,
  type MetricsPoint,
  type MetricsSeries,
  type MetricsStep,
  type TopFunction,
} from "./src/metrics.ts";
export {
  type AuthHookView,
  type BuildProblem,
  type Canary,
  type DbHookView,
  type FunctionDetails,
  type FunctionSettingsFields,
  type FunctionSource,
  type FunctionSummary,
  type FunctionVersion,
  type FunctionVersionDetails,
  type ReloadAnswer,
  type SettingOrigin,
  type SharedModule,
  type SharedModuleDetails,
  type SharedModuleUser,
  type SharedModuleVersion,
  type SyncAnswer,
  type SyncFailure,
} from "./src/functions.ts";
export { BESIDE_MAX_COUNT, BESIDE_PREFIX, isBesidePath, type MappedPaths, namedBeside } from "./src/beside.ts";
export {
  DEPTH_MAX,
  ENDINGS,
  type FunctionFiles,
  isFunctionFolder,
  isNoSource,
  isSourceFile,
  isSourceFolder,
  shapeOf,
} from "./src/source_files.ts";
export { type Readiness } from "./src/server.ts";
export { type SqlAnswer } from "./src/sql.ts";
export { DECLARATIONS } from "./src/declarations.ts";
export {
  type LanguageAnswer,
  type LanguageAsk,
  type LanguageCompletion,
  type LanguageHover,
  type LanguagePlace,
  type LanguageProblem,
  type LanguageReply,
  type LanguageRequest,
  type LanguageSignatures,
} from "./src/language.ts";
export {
  isReservedSegment,
  parsePublicRoute,
  type PublicRoute,
  publicRouteText,
  ROUTE_SEGMENTS_MAX_COUNT,
} from "./src/public_routes.ts";
export {
  type Alert,
  ALERT_METRICS,
  type AlertMetric,
  type AlertNotice,
  type AlertState,
  type AlertTest,
  type NewAlert,
} from "./src/alerts.ts";
export type { NodeLoad, NodeView } from "./src/nodes.ts";
export type { BackupsView, BackupView, ServerSetting } from "./src/system.ts";
export {
  CATCH_UPS,
  type CatchUp,
  type Overlap,
  OVERLAPS,
  type Schedule,
  SCHEDULE_NAME_MAX_CHARACTERS,
  SCHEDULE_SOURCES,
  type ScheduleDetails,
  type ScheduleRule,
  type ScheduleSource,
  type ScheduleTick,
  SKIP_REASONS,
  type SkipReason,
  type VersionSchedule,
  type VersionScheduleView,
} from "./src/schedules.ts";

/**
 * The client of Fluxbase, for browsers, Node, Deno, Bun, and functions themselves.
 *
 * @module
 */
export { type ClientConfig, type ClientOptions, type ClientTypes, createClient, FluxbaseClient } from "./src/client.ts";
export { FluxbaseError } from "./src/errors.ts";
export {
  AuditLogClient,
  DatabaseClient,
  DbHooksClient,
  HooksClient,
  LanguageClient,
  type LanguageConnection,
  LimitsClient,
  type LimitView,
  type ListAuditLog,
  LogLevelClient,
  MetricsClient,
  type NewDbHook,
} from "./src/admin.ts";
export {
  AdminFunctionsClient,
  type DeployOptions,
  type EnqueueOptions,
  type FollowLogs,
  type FunctionFields,
  FunctionsClient,
  type FunctionTypes,
  type InvokeOptions,
  type ListExecutions,
  type ListLogs,
  type MetricsQuery,
  type NewFunction,
  type NewSharedModule,
  type SyncInput,
} from "./src/functions.ts";
export {
  AuthClient,
  type AuthEvent,
  type AuthListener,
  type Credentials,
  type Session,
  type SessionStorage,
  type User,
  type UserChange,
} from "./src/auth.ts";
export {
  type ListSecrets,
  type NewSecret,
  type SecretChange,
  type SecretNamespace,
  SecretsClient,
} from "./src/secrets.ts";
export { type KeyFields, KeysClient, type NewKey, type SettingOptions, SettingsClient } from "./src/settings.ts";
export {
  type CountKind,
  type OrderOptions,
  Query,
  type Result,
  type RowOf,
  Table,
  type TableTypes,
  type UpsertOptions,
  type WriteOptions,
} from "./src/query.ts";
export type {
  AuditEntry,
  BuildProblem,
  Execution,
  ExecutionDetails,
  ExecutionFailure,
  ExecutionPhase,
  ExecutionStatus,
  FunctionDetails,
  FunctionSummary,
  FunctionVersion,
  FunctionVersionDetails,
  Key,
  LanguageReply,
  LanguageRequest,
  LogEntry,
  LogLevel,
  LogLevelView,
  Metrics,
  MetricsBy,
  MetricsCounts,
  MetricsPoint,
  MetricsSeries,
  MetricsStep,
  NodeLoad,
  NodeView,
  RelatedExecution,
  ReloadAnswer,
  SecretStats,
  SecretVersionView,
  SecretView,
  SettingView,
  SharedModule,
  SqlAnswer,
  SyncAnswer,
  TopFunction,
  UserSettingView,
} from "@fluxbase/contract";

/**
 * The tables as Kysely sees them; `migrations/` is the source.
 *
 * @module
 */
import type {
  AlertMetric,
  AlertState,
  BuildProblem,
  ErrorCode,
  ExecutionStatus,
  FunctionSettings,
  FunctionSource,
  LogLevel,
  TaskState,
  TriggerType,
} from "@fluxbase/contract";
import type { ColumnType, Generated, JSONColumnType } from "kysely";

type Instant = ColumnType<Date, Date | string, Date | string>;
type GeneratedInstant = ColumnType<Date, Date | string | undefined, Date | string>;
type OptionalInstant = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;

/** Who made a task: what its function is told, and who may ask about it. */
export interface TaskCaller {
  readonly kind: string;
  readonly role: string | null;
  readonly userId: string | null;
  readonly keyId: string | null;
  /** As sandboxes get them. */
  readonly facts: Readonly<Record<string, unknown>>;
}

export type UserRole = "authenticated" | "admin";

export interface Schema {
  "fluxbase.secrets": {
    id: Generated<string>;
    user_id: string;
    key: string;
    namespaces: string[] | null;
    sealed: Uint8Array;
    description: string | null;
    created_by: string | null;
    updated_by: string | null;
    created_at: GeneratedInstant;
    updated_at: GeneratedInstant;
    version: Generated<number>;
    expires_at: OptionalInstant;
    value_at: GeneratedInstant;
    value_by: Generated<string | null>;
  };
  "fluxbase.secret_versions": {
    secret_id: string;
    version: number;
    sealed: Uint8Array;
    created_at: Instant;
    created_by: string | null;
  };
  "fluxbase.custom_settings": {
    id: Generated<string>;
    user_id: string;
    key: string;
    value: JSONColumnType<object, string, string>;
    value_type: string;
    description: string | null;
    is_public: boolean;
    metadata: JSONColumnType<object, string | null, string | null> | null;
    created_by: string | null;
    updated_by: string | null;
    created_at: GeneratedInstant;
    updated_at: GeneratedInstant;
  };
  "fluxbase.idempotent_requests": {
    place: Uint8Array;
    body_hash: Uint8Array;
    started_at: GeneratedInstant;
    answer: Uint8Array | null;
  };
  "fluxbase.login_roles": { name: string; sealed: Uint8Array };
  "fluxbase.secret_salts": { user_id: string; salt: Uint8Array };
  "fluxbase.users": {
    id: Generated<string>;
    email: string | null;
    password_hash: string | null;
    role: UserRole;
    is_anonymous: Generated<boolean>;
    email_verified: Generated<boolean>;
    user_metadata: JSONColumnType<Record<string, unknown>>;
    app_metadata: ColumnType<Record<string, unknown>, string | undefined, string>;
    created_at: GeneratedInstant;
    updated_at: GeneratedInstant;
    disabled_at: OptionalInstant;
  };
  "fluxbase.sessions": {
    id: Generated<string>;
    user_id: string;
    created_at: GeneratedInstant;
    expires_at: Instant;
    ended_at: OptionalInstant;
  };
  "fluxbase.deleted_sessions": { id: string; deleted_at: GeneratedInstant };
  "fluxbase.refresh_tokens": {
    token_hash: Uint8Array;
    session_id: string;
    created_at: GeneratedInstant;
    used_at: OptionalInstant;
  };
  "fluxbase.audit_log": {
    id: Generated<string>;
    at: GeneratedInstant;
    request_id: string;
    actor_kind: string;
    actor_id: string | null;
    actor_role: string | null;
    address: string;
    user_agent: string | null;
    action: string;
    target: string | null;
    status: number;
    code: string | null;
    reason: string | null;
    changes: JSONColumnType<Record<string, { before?: unknown; after?: unknown }>> | null;
  };
  "fluxbase.functions": {
    id: Generated<string>;
    namespace: string;
    name: string;
    description: string | null;
    enabled: Generated<boolean>;
    source: FunctionSource;
    live_version: number | null;
    latest_version: Generated<number>;
    current_version: Generated<number>;
    canary_version: Generated<number | null>;
    canary_percent: Generated<number | null>;
    created_at: GeneratedInstant;
    updated_at: GeneratedInstant;
    created_by: string | null;
    deleted_at: OptionalInstant;
  };
  "fluxbase.versions": {
    function_id: string;
    number: number;
    entry: string;
    files: JSONColumnType<Record<string, string>>;
    settings: JSONColumnType<FunctionSettings>;
    env_names: string[];
    env_sealed: Uint8Array | null;
    bundle: string | null;
    bundle_bytes: number | null;
    problems: JSONColumnType<readonly BuildProblem[]>;
    content_hash: string;
    given: JSONColumnType<Record<string, unknown>> | null;
    annotations: JSONColumnType<Record<string, unknown>>;
    warnings: JSONColumnType<readonly string[]>;
    dependencies: JSONColumnType<Record<string, string>>;
    created_at: GeneratedInstant;
    created_by: string | null;
  };
  "fluxbase.shared_modules": {
    id: Generated<string>;
    namespace: string;
    module_path: string;
    description: string | null;
    source: FunctionSource;
    content: string;
    content_hash: string;
    version: Generated<number>;
    created_at: GeneratedInstant;
    updated_at: GeneratedInstant;
    created_by: string | null;
  };
  "fluxbase.shared_module_versions": {
    module_id: string;
    version: number;
    content: string;
    created_at: GeneratedInstant;
    created_by: string | null;
  };
  "fluxbase.executions": {
    request_id: string | null;
    id: string;
    function_id: string;
    function_name: string;
    namespace: string;
    version: number;
    trigger_type: TriggerType;
    status: ExecutionStatus;
    status_code: number | null;
    duration_ms: number | null;
    queue_ms: number;
    cold_start: boolean;
    method: string;
    path: string;
    user_id: string | null;
    error_message: string | null;
    error_code: ErrorCode | null;
    error_stack: string | null;
    started_at: Instant;
    completed_at: OptionalInstant;
    node: string | null;
    cpu_ms: number | null;
    memory_mib: number | null;
    bytes_in: number | null;
    bytes_out: number | null;
    first_byte_ms: number | null;
    trace_id: string | null;
    details: JSONColumnType<Record<string, unknown>> | null;
    parent_id: string | null;
    task_id: string | null;
    task_attempt: number | null;
  };
  "fluxbase.tasks": {
    id: string;
    function_id: string;
    state: Generated<TaskState>;
    trigger_type: TriggerType;
    source_id: string | null;
    caller: JSONColumnType<TaskCaller>;
    method: string;
    url: string;
    path: string;
    headers: JSONColumnType<Record<string, string>>;
    body: Uint8Array | null;
    dedupe_key: string | null;
    run_at: GeneratedInstant;
    retries: number;
    attempts: Generated<number>;
    lease_node: string | null;
    lease_until: OptionalInstant;
    execution_id: string | null;
    status_code: number | null;
    answer_type: string | null;
    answer: Uint8Array | null;
    answer_is_cut: Generated<boolean>;
    error: string | null;
    error_code: ErrorCode | null;
    created_at: GeneratedInstant;
    created_by: string | null;
    parent_id: string | null;
    finished_at: OptionalInstant;
  };
  "fluxbase.execution_logs": {
    execution_id: string | null;
    function_id: string;
    started_at: Instant;
    line_number: number;
    logged_at: Instant;
    level: LogLevel;
    message: string;
    fields: JSONColumnType<Record<string, unknown>> | null;
    batch_seq: string | null;
  };
  "fluxbase.execution_captures": {
    execution_id: string;
    function_id: string;
    started_at: Instant;
    sealed: Uint8Array;
    bytes: number;
  };
  "fluxbase.alert_rules": {
    id: string;
    name: string;
    metric: AlertMetric;
    threshold: number;
    namespace: string | null;
    function_name: string | null;
    window_sec: number;
    for_sec: number;
    min_calls: number;
    target_function: string | null;
    target_url: Uint8Array | null;
    state: Generated<AlertState>;
    turning_since: OptionalInstant;
    changed_at: OptionalInstant;
    value: number | null;
    evaluated_at: OptionalInstant;
    created_at: GeneratedInstant;
    created_by: string | null;
  };
  "fluxbase.alert_deliveries": {
    id: Generated<string>;
    rule_id: string;
    body: JSONColumnType<object>;
    attempts: Generated<number>;
    run_at: GeneratedInstant;
    error: string | null;
    created_at: GeneratedInstant;
  };
  "fluxbase.log_followers": {
    id: string;
    who: string;
    node: string;
    seen_at: GeneratedInstant;
  };
  "fluxbase.execution_minutes": {
    function_id: string;
    version: number;
    trigger_type: TriggerType | "";
    minute: Instant;
    counts: JSONColumnType<Record<string, number>>;
    memory_mib: number;
  };
  "fluxbase.execution_hours": {
    function_id: string;
    version: number;
    trigger_type: TriggerType | "";
    hour: Instant;
    counts: JSONColumnType<Record<string, number>>;
    memory_mib: number;
  };
  "fluxbase.keys": {
    id: Generated<string>;
    kind: KeyKind;
    name: string;
    description: string | null;
    key_prefix: string;
    key_hash: Uint8Array;
    scopes: string[];
    namespaces: string[] | null;
    rate_limit_per_minute: number | null;
    rate_limit_per_hour: number | null;
    rate_limit_per_day: number | null;
    user_id: string | null;
    created_at: GeneratedInstant;
    created_by: string | null;
    expires_at: OptionalInstant;
    revoked_at: OptionalInstant;
    last_used_at: OptionalInstant;
    disabled_at: OptionalInstant;
    deprecated_at: OptionalInstant;
    grace_ends_at: OptionalInstant;
    revoked_by: string | null;
    revocation_reason: string | null;
    previous_hash: Uint8Array | null;
    previous_until: OptionalInstant;
  };
}

export type KeyKind = "client" | "service";

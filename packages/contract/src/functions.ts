/**
 * Functions as they travel over HTTP.
 *
 * @module
 */
import type { VersionScheduleView } from "./schedules.ts";
import type { AccountEvent, AuthHook, CaptureMode, Permissions, ServiceReach } from "./function_settings.ts";

export type FunctionSource = "api" | "filesystem" | "dashboard";

/** Where a build went wrong, as precisely as it is known. Lines and columns count from 1. */
export interface BuildProblem {
  readonly message: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
  /** The offending line of the source. */
  readonly snippet: string | null;
}

export type SettingOrigin = "api" | "annotation" | "default";

/** The settings of a version, each under every name that clients know. */
export interface FunctionSettingsFields {
  /** Seconds. */
  readonly timeout: number;
  readonly timeout_seconds: number;
  /** MiB. */
  readonly memory: number;
  readonly memory_limit_mb: number;
  readonly max_response_bytes: number;
  readonly permissions: Required<Permissions>;
  readonly allow_net: boolean | readonly string[];
  readonly allow_env: boolean;
  readonly allow_read: boolean;
  readonly allow_write: boolean;
  readonly allow_service: ServiceReach;
  readonly allow_unauthenticated: boolean;
  readonly is_public: boolean;
  readonly cors_origins: readonly string[] | null;
  readonly cors_methods: readonly string[] | null;
  readonly cors_headers: readonly string[] | null;
  readonly cors_credentials: boolean | null;
  readonly cors_max_age: number | null;
  readonly rate_limit: string | null;
  readonly rate_limit_per_minute: number | null;
  readonly rate_limit_per_hour: number | null;
  readonly rate_limit_per_day: number | null;
  /** A schedule of its own, such as `0 9 * * MON-FRI Europe/Paris`. */
  readonly cron_schedule: string | null;
  /** Those that it brings along, the one of `cron_schedule` among them. */
  readonly schedules: readonly VersionScheduleView[];
  readonly isolation: "shared" | "request";
  readonly base_path: "keep" | "strip" | "full";
  readonly auth: "platform" | "none";
  readonly cors: "on" | "off";
  readonly routes: readonly string[];
  readonly disable_execution_logs: boolean;
  /** Such as `stripe STRIPE_WEBHOOK_SECRET`: requests that are not signed so get 401. */
  readonly verify: string | null;
  /** Events of the authentication that the server asks it about, or tells it of. */
  readonly hooks: readonly (AuthHook | AccountEvent)[];
  /** Every call is answered 202 and becomes a task. */
  readonly respond_async: boolean;
  /** Attempts of a task after the first. */
  readonly retries: number;
  /** Tasks that run at once, over all servers. */
  readonly task_concurrency: number;
  /** Which requests are kept, without credentials, to be run again; null: as the server has it. */
  readonly capture: CaptureMode | null;
}

export interface Canary {
  readonly version: number;
  /** 1 to 99. */
  readonly percent: number;
}

export interface FunctionSummary extends FunctionSettingsFields {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly description: string | null;
  readonly enabled: boolean;
  readonly version: number;
  /** The version that serves calls; lower than `version` when a later build failed, null when none ever worked. */
  readonly live_version: number | null;
  /** A version that is tried: so many of 100 calls over HTTP get it instead of the live one. */
  readonly canary: Canary | null;
  readonly is_bundled: boolean;
  readonly bundle_error: string | null;
  readonly bundle_size: number | null;
  readonly source: FunctionSource;
  readonly created_at: string;
  readonly updated_at: string;
  readonly created_by: string | null;
}

export interface FunctionDetails extends FunctionSummary {
  /** The user's source of the entry file. */
  readonly code: string;
  readonly original_code: string;
  /** Every source file by path, the entry included. */
  readonly files: Readonly<Record<string, string>>;
  /** Names only: values are write-only. */
  readonly env: readonly string[];
  readonly bundle_problems: readonly BuildProblem[];
  /** Sentences for the author, such as a mistyped annotation. */
  readonly warnings: readonly string[];
  /** Where each setting comes from. */
  readonly settings_origins: Readonly<Record<string, SettingOrigin>>;
  /** Shared modules that are part of the bundle. */
  readonly shared_modules: readonly string[];
}

/** One version of a function, as it was deployed. */
export interface FunctionVersion {
  readonly version: number;
  readonly is_live: boolean;
  /** So many of 100 calls over HTTP get it. */
  readonly traffic_percent: number;
  readonly is_bundled: boolean;
  readonly bundle_error: string | null;
  readonly bundle_size: number | null;
  readonly content_hash: string;
  readonly timeout: number;
  readonly memory: number;
  readonly warnings: readonly string[];
  readonly shared_modules: readonly string[];
  readonly created_at: string;
  readonly created_by: string | null;
}

export interface FunctionVersionDetails extends FunctionVersion, FunctionSettingsFields {
  readonly code: string;
  readonly files: Readonly<Record<string, string>>;
  readonly env: readonly string[];
  readonly bundle_problems: readonly BuildProblem[];
  readonly settings_origins: Readonly<Record<string, SettingOrigin>>;
}

export interface SharedModule {
  readonly id: string;
  readonly namespace: string;
  readonly module_path: string;
  readonly content: string;
  readonly description: string | null;
  readonly version: number;
  readonly source: FunctionSource;
  readonly created_at: string;
  readonly updated_at: string;
  readonly created_by: string | null;
  /** Functions that are being built again because of this change, as `namespace/name`. */
  readonly rebuilding?: readonly string[];
}

/** A version of a shared module that is kept. */
export interface SharedModuleVersion {
  readonly version: number;
  readonly created_at: string;
  readonly created_by: string | null;
}

/** A function that imports a shared module, directly or through others. */
export interface SharedModuleUser {
  /** As `namespace/name`. */
  readonly function: string;
  readonly version: number;
  /**
   * `current`: built with the module as it is; `building`: it is being built again; `failed`: it does not build;
   * `pinned`: it keeps the module that it was built with, since it was rolled back or an admin has granted it more.
   */
  readonly state: "current" | "building" | "failed" | "pinned";
  /** Why it does not build. */
  readonly problem: string | null;
}

/** One that is read alone. */
export interface SharedModuleDetails extends SharedModule {
  /** The newest 20, newest first. */
  readonly versions: readonly SharedModuleVersion[];
  readonly used_by: readonly SharedModuleUser[];
}

/** Functions that the server asks about an event of the authentication, or tells of it. */
export interface AuthHookView {
  readonly event: AuthHook | AccountEvent;
  /** In the order in which they are asked, as `namespace/name`. */
  readonly functions: readonly string[];
  /** False: an admin has switched the event off, and nobody is asked; what they would be told waits. */
  readonly enabled: boolean;
  /** Of what functions are told: events that are to be handled, or that are being handled. */
  readonly waiting: number;
  /** Events whose attempts are used up. */
  readonly dead: number;
  readonly last_error: string | null;
}

/** A function that is called when rows of a table change. */
export interface DbHookView {
  readonly id: string;
  /** As `namespace/name`. */
  readonly function: string;
  /** As `schema.name`; a table that was renamed has its new name. */
  readonly table: string;
  readonly events: readonly ("INSERT" | "UPDATE" | "DELETE")[];
  readonly columns: readonly string[] | null;
  /** Such as `status=eq.paid`. */
  readonly where: string | null;
  readonly ordered: boolean;
  /** Null: it works; else why it does not. */
  readonly problem: string | null;
  /** Events that are to be handled, or that are being handled. */
  readonly waiting: number;
  /** Events whose attempts are used up. */
  readonly dead: number;
  readonly last_error: string | null;
  readonly created_at: string;
  readonly created_by: string | null;
}

export interface SyncFailure {
  readonly function: string;
  readonly name: string;
  readonly error: string;
  readonly action: "create" | "update" | "delete" | "check";
  readonly problems: readonly BuildProblem[];
}

interface SyncDetails {
  readonly created: readonly string[];
  readonly updated: readonly string[];
  readonly deleted: readonly string[];
  readonly unchanged: readonly string[];
}

export interface SyncAnswer {
  readonly message: string;
  readonly namespace: string;
  readonly summary: { readonly [Key in keyof SyncDetails | "errors"]: number };
  readonly details: SyncDetails;
  readonly errors: readonly SyncFailure[];
  readonly warnings: readonly string[];
  readonly dry_run: boolean;
}

export interface ReloadAnswer extends SyncDetails {
  readonly message: string;
  readonly errors: readonly SyncFailure[];
  readonly warnings: readonly string[];
  readonly total: number;
  readonly dry_run: boolean;
}

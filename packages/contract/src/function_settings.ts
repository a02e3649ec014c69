/**
 * The settings of one version of a function, complete and checked: what the platform acts on.
 *
 * @module
 */
import { LIMITS } from "./limits.ts";
import type { VersionSchedule } from "./schedules.ts";

export interface FunctionSettings {
  /** Wall time of one invocation in milliseconds. */
  readonly timeoutMs: number;
  /** JavaScript heap of a sandbox in MiB. */
  readonly memoryMiB: number;
  readonly permissions: Permissions;
  /** Whether a call without any credential is let through. */
  readonly allowUnauthenticated: boolean;
  /** Whether callers without `functions:read` see the function in listings. */
  readonly isPublic: boolean;
  /** Fields that are null follow the server's FLUXBASE_CORS_* settings. */
  readonly cors: CorsSettings;
  readonly rateLimits: readonly RateLimit[];
  /** A schedule as a text, or null; it is among `schedules`, too. */
  readonly cronSchedule: string | null;
  /** "request" gives every invocation a sandbox of its own, discarded after. */
  readonly isolation: "shared" | "request";
  readonly disableExecutionLogs: boolean;
  readonly responseBodyBytes: number;
  // The following are there only where they differ from what is usual, so that versions from before stay equal.
  /** The path that a function sees has no name of the function in it. */
  readonly basePath?: "strip" | "full";
  /** Credentials are the function's business: what is not one of this server reaches it, from an anonymous caller. */
  readonly auth?: "none";
  /** The function answers OPTIONS itself, and its answers get no CORS headers. */
  readonly ownCors?: true;
  /** Public paths of its own, as `GET /shop/*` (./public_routes.ts). */
  readonly routes?: readonly string[];
  /** How requests prove who sent them before the function runs, such as `stripe STRIPE_WEBHOOK_SECRET`. */
  readonly verify?: string;
  /** Events of the authentication that the server asks the function about, or tells it of. Only admins may set it. */
  readonly hooks?: readonly (AuthHook | AccountEvent)[];
  /** Every call is answered 202 and becomes a task. */
  readonly respondAsync?: true;
  /** Attempts of a task after the first; 3 without. */
  readonly retries?: number;
  /** Tasks that run at once, over all servers; 10 without. */
  readonly taskConcurrency?: number;
  /** Which requests are kept to be run again; as the server has it without. */
  readonly capture?: CaptureMode;
  /** All that the version brings along. */
  readonly schedules?: readonly VersionSchedule[];
}

export const CAPTURE_MODES = ["none", "errors", "all"] as const;
export type CaptureMode = (typeof CAPTURE_MODES)[number];

export const DEFAULT_RETRIES = 3;
export const DEFAULT_TASK_CONCURRENCY = 10;

/** `before_…` may refuse; `custom_access_token` adds claims. */
export const AUTH_HOOKS = ["before_user_created", "before_sign_in", "custom_access_token"] as const;
export type AuthHook = (typeof AUTH_HOOKS)[number];

/** What a function is told of accounts, when it has happened. */
export const ACCOUNT_EVENTS = ["user_created", "user_signed_in", "user_deleted"] as const;
export type AccountEvent = (typeof ACCOUNT_EVENTS)[number];

export interface Permissions {
  /** A list: these hosts only, such as `api.example.com`, `*.example.com` or `api.example.com:8443`. */
  readonly net: boolean | readonly string[];
  readonly env: boolean;
  readonly read: boolean;
  readonly write: boolean;
  /** What the service-role key of the function may do; without: within its namespace. */
  readonly service?: ServiceReach;
}

/** "namespace": calls and rows of the function's own namespace. "admin": everything; only admins may grant it. */
export type ServiceReach = "namespace" | "admin";

/** What browsers of other origins may do; `origins` and `headers` may be `["*"]`. */
export interface CorsPolicy {
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly credentials: boolean;
  readonly maxAgeSec: number;
}

/** A field that is null follows the server's own policy. */
export type CorsSettings = { readonly [Field in keyof CorsPolicy]: CorsPolicy[Field] | null };

export interface RateLimit {
  readonly limit: number;
  readonly per: "min" | "hour" | "day";
}

export const DEFAULT_SETTINGS: FunctionSettings = {
  timeoutMs: LIMITS.wallMs.default,
  memoryMiB: LIMITS.memoryMiB.default,
  permissions: { net: true, env: true, read: false, write: false },
  allowUnauthenticated: false,
  isPublic: true,
  cors: { origins: null, methods: null, headers: null, credentials: null, maxAgeSec: null },
  rateLimits: [],
  cronSchedule: null,
  isolation: "shared",
  disableExecutionLogs: false,
  responseBodyBytes: LIMITS.responseBodyBytes.default,
};

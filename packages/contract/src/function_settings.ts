/**
 * The settings of one version of a function, complete and checked: what the platform acts on.
 *
 * @module
 */
import { LIMITS } from "./limits.ts";

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
  /** Five-field cron expression in UTC, or null. */
  readonly cronSchedule: string | null;
  /** "request" gives every invocation a sandbox of its own, discarded after. */
  readonly isolation: "shared" | "request";
  readonly disableExecutionLogs: boolean;
  readonly responseBodyBytes: number;
}

export interface Permissions {
  readonly net: boolean;
  readonly env: boolean;
  readonly read: boolean;
  readonly write: boolean;
}

export interface CorsSettings {
  readonly origins: readonly string[] | null;
  readonly methods: readonly string[] | null;
  readonly headers: readonly string[] | null;
  readonly credentials: boolean | null;
  readonly maxAgeSec: number | null;
}

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

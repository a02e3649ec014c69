/**
 * Every error a caller can receive, and the one place where an error code meets an HTTP status.
 *
 * @module
 */

/** Codes are API: never rename one, never reuse one. `retryable` means that the same request may succeed later. */
export const ERRORS = {
  INVALID_ARGUMENT: { status: 400, retryable: false },
  INVALID_JSON: { status: 400, retryable: false },
  UNAUTHENTICATED: { status: 401, retryable: false },
  INVALID_CREDENTIAL: { status: 401, retryable: false },
  FORBIDDEN: { status: 403, retryable: false },
  /** A hook of the authentication said no; the message is its own. */
  HOOK_REFUSED: { status: 403, retryable: false },
  FUNCTION_DISABLED: { status: 403, retryable: false },
  NOT_FOUND: { status: 404, retryable: false },
  FUNCTION_NOT_FOUND: { status: 404, retryable: false },
  EXECUTION_NOT_FOUND: { status: 404, retryable: false },
  VERSION_NOT_FOUND: { status: 404, retryable: false },
  MODULE_NOT_FOUND: { status: 404, retryable: false },
  USER_NOT_FOUND: { status: 404, retryable: false },
  SECRET_NOT_FOUND: { status: 404, retryable: false },
  KEY_NOT_FOUND: { status: 404, retryable: false },
  TASK_NOT_FOUND: { status: 404, retryable: false },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false },
  REQUEST_TIMEOUT: { status: 408, retryable: true },
  ALREADY_EXISTS: { status: 409, retryable: false },
  /** The same delivery of a webhook is being handled. */
  ALREADY_RUNNING: { status: 409, retryable: true },
  IDEMPOTENCY_IN_PROGRESS: { status: 409, retryable: true },
  /** What is asked for is not possible in the state that the task is in. */
  TASK_STATE: { status: 409, retryable: false },
  /** The request of the execution was not kept. */
  NOT_CAPTURED: { status: 409, retryable: false },
  MODULE_IN_USE: { status: 409, retryable: false },
  /** Somebody else has changed it since it was read. */
  VERSION_CONFLICT: { status: 409, retryable: false },
  VERSION_NOT_BUILT: { status: 409, retryable: false },
  BODY_TOO_LARGE: { status: 413, retryable: false },
  IDEMPOTENCY_MISMATCH: { status: 422, retryable: false },
  BUNDLE_REJECTED: { status: 422, retryable: false },
  RATE_LIMITED: { status: 429, retryable: true },
  /** More tasks of the function wait than it may have. */
  QUEUE_FULL: { status: 429, retryable: true },
  CLIENT_CLOSED_REQUEST: { status: 499, retryable: true },
  INTERNAL: { status: 500, retryable: false },
  /** Something in the users' database, such as a trigger on auth.users, refused the user. */
  USER_NOT_SAVED: { status: 500, retryable: false },
  FUNCTION_ERROR: { status: 500, retryable: false },
  BUNDLE_FAILED: { status: 500, retryable: false },
  SANDBOX_DIED: { status: 502, retryable: true },
  MEMORY_LIMIT: { status: 502, retryable: false },
  CPU_LIMIT: { status: 502, retryable: false },
  DISK_LIMIT: { status: 502, retryable: false },
  RESPONSE_TOO_LARGE: { status: 502, retryable: false },
  INVALID_RESPONSE: { status: 502, retryable: false },
  NOT_AVAILABLE: { status: 501, retryable: false },
  FEATURE_DISABLED: { status: 503, retryable: false },
  /** A hook of the authentication did not answer, or not in a way that makes sense. */
  HOOK_FAILED: { status: 503, retryable: true },
  /** A secret that the server needs to go on; only said to who may set it. */
  SECRET_MISSING: { status: 503, retryable: false },
  POOL_EXHAUSTED: { status: 503, retryable: true },
  DATABASE_UNAVAILABLE: { status: 503, retryable: true },
  SHUTTING_DOWN: { status: 503, retryable: true },
  WALL_LIMIT: { status: 504, retryable: false },
  /** Functions that call one another too many deep. */
  CALL_LOOP: { status: 508, retryable: false },
} as const satisfies Record<string, { status: number; retryable: boolean }>;

export type ErrorCode = keyof typeof ERRORS;

/** Facts of the case, merged into the error body beside `error`, `code` and `request_id`. */
export type ErrorDetails = Readonly<Record<string, unknown>> & {
  readonly error?: never;
  readonly code?: never;
  readonly request_id?: never;
};

export interface PlatformErrorOptions {
  /** For the server's log only: may hold paths or SQL, never reaches a caller. */
  readonly cause?: unknown;
  /** For the caller: never secrets, never another caller's data. */
  readonly details?: ErrorDetails;
}

/** A refusal or failure that a caller is told about. The message is one sentence: what could not be done, why, what would work. */
export class PlatformError extends Error {
  override readonly name = "PlatformError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: PlatformErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** The JSON body of every error answer; `details` of the case stand beside these fields. */
export interface ErrorBody {
  readonly error: string;
  readonly code: ErrorCode;
  readonly request_id: string;
  readonly [fact: string]: unknown;
}

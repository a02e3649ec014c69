/**
 * What an attempt's end means: done, final, or once more and when. For tasks and for events of tables.
 *
 * @module
 */
import { type ErrorCode, PlatformError } from "@fluxbase/contract";
import { headerIn } from "../core/header_pairs.ts";

const FIRST_PAUSE_SEC = 5;
const PAUSE_FACTOR = 4;
const PAUSE_MAX_SEC = 3_600;
/** Answers in the four hundreds that a later attempt may mend. */
const LATER: ReadonlySet<number> = new Set([408, 425, 429]);
/** The function was not run: its attempts are not for what the server lacks. */
const NOT_BEGUN: ReadonlySet<string> = new Set<ErrorCode>(["POOL_EXHAUSTED", "SHUTTING_DOWN", "DATABASE_UNAVAILABLE"]);
const NOT_BEGUN_PAUSE_SEC = 1;

export interface Failure {
  readonly error: string;
  readonly code: ErrorCode | null;
  /** No other attempt would end otherwise. */
  readonly isFinal: boolean;
  /** The attempt does not count. */
  readonly isUncounted: boolean;
  /** When the next one may begin; undefined: as its number says. */
  readonly inSec: number | undefined;
}

/** Undefined: it is done. Headers are names and values in turn. */
export function failureOfAnswer(
  status: number,
  headers: readonly string[] | null,
  nowEpochMs: number,
): Failure | undefined {
  if (status < 400) return undefined;
  const isFinal = status < 500 && !LATER.has(status);
  return {
    error: `the function answered ${status}`,
    code: null,
    isFinal,
    isUncounted: false,
    inSec: isFinal ? undefined : askedSec(headers, nowEpochMs),
  };
}

/** The function did not answer. */
export function failureOfError(error: unknown): Failure {
  const { status, code, message } = error instanceof PlatformError
    ? error
    : { status: 500, code: "INTERNAL" as const, message: String(error) };
  const isUncounted = NOT_BEGUN.has(code);
  return {
    error: message,
    code,
    isFinal: status < 500 && status !== 499 && !LATER.has(status),
    isUncounted,
    inSec: isUncounted ? NOT_BEGUN_PAUSE_SEC * (1 + Math.random()) : undefined,
  };
}

/** `Retry-After` in seconds or as a date. */
function askedSec(headers: readonly string[] | null, nowEpochMs: number): number | undefined {
  const text = headers === null ? undefined : headerIn(headers, "retry-after");
  if (text === undefined) return undefined;
  const sec = /^\s*\d+\s*$/.test(text) ? Number(text) : (Date.parse(text) - nowEpochMs) / 1_000;
  return Number.isNaN(sec) ? undefined : Math.min(Math.max(sec, 0), PAUSE_MAX_SEC);
}

/** After attempt 1, 2, 3 …: not all at the same moment again. */
export function pauseSec(attempt: number): number {
  return Math.min(PAUSE_MAX_SEC, FIRST_PAUSE_SEC * PAUSE_FACTOR ** (attempt - 1)) * (0.8 + 0.4 * Math.random());
}

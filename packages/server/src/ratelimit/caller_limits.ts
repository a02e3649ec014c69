/**
 * How often somebody may call the server at all: the limit of a key, and one that every caller has.
 *
 * Whoever guesses credentials gets another answer than 401 after a while. A right one works all the same: keys are too
 * long to be guessed, and behind a proxy that is not trusted all callers have one address.
 *
 * @module
 */
import { PlatformError, type RateLimit } from "@fluxbase/contract";
import type { Standing } from "../core/error_response.ts";
import type { RateLimiter } from "./rate_limiter.ts";

/** Of a caller, as far as it counts. */
export interface CountedCaller {
  readonly kind: string;
  readonly userId: string | null;
  readonly keyId: string | null;
  /** Of the key; empty: no limit. */
  readonly rateLimits: readonly RateLimit[];
}

export interface Origin {
  /** Of the client; a function of this server has its name instead. */
  address(): string;
}

export interface CallerLimits {
  /**
   * Undefined where the caller has no limit.
   *
   * @throws {PlatformError} RATE_LIMITED, also as a rejection
   */
  take(caller: CountedCaller, origin: Origin): Standing | Promise<Standing> | undefined;
  /** The error to answer: the one given, or RATE_LIMITED instead of one wrong credential too many. */
  refusalOf(error: unknown, origin: Origin): unknown | Promise<unknown>;
}

export interface CallerLimitOptions {
  readonly rateLimiter: RateLimiter;
  /** Null: no limit. */
  readonly callerPerMinute: number | null;
  readonly failuresPerMinute: number;
}

export function createCallerLimits(
  { rateLimiter, callerPerMinute, failuresPerMinute }: CallerLimitOptions,
): CallerLimits {
  const everybody = callerPerMinute === null ? undefined : perMinute(callerPerMinute);
  const failures = perMinute(failuresPerMinute);

  return {
    take(caller, origin) {
      const { kind, userId, keyId, rateLimits } = caller;
      if (rateLimits.length > 0) return rateLimiter.take("key", `${keyId}`, rateLimits);
      // The operator is nobody to be limited.
      if (everybody === undefined || kind === "service") return undefined;
      if (userId !== null) return rateLimiter.take("caller", `user ${userId}`, everybody);
      if (keyId !== null) return rateLimiter.take("caller", `key ${keyId}`, everybody);
      return rateLimiter.take("caller", `address ${origin.address()}`, everybody);
    },
    async refusalOf(error, origin) {
      if (!(error instanceof PlatformError) || error.code !== "INVALID_CREDENTIAL") return error;
      try {
        await rateLimiter.take("refused", `address ${origin.address()}`, failures);
        return error;
      } catch (limited) {
        return limited;
      }
    },
  };
}

function perMinute(limit: number): readonly RateLimit[] {
  return [{ limit, per: "min" }];
}

/** Of two, the one that has less left. */
export function tighter(one: Standing | undefined, other: Standing | undefined): Standing | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.remaining <= other.remaining ? one : other;
}

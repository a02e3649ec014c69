/**
 * Counts calls: in this server, or in Postgres or Redis together with the others.
 *
 * @module
 */
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { createDeadlines } from "../core/deadlines.ts";
import type { Log } from "../core/log.ts";
import { type CallerLimits, createCallerLimits } from "../ratelimit/caller_limits.ts";
import { startPostgresCounters } from "../ratelimit/postgres_counters.ts";
import { createRateLimiter, type RateLimiter } from "../ratelimit/rate_limiter.ts";
import type { Counters } from "../ratelimit/counters.ts";
import { startRedisCounters } from "../ratelimit/redis_counters.ts";
import type { Db } from "../storage/db.ts";

export interface RateLimits {
  readonly rateLimiter: RateLimiter;
  readonly callerLimits: CallerLimits;
}

export function startRateLimits(
  config: Config,
  { db, clock, log, parts }: { db: Db; clock: Clock; log: Log; parts: AsyncDisposableStack },
): RateLimits {
  const store = startCounterStore(config, db, log);
  if (store !== undefined) parts.use(store);
  const rateLimiter = createRateLimiter({
    clock,
    log,
    ...(store === undefined ? {} : { shared: { store, deadlines: parts.use(createDeadlines(clock)) } }),
  });
  const callerLimits = createCallerLimits({
    rateLimiter,
    callerPerMinute: config.callerRateLimit,
    failuresPerMinute: config.failuresRateLimit,
  });
  return { rateLimiter, callerLimits };
}

/** Undefined: each server counts for itself. */
function startCounterStore(
  { rateLimitStore, redisUrl }: Config,
  db: Db,
  log: Log,
): Counters & Disposable | undefined {
  if (rateLimitStore === "memory") return undefined;
  return redisUrl === null || rateLimitStore === "postgres"
    ? startPostgresCounters(db)
    : startRedisCounters({ url: redisUrl, log });
}

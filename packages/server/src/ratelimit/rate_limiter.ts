/**
 * How often somebody may do something: fixed windows of a minute, an hour, a day, several at once.
 *
 * A call counts in all of its windows or in none: one that is refused costs nothing. Counters live in this process, or in
 * a store that all servers share; while that does not answer, this process counts for itself and says so. Then one call
 * a second asks the store again, so that a slow one holds nobody up.
 *
 * @module
 */
import { PlatformError, type RateLimit } from "@fluxbase/contract";
import type { Clock } from "../core/clock.ts";
import type { Deadlines } from "../core/deadlines.ts";
import type { Standing } from "../core/error_response.ts";
import type { Log } from "../core/log.ts";
import { createMemoryCounters } from "./memory_counters.ts";
import type { Counter, Counters, Taken } from "./counters.ts";

export interface RateLimiter {
  /**
   * Counts one call of somebody (the subject) to something (the scope), such as a function.
   *
   * @throws {PlatformError} RATE_LIMITED, also as a rejection
   */
  take(scope: string, subject: string, limits: readonly RateLimit[]): Standing | Promise<Standing>;
  /** Where calls are counted now: `local` means for this server alone although there is a store. */
  readonly counts: "memory" | "shared" | "local";
}

export interface RateLimiterParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Shared by servers; without, this process counts alone. */
  readonly shared?: { readonly store: Counters; readonly deadlines: Deadlines };
}

const WINDOW_MS: Readonly<Record<RateLimit["per"], number>> = { min: 60_000, hour: 3_600_000, day: 86_400_000 };
const WINDOW_WORDS: Readonly<Record<RateLimit["per"], string>> = { min: "minute", hour: "hour", day: "day" };
const STORE_MS = 500;
const ASK_AGAIN_MS = 1_000;

export function createRateLimiter({ clock, log, shared }: RateLimiterParts): RateLimiter {
  const local = createMemoryCounters();
  let isAway = false;
  let askAgainAtMs = 0;

  async function takeShared(
    { store, deadlines }: NonNullable<typeof shared>,
    counters: readonly Counter[],
    nowMs: number,
  ): Promise<Taken> {
    if (isAway) {
      if (clock.nowMs() < askAgainAtMs) return local.take(counters, nowMs);
      askAgainAtMs = clock.nowMs() + STORE_MS + ASK_AGAIN_MS;
    }
    try {
      const taken = await deadlines.guard(Promise.resolve(store.take(counters, nowMs)), STORE_MS, tooSlow);
      if (isAway) log.info("The store of rate limits answers again");
      isAway = false;
      return taken;
    } catch (error) {
      if (!isAway) log.warn("The store of rate limits does not answer: this server counts for itself", { error });
      isAway = true;
      askAgainAtMs = clock.nowMs() + ASK_AGAIN_MS;
      return local.take(counters, nowMs);
    }
  }

  function judge(taken: Taken, counters: readonly Counter[], limits: readonly RateLimit[], nowMs: number): Standing {
    let tightest = 0;
    for (let index = 1; index < counters.length; index += 1) {
      if (leftOf(taken, counters, index) < leftOf(taken, counters, tightest)) tightest = index;
    }
    const { limit, endsAtMs } = counters[tightest] ?? { limit: 0, endsAtMs: nowMs };
    const standing = {
      limit,
      remaining: Math.max(0, leftOf(taken, counters, tightest)),
      reset: Math.ceil(endsAtMs / 1_000),
    };
    if (taken.isAllowed) return standing;
    const per = limits[tightest]?.per ?? "min";
    throw new PlatformError("RATE_LIMITED", `Rate limit exceeded: ${limit} requests per ${WINDOW_WORDS[per]}`, {
      details: { retry_after: Math.max(1, Math.ceil((endsAtMs - nowMs) / 1_000)), rate_limit: standing },
    });
  }

  return {
    take(scope, subject, limits) {
      const nowMs = clock.epochMs();
      const counters = limits.map(({ limit, per }): Counter => {
        const startMs = nowMs - nowMs % WINDOW_MS[per];
        return { key: `${scope} ${per} ${startMs} ${subject}`, limit, endsAtMs: startMs + WINDOW_MS[per] };
      });
      if (shared === undefined) return judge(local.take(counters, nowMs), counters, limits, nowMs);
      return takeShared(shared, counters, nowMs).then((taken) => judge(taken, counters, limits, nowMs));
    },
    get counts() {
      if (shared === undefined) return "memory";
      return isAway ? "local" : "shared";
    },
  };
}

function tooSlow(ms: number): Error {
  return new Error(`It took longer than ${ms} ms`);
}

function leftOf({ counts }: Taken, counters: readonly Counter[], index: number): number {
  return (counters[index]?.limit ?? 0) - (counts[index] ?? 0);
}

/**
 * How much each function may log: a rate over all its executions, with a burst.
 *
 * @module
 */
import { TokenBucket } from "../core/token_bucket.ts";

export interface LogBudgets {
  /** False: so many bytes more are too many now. */
  take(functionId: string, byteCount: number): boolean;
  forget(functionId: string): void;
}

/** A function may log this many times its bytes a second at once: one execution of the greatest length fits. */
const BURST_SEC = 64;

export function createLogBudgets(bytesPerSec: number, now: () => number): LogBudgets {
  const buckets = new Map<string, TokenBucket>();
  return {
    take(functionId, byteCount) {
      let bucket = buckets.get(functionId);
      if (bucket === undefined) {
        bucket = new TokenBucket(now(), { capacity: bytesPerSec * BURST_SEC, refillPerSec: bytesPerSec });
        buckets.set(functionId, bucket);
      }
      return bucket.take(byteCount, now());
    },
    forget: (functionId) => void buckets.delete(functionId),
  };
}

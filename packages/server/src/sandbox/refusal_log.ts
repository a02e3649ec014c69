/**
 * Tells the operator which connections of functions were refused: a few lines for each function, however often it tries.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import { TokenBucket } from "../core/token_bucket.ts";

/** How the function is named in the log. */
export interface RefusedFunction {
  readonly functionId: string;
  readonly namespace: string;
  readonly functionName: string;
  readonly version: number;
}

export interface RefusalLog {
  refused(fn: RefusedFunction, address: string): void;
  forget(functionId: string): void;
}

/** So many lines at once, and one a minute in the long run. */
const PACE = { capacity: 5, refillPerSec: 1 / 60 };

export function createRefusalLog(log: Log, now: () => number): RefusalLog {
  const functions = new Map<string, { readonly bucket: TokenBucket; unloggedCount: number }>();
  return {
    refused({ functionId, namespace, functionName, version }, address) {
      let one = functions.get(functionId);
      if (one === undefined) {
        one = { bucket: new TokenBucket(now(), PACE), unloggedCount: 0 };
        functions.set(functionId, one);
      }
      if (!one.bucket.take(1, now())) {
        one.unloggedCount += 1;
        return;
      }
      const unlogged = one.unloggedCount === 0 ? {} : { unloggedCount: one.unloggedCount };
      one.unloggedCount = 0;
      log.warn("A function was refused a connection", {
        namespace,
        function: functionName,
        version,
        address,
        ...unlogged,
      });
    },
    forget: (functionId) => void functions.delete(functionId),
  };
}

/**
 * Time as an argument, so that rules about time can be tested without waiting.
 *
 * @module
 */
export interface Clock {
  /** Milliseconds that only move forward; for durations, never for storage. */
  nowMs(): number;
  /** Milliseconds since the epoch; for storage and expiry. */
  epochMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  epochMs: () => Date.now(),
};

/** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) {
    reject(signal.reason);
    return promise;
  }
  const timer = setTimeout(finish, ms);
  signal?.addEventListener("abort", abort, { once: true });
  return promise;

  function finish() {
    signal?.removeEventListener("abort", abort);
    resolve();
  }
  function abort() {
    clearTimeout(timer);
    reject(signal?.reason);
  }
}

/** Waits for `work`; after `ms` throws what `onTimeout` makes. Does not stop the work: the caller owns that. */
export async function withDeadline<T>(work: Promise<T>, ms: number, onTimeout: () => Error): Promise<T> {
  const { promise: timedOut, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(onTimeout()), ms);
  try {
    return await Promise.race([work, timedOut]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * How long the server's event loop made a timer wait.
 *
 * @module
 */
export interface EventLoopLag extends Disposable {
  /** The longest since it was asked last. */
  takeMs(): number;
}

const LOOK_EVERY_MS = 250;

export function watchEventLoop(now: () => number): EventLoopLag {
  let dueMs = now() + LOOK_EVERY_MS;
  let longestMs = 0;
  const timer = setInterval(() => {
    const nowMs = now();
    longestMs = Math.max(longestMs, nowMs - dueMs);
    dueMs = nowMs + LOOK_EVERY_MS;
  }, LOOK_EVERY_MS);
  return {
    takeMs() {
      // One that is overdue now counts as well.
      const takenMs = Math.max(longestMs, now() - dueMs);
      longestMs = 0;
      return takenMs;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

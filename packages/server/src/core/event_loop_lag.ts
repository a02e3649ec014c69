/**
 * How long the server's event loop made a timer wait.
 *
 * @module
 */
export interface EventLoopLag extends Disposable {
  /** The longest of the last 15 to 30 seconds: several may ask, each as often as it likes. */
  longestMs(): number;
}

const LOOK_EVERY_MS = 250;
const WINDOW_LOOKS_COUNT = 60;

export function watchEventLoop(now: () => number): EventLoopLag {
  let dueMs = now() + LOOK_EVERY_MS;
  let longestMs = 0;
  let longestBeforeMs = 0;
  let looksCount = 0;
  const timer = setInterval(() => {
    const nowMs = now();
    longestMs = Math.max(longestMs, nowMs - dueMs);
    dueMs = nowMs + LOOK_EVERY_MS;
    looksCount += 1;
    if (looksCount % WINDOW_LOOKS_COUNT > 0) return;
    longestBeforeMs = longestMs;
    longestMs = 0;
  }, LOOK_EVERY_MS);
  return {
    // One that is overdue now counts as well.
    longestMs: () => Math.max(longestBeforeMs, longestMs, now() - dueMs),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/**
 * What nobody has caught is said and ends nothing: one failure, of a peer or of ours, must not take everybody's calls.
 *
 * It is a bug all the same, so the log has it as an error with its stack. What cannot be survived, such as a crash of the
 * runtime itself, ends the process, and its launcher starts another one.
 *
 * @module
 */
import type { Log } from "./log.ts";

/** One of a kind is said this often; the others are counted. A loop of failures must not fill the disk with its log. */
const SAY_MS = 1_000;

export function surviveUncaught(log: Log): void {
  let saidMs = -Infinity;
  let unsaidCount = 0;

  function survive(event: Event, error: unknown, message: string): void {
    event.preventDefault();
    const nowMs = performance.now();
    if (nowMs - saidMs < SAY_MS) {
      unsaidCount += 1;
      return;
    }
    saidMs = nowMs;
    log.error(message, { error, ...(unsaidCount === 0 ? {} : { moreSinceThen: unsaidCount }) });
    unsaidCount = 0;
  }

  globalThis.addEventListener("unhandledrejection", (event) => {
    survive(event, event.reason, "A failure that nobody waited for: the server goes on; please report it");
  });
  globalThis.addEventListener("error", (event) => {
    survive(event, event.error, "An error that nobody caught: the server goes on; please report it");
  });
}

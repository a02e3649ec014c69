/**
 * Why the platform cannot start: one sentence for the operator, never a stack trace.
 *
 * @module
 */
export class StartError extends Error {
  override readonly name = "StartError";
}

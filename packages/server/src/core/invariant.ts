/**
 * "Cannot happen", with an id that leads from a log line to one place in the source.
 *
 * @module
 */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
  /** Unique in the source; `tools/check_ids.ts` checks it. */
  readonly id: string;

  constructor(id: string, message: string) {
    super(`${message} [${id}]`);
    this.id = id;
  }
}

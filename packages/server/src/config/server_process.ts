/**
 * Which of several server processes this is.
 *
 * @module
 */
/** One of several on one port and one data directory, started by a parent that owns the embedded database. */
export interface ServerProcess {
  /** 1 is the one that speaks for all at the start. */
  readonly number: number;
  readonly count: number;
  /** Of the port that all listen on. */
  readonly port: number;
  /** Begins the names of all its processes. */
  readonly family: string;
}

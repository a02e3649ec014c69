/**
 * What every part of the platform is built on.
 *
 * @module
 */
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import type { AdjustableLog } from "../core/log.ts";
import type { Place } from "./place.ts";

export interface Base {
  readonly config: Config;
  readonly log: AdjustableLog;
  readonly clock: Clock;
  readonly dataDir: string;
  /** Where the server is and how it answers: known when it listens. */
  readonly place: Place;
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortController;
  /** What has to end with the platform, in the order in which it was started. */
  readonly parts: AsyncDisposableStack;
}

/** Each process of a machine has a folder and a name of its own; the first those of a server that is alone. */
export function ownName(name: string, { process }: Config): string {
  return process === null || process.number === 1 ? name : `${name}-${process.number}`;
}

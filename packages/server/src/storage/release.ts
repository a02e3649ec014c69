/**
 * Which release this is, and with which others it can share a database: a rollout goes from server to server, so those of
 * two adjacent releases work side by side.
 *
 * @module
 */
export interface Release {
  readonly version: string;
  /** The oldest release whose servers can go on with this one's schema, and start again beside it. */
  readonly serversFrom: string;
}

/** A migration only adds. What it makes superfluous goes a release later, and then this says from which on. */
export const RELEASE: Release = { version: "0.1.0", serversFrom: "0.1.0" };

/** Negative: `a` is older. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (let index = 0; index < 3; index += 1) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

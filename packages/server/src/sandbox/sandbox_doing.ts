/**
 * Counts sandboxes by what they are doing.
 *
 * @module
 */
import type { Sandbox } from "./sandbox.ts";
import type { SandboxMeter } from "./sandbox_meter.ts";
import type { SandboxState } from "./sandbox_state.ts";

/** What a sandbox is doing, as metrics have it: one that is ready is idle or busy. */
export type SandboxDoing = Exclude<SandboxState, "ready"> | "idle" | "busy";

export type Doings = Readonly<Record<SandboxDoing, { readonly count: number; readonly memoryMiB: number }>>;

/** @param startingCount those that are no sandboxes yet */
export function countDoings(
  sandboxes: Iterable<Sandbox>,
  { meter, startingCount }: { readonly meter: SandboxMeter; readonly startingCount: number },
): Doings {
  const counted = () => ({ count: 0, memoryMiB: 0 });
  const found = {
    starting: { count: startingCount, memoryMiB: 0 },
    blank: counted(),
    loading: counted(),
    idle: counted(),
    busy: counted(),
    draining: counted(),
    dead: counted(),
  };
  for (const sandbox of sandboxes) {
    const { state, load } = sandbox;
    const entry = found[state !== "ready" ? state : load > 0 ? "busy" : "idle"];
    entry.count += 1;
    entry.memoryMiB += meter.memoryOf(sandbox);
  }
  return found;
}

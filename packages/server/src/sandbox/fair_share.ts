/**
 * Who gets the processor when functions want more of it than there is.
 *
 * The kernel shares by process, so a function with many busy sandboxes would get a share for each. Those of a function
 * that takes more than its part, while others want theirs, run at a lower priority until that is over.
 *
 * @module
 */
import { setPriority } from "node:os";

export interface FunctionUsage {
  readonly functionId: string;
  /** Processors it kept busy since the last look: 1.5 is one and a half. */
  readonly cpus: number;
  /** Processors that it was ready to keep busy and did not get, because the machine had other work. */
  readonly waitedCpus: number;
}

/** Below this a function hardly wants to run and claims no part. */
const ACTIVE_CPUS = 0.02;
/** Part of all processors that may be wanted before priorities matter. */
const CROWDED_PART = 0.7;
const NICE_TO_HOGS = 15;

/** Functions whose sandboxes should yield to those of the others. */
export function hogsAmong(usages: readonly FunctionUsage[], cpuCount: number): ReadonlySet<string> {
  const active = usages.filter(({ cpus, waitedCpus }) => cpus + waitedCpus >= ACTIVE_CPUS);
  const used = active.reduce((sum, { cpus }) => sum + cpus, 0);
  const wanted = active.reduce((sum, { waitedCpus }) => sum + waitedCpus, used);
  if (active.length < 2 || wanted < CROWDED_PART * cpuCount) return new Set();
  // Where functions want more than there is, what they share is what they got: other programs run here too.
  const part = (wanted > cpuCount ? Math.min(used, cpuCount) : cpuCount) / active.length;
  return new Set(active.filter(({ cpus }) => cpus > part).map(({ functionId }) => functionId));
}

/** Gives the priority; taking it back needs root, so without it a hog stays one until its sandbox is replaced. */
export function setHog(pid: number, isHog: boolean): void {
  try {
    setPriority(pid, isHog ? NICE_TO_HOGS : 0);
  } catch {
    // Not allowed, or gone.
  }
}

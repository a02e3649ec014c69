/**
 * Whether one more sandbox may exist, and which idle ones end so that it may.
 *
 * Owns: the bounds of count and memory over all sandboxes.
 * Does not own: who is worth more (./victims.ts), when a start begins (./start_queue.ts).
 *
 * @module
 */
import type { BlankSandboxes } from "./blank_sandboxes.ts";
import type { Fleet } from "./fleet.ts";
import { heatOf } from "./function_tallies.ts";
import { machineMemoryMiB } from "./machine_memory.ts";
import type { Sandbox } from "./sandbox.ts";
import type { SandboxMeter } from "./sandbox_meter.ts";
import { COPY_MIB } from "./sandbox_process.ts";
import { chooseVictims, type Need } from "./victims.ts";

export interface RoomOptions {
  readonly sandboxMaxCount: number;
  /** 0: a part of what the machine or its container has. */
  readonly memoryMaxMiB: number;
  /** All there are, with the fleet of those that are not blank. */
  readonly sandboxes: ReadonlyMap<Sandbox, Fleet | undefined>;
  readonly meter: SandboxMeter;
  readonly blanks: BlankSandboxes;
  now(): number;
  /** Those that are being started and are not among `sandboxes` yet. */
  startingCount(): number;
}

export interface Room {
  /** True when one more may exist; ends some that were idle for `idleMs` if that is what it takes. */
  make(idleMs: number): boolean;
  /** Ends the idle one that is worth least. */
  freeOne(): void;
  /** Ends idle ones while all together have more memory than they may. */
  keepMemory(): void;
  /** Ended for the sake of another one. */
  readonly evictedCount: number;
}

/** Of the machine's memory for all sandboxes, where no number is set. */
export const MEMORY_PART = 0.6;

export function createRoom(options: RoomOptions): Room {
  const { sandboxes, meter, blanks, now } = options;
  const memoryMaxMiB = options.memoryMaxMiB || machineMemoryMiB() * MEMORY_PART;
  let evictedCount = 0;

  /** What is missing for one more sandbox. Those that are ending now are as good as gone. */
  function lack(): Need {
    let count = options.startingCount() + 1;
    let memoryMiB = COPY_MIB * count;
    for (const sandbox of sandboxes.keys()) {
      if (isEnding(sandbox)) continue;
      count += 1;
      memoryMiB += meter.memoryOf(sandbox);
    }
    return { sandboxesCount: count - options.sandboxMaxCount, memoryMiB: memoryMiB - memoryMaxMiB };
  }

  function make(idleMs: number): boolean {
    const need = lack();
    if (need.sandboxesCount <= 0 && need.memoryMiB <= 0) return true;
    return evictFor(need, idleMs);
  }

  function evictFor(need: Need, idleMs: number): boolean {
    const nowMs = now();
    const candidates = [...sandboxes].flatMap(([sandbox, fleet]) => {
      if (sandbox.load > 0 || nowMs - sandbox.idleSinceMs < idleMs) return [];
      // A blank one is of use to whoever comes next, so it is the last to go, and never for another blank one.
      if (fleet === undefined ? idleMs > 0 || !blanks.has(sandbox) : sandbox.state !== "ready") return [];
      const heat = fleet === undefined ? Infinity : heatOf(fleet.tally) / fleet.sandboxes.length;
      return [{ item: sandbox, heat, idleSinceMs: sandbox.idleSinceMs, memoryMiB: meter.memoryOf(sandbox) }];
    });
    const victims = chooseVictims(candidates, need);
    for (const sandbox of victims) {
      evictedCount += 1;
      blanks.remove(sandbox);
      sandbox.drain();
    }
    return victims.length > 0;
  }

  function freeOne(): void {
    evictFor({ sandboxesCount: 1, memoryMiB: 0 }, 0);
  }

  return {
    make,
    freeOne,
    keepMemory() {
      const overMiB = lack().memoryMiB - COPY_MIB;
      if (overMiB > 0 && !evictFor({ sandboxesCount: 0, memoryMiB: overMiB }, 0)) freeOne();
    },
    get evictedCount() {
      return evictedCount;
    },
  };
}

function isEnding({ state, load }: Sandbox): boolean {
  return state === "dead" || (state === "draining" && load === 0);
}

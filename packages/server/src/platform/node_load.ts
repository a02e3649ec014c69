/**
 * How busy this server is, as the list of servers tells it.
 *
 * @module
 */
import type { NodeLoad } from "@fluxbase/contract";
import type { SandboxPool } from "../sandbox/sandbox_pool.ts";

export function loadOf(sandboxes: SandboxPool): NodeLoad {
  const { sandboxCount, busyCount, waitingCount, memoryMiB } = sandboxes.stats();
  return {
    sandboxes: sandboxCount,
    busy: busyCount,
    waiting: waitingCount,
    memory_mb: Math.round(memoryMiB),
    machine_load: Number((Deno.loadavg()[0] ?? 0).toFixed(2)),
  };
}

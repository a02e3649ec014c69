/**
 * Finds processes that a test left behind.
 *
 * @module
 */
import { delay } from "../../src/core/clock.ts";

const GONE_WITHIN_MS = 5_000;

/** Runs `work`; fails when a child process of ours is still there a while after it. */
export async function withoutLeakedProcesses(work: () => Promise<void>): Promise<void> {
  const before = new Set(childrenOf(Deno.pid).map(({ pid }) => pid));
  await work();
  const deadline = performance.now() + GONE_WITHIN_MS;
  while (true) {
    const left = childrenOf(Deno.pid).filter(({ pid }) => !before.has(pid));
    if (left.length === 0) return;
    if (performance.now() > deadline) {
      throw new Error(`Processes left behind: ${left.map(({ pid, command }) => `${pid} ${command}`).join("; ")}`);
    }
    await delay(20);
  }
}

/** Those of a server: started by it, or copied from a zygote that it has started. */
export function sandboxesOf(serverPid: number): number[] {
  const zygotes = zygotesOf(serverPid);
  const alone = harnessesOf(serverPid).map(({ pid }) => pid).filter((pid) => !zygotes.includes(pid));
  return [...alone, ...zygotes.flatMap(childrenOf).map(({ pid }) => pid)];
}

export function zygotesOf(serverPid: number): number[] {
  return harnessesOf(serverPid).filter(({ command }) => command.includes('"startedCountPath":null')).map(({ pid }) =>
    pid
  );
}

function harnessesOf(serverPid: number) {
  return childrenOf(serverPid).filter(({ command }) => command.includes("sandbox_runtime/sandbox"));
}

export function childrenOf(parentPid: number): { pid: number; command: string }[] {
  const children: { pid: number; command: string }[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(parent) !== parentPid || state === "Z") continue;
      children.push({
        pid: Number(name),
        command: Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " "),
      });
    } catch {
      // It ended while we looked.
    }
  }
  return children;
}

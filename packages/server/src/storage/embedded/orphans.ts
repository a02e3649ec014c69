/**
 * Ends what a Postgres left behind that was killed.
 *
 * The processes that serve its connections notice the end of their parent when they next wait for something. One that
 * computes does not, and while it lives no other Postgres opens the folder.
 *
 * @module
 */
import { join } from "node:path";
import type { Log } from "../../core/log.ts";

/** Only on Linux is there a way to know whose they are; elsewhere nothing happens. Returns how many were ended. */
export async function endOrphans(dir: string, log: Log): Promise<number> {
  const pids = await processesIn(await Deno.realPath(dir).catch(() => dir));
  const parent = await parentPid(dir);
  // While their parent lives they are not ours to end: this is the Postgres of another server.
  if (pids.length === 0 || parent === undefined || pids.includes(parent)) return 0;
  log.warn("Ending processes that a killed Postgres left behind", { pids });
  for (const pid of pids) {
    try {
      // They share memory with nobody who lives, so there is nothing to put in order.
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
  return pids.length;
}

/** Every process of Postgres works in the folder of its database. */
async function processesIn(dir: string): Promise<number[]> {
  const found: number[] = [];
  if (Deno.build.os !== "linux") return found;
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const program = await Deno.readLink(`/proc/${name}/exe`);
      if (!/\/postgres( \(deleted\))?$/.test(program)) continue;
      if (await Deno.readLink(`/proc/${name}/cwd`) === dir) found.push(Number(name));
    } catch {
      // It has ended, or is of another user.
    }
  }
  return found;
}

/** Of the Postgres that opened the folder last. */
async function parentPid(dir: string): Promise<number | undefined> {
  try {
    const pid = Number((await Deno.readTextFile(join(dir, "postmaster.pid"))).split("\n")[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A spawner for as long as the server runs: its thread is replaced when it is gone, and when the system has replaced a
 * file that processes need, since rights are given to a file and not to its name.
 *
 * @module
 */
import type { FileRights } from "../../sandbox_runtime/landlock.ts";
import { type Spawner, startSpawner, threadIsGone } from "./confined_process.ts";
import { identityOf } from "./file_rights.ts";

export interface RenewedSpawner extends Pick<Spawner, "start"> {
  /** Another one when the one before was replaced. */
  current(): Promise<Spawner>;
  /** Its processes die with it. */
  end(): void;
}

/** How often the files of the machine are looked at. */
const LOOK_EVERY_MS = 2_000;

/** @param rightsNow what its processes may reach, by the names of now */
export async function startRenewedSpawner(
  rightsNow: () => FileRights,
  { now }: { now(): number },
): Promise<RenewedSpawner> {
  const all = new Set<Spawner>();
  let identity = identityOf(rightsNow());
  let lookedAtMs = now();
  let isEnded = false;
  let current = start();
  await current;

  async function start(): Promise<Spawner> {
    const spawner = await startSpawner(rightsNow());
    for (const one of all) if (!one.isAlive) all.delete(one);
    all.add(spawner);
    return spawner;
  }

  function hasChanged(): boolean {
    if (now() - lookedAtMs < LOOK_EVERY_MS) return false;
    lookedAtMs = now();
    const found = identityOf(rightsNow());
    if (found === identity) return false;
    identity = found;
    return true;
  }

  async function usable(): Promise<Spawner> {
    if (isEnded) throw threadIsGone();
    const asked = current;
    const spawner = await asked.catch(() => undefined);
    if (current !== asked) return await usable();
    if (spawner?.isAlive && !hasChanged()) return spawner;
    current = start();
    const renewed = await current;
    // Its processes die with its thread, so it stays until they are gone.
    spawner?.retire();
    return renewed;
  }

  return {
    current: usable,
    start: async (command) => (await usable()).start(command),
    end() {
      isEnded = true;
      for (const spawner of all) spawner.end();
    },
  };
}

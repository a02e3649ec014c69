/**
 * The zygotes: one for each of the profiles that were asked for last, made when the first sandbox of it starts.
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import type { Spawner } from "../processes/confined_process.ts";
import type { CommandOptions, SandboxProfile } from "./sandbox_command.ts";
import { startZygote, type Zygote } from "./zygote.ts";

export interface ZygoteRequest extends Omit<CommandOptions, "scratchDir" | "startedCountPath" | "uid"> {
  /** What starts the zygote now; when it has changed, so have files that its processes need. */
  readonly spawner: Spawner;
  readonly startMs: number;
}

export interface Zygotes {
  /** Undefined where processes cannot be copied. */
  of(profile: SandboxProfile, request: () => Promise<ZygoteRequest>): Promise<Zygote | undefined>;
}

/** Each has the memory of one sandbox. */
const ZYGOTES_MAX_COUNT = 4;
/** Those included that wait for the end of their last copy. With more, a sandbox starts from nothing. */
const ALL_MAX_COUNT = 12;
/** After one that could not be copied: a machine that is too busy is one reason. */
const PAUSE_MS = 60_000;

interface Kept {
  readonly spawner: Spawner;
  readonly denyNet: string;
  readonly zygote: Promise<Zygote>;
}

export function createZygotes({ log, now }: { readonly log: Log; now(): number }): Zygotes {
  // A Map keeps the order of insertion: the profile asked for last is the last one.
  const kept = new Map<string, Kept>();
  let livingCount = 0;
  let pausedUntilMs = Deno.build.os === "linux" ? -Infinity : Infinity;

  function retire(key: string): void {
    const one = kept.get(key);
    kept.delete(key);
    void one?.zygote.then((zygote) => zygote.retire(), () => {});
  }

  async function usable(key: string, { spawner, denyNet }: ZygoteRequest): Promise<Kept | undefined> {
    const one = kept.get(key);
    if (one === undefined) return undefined;
    const zygote = await one.zygote.catch(() => undefined);
    if (zygote?.isUsable && one.spawner === spawner && one.denyNet === denyNet) return one;
    if (kept.get(key) === one) retire(key);
    return kept.get(key);
  }

  return {
    async of(profile, ask) {
      if (now() < pausedUntilMs) return undefined;
      // As JSON: a host may be called `true`.
      const key = `${JSON.stringify(profile.net)}/${profile.memoryMiB}`;
      const request = await ask();
      // While one was looked at, another may have been started.
      let one = await usable(key, request) ?? kept.get(key);
      if (one === undefined) {
        if (livingCount >= ALL_MAX_COUNT) return undefined;
        const { spawner, denyNet } = request;
        livingCount += 1;
        const zygote = startZygote(profile, { ...request, onEnded: () => void (livingCount -= 1) });
        one = { spawner, denyNet, zygote };
      }
      kept.delete(key);
      kept.set(key, one);
      for (const oldest of [...kept.keys()].slice(0, -ZYGOTES_MAX_COUNT)) retire(oldest);
      try {
        return await one.zygote;
      } catch (error) {
        if (kept.get(key) === one) kept.delete(key);
        pausedUntilMs = now() + PAUSE_MS;
        log.warn("Sandboxes cannot be copied: for a minute each starts from nothing, and first calls are slower", {
          error,
        });
        return undefined;
      }
    },
  };
}

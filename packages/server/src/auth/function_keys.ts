/**
 * The service-role key that a function finds in its environment: made for one version, good for a few hours, and only
 * within the function's namespace unless an admin granted that version more (./permissions.ts).
 *
 * It is refused as soon as its function is disabled or deleted, and soon after another version is live: who has lost
 * one deploys again. The server's own keys are never given to a function.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";

export interface KeyedVersion {
  readonly functionId: string;
  readonly version: number;
}

interface ServedFunction {
  readonly id: string;
  readonly enabled: boolean;
  readonly liveVersion: number | null;
  readonly canary: { readonly fn: { readonly liveVersion: number | null } } | null;
}

/** The functions of this server, as far as their keys are concerned. */
export interface ServedFunctions {
  findById(id: string): ServedFunction | undefined;
  /** Tells of every change; returns the way to stop. */
  subscribe(
    listener: (change: { readonly before: ServedFunction | undefined }) => void,
  ): () => void;
}

export interface FunctionKeys {
  isAccepted(version: KeyedVersion): boolean;
  [Symbol.dispose](): void;
}

/** Requests that run on the version before are finished with its key. */
const AFTER_LIVE_MS = 120_000;

export function watchFunctionKeys(functions: ServedFunctions, clock: Clock): FunctionKeys {
  /** In the order in which they stopped being live. */
  const wasLiveUntilMs = new Map<string, number>();
  const unsubscribe = functions.subscribe(({ before }) => {
    const nowMs = clock.nowMs();
    for (const [version, untilMs] of wasLiveUntilMs) {
      if (nowMs - untilMs <= AFTER_LIVE_MS) break;
      wasLiveUntilMs.delete(version);
    }
    for (const number of before === undefined ? [] : numbersOf(before)) {
      const version = textOf({ functionId: before?.id ?? "", version: number });
      wasLiveUntilMs.delete(version);
      wasLiveUntilMs.set(version, nowMs);
    }
  });
  return {
    isAccepted({ functionId, version }) {
      const found = functions.findById(functionId);
      if (found === undefined || !found.enabled) return false;
      if (numbersOf(found).includes(version)) return true;
      const untilMs = wasLiveUntilMs.get(textOf({ functionId, version }));
      return untilMs !== undefined && clock.nowMs() - untilMs <= AFTER_LIVE_MS;
    },
    [Symbol.dispose]: unsubscribe,
  };
}

/** Of the versions that serve calls. */
function numbersOf({ liveVersion, canary }: ServedFunction): number[] {
  return [liveVersion, canary?.fn.liveVersion ?? null].filter((number) => number !== null);
}

function textOf({ functionId, version }: KeyedVersion): string {
  return `${functionId}:${version}`;
}

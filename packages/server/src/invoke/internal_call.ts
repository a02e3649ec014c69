/**
 * A call that the server makes itself: no client, no credential.
 *
 * @module
 */
import type { TriggerType } from "@fluxbase/contract";
import type { LiveFunction } from "../catalog/catalog.ts";
import { HeaderList } from "../core/header_list.ts";
import { inFrames } from "./in_frames.ts";
import type { Invocation, TaskFacts } from "./invocation.ts";

export interface InternalCall {
  readonly fn: LiveFunction;
  readonly trigger: TriggerType;
  /** A new one without. */
  readonly executionId?: string;
  readonly task?: TaskFacts;
  /** The execution that it runs again. */
  readonly replayOf?: string;
  /** The execution that made it. */
  readonly parentId?: string | null;
  /** POST without. */
  readonly method?: string;
  /** What of the path follows the function's own. */
  readonly path?: string;
  /** Public, as functions see it. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
  /** The call is over then, whatever the function's own time. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export function internalCall(
  { fn, trigger, url, headers, body, timeoutMs, signal, ...given }: InternalCall,
): Invocation {
  return {
    executionId: given.executionId ?? crypto.randomUUID(),
    givenRequestId: headers["x-request-id"] ?? null,
    task: given.task ?? null,
    replayOf: given.replayOf,
    parentId: given.parentId ?? undefined,
    fn,
    trigger,
    method: given.method ?? "POST",
    url,
    path: given.path ?? "/",
    headers: new HeaderList(new Headers({ ...headers, "content-length": String(body.length) }), true),
    bodyBytes: body.length,
    isUpgrade: false,
    depth: 0,
    isAdmitted: false,
    standing: undefined,
    timeoutMs: Math.min(timeoutMs, fn.settings.timeoutMs),
    address: () => "the server",
    peer: () => "",
    signal: () => signal,
    asyncWish: () => ({ runAt: null, retries: undefined, key: null }),
    readBody: () => inFrames(body),
    readWhole: () => Promise.resolve(body),
  };
}

/**
 * A call that the server makes itself: no client, no credential.
 *
 * @module
 */
import type { TriggerType } from "@fluxbase/contract";
import type { LiveFunction } from "../catalog/catalog.ts";
import { HeaderList } from "../core/header_list.ts";
import { inFrames } from "./in_frames.ts";
import type { Invocation } from "./invoke.ts";

export interface InternalCall {
  readonly fn: LiveFunction;
  readonly trigger: TriggerType;
  /** Public, as functions see it. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
  /** The call is over then, whatever the function's own time. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export function internalCall({ fn, trigger, url, headers, body, timeoutMs, signal }: InternalCall): Invocation {
  return {
    executionId: crypto.randomUUID(),
    givenRequestId: null,
    fn,
    trigger,
    method: "POST",
    url,
    path: "/",
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
    readBody: () => inFrames(body),
    readWhole: () => Promise.resolve(body),
  };
}

/**
 * What a function sends on of the trace that its request belongs to.
 *
 * @module
 */
import type { Call } from "./call.ts";
import { currentCall } from "./current_call.ts";
import { parseTraceparent, TRACE_HEADER, TRACE_STATE_HEADER } from "./trace_context.ts";

/** What a handler finds as `context.trace`. */
export interface TraceFacts {
  readonly traceId: string;
  /** Of this call: the parent of what it leads to. */
  readonly spanId: string;
  /** Whether it is recorded. */
  readonly sampled: boolean;
  /** To be sent to others. */
  readonly traceparent: string;
  readonly tracestate: string | null;
}

// Captured before user code runs.
const NativeRequest = Request;

/** Null where nobody traces. */
export function traceOf({ headerPairs }: Call): TraceFacts | null {
  const traceparent = valueOf(headerPairs, TRACE_HEADER);
  const context = parseTraceparent(traceparent);
  if (context === null || traceparent === undefined) return null;
  const { traceId, spanId, isSampled } = context;
  return {
    traceId,
    spanId,
    sampled: isSampled,
    traceparent,
    tracestate: valueOf(headerPairs, TRACE_STATE_HEADER) ?? null,
  };
}

/** Names and values in turn, for a request that has none of its own. */
export function traceHeaders(headers: Headers): string[] {
  const call = currentCall();
  const trace = call === undefined || headers.has(TRACE_HEADER) ? null : traceOf(call);
  if (trace === null) return [];
  const { traceparent, tracestate } = trace;
  return [TRACE_HEADER, traceparent, ...tracestate === null ? [] : [TRACE_STATE_HEADER, tracestate]];
}

/** The same request, with the trace of the one on whose behalf it is made. */
export function traced(input: RequestInfo | URL, init: RequestInit | undefined): Request {
  const request = new NativeRequest(input, init);
  const pairs = traceHeaders(request.headers);
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    request.headers.set(pairs[index] ?? "", pairs[index + 1] ?? "");
  }
  return request;
}

/** Whether a host is one of those named: itself, `*.example.com` for all below, `*` for all. */
export function isNamed(hostname: string, names: readonly string[]): boolean {
  return names.some((name) =>
    name === "*" || name === hostname || (name.startsWith("*.") && hostname.endsWith(name.slice(1)))
  );
}

function valueOf(pairs: readonly string[], name: string): string | undefined {
  for (let index = 0; index < pairs.length; index += 2) if (pairs[index] === name) return pairs[index + 1];
  return undefined;
}

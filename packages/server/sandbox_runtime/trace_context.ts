/**
 * Where a request belongs among others: the `traceparent` header of the W3C, on both sides.
 *
 * @module
 */
export interface TraceContext {
  /** 32 digits: the same for everything that one first request led to. */
  readonly traceId: string;
  /** 16 digits: of whoever sent the request. */
  readonly spanId: string;
  /** Whether whoever sent it records it. */
  readonly isSampled: boolean;
}

export const TRACE_HEADER = "traceparent";
/** Of those who trace, beside it; it means nothing without. */
export const TRACE_STATE_HEADER = "tracestate";

/** Later versions may add parts at its end. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Null for what is no valid one, which the W3C says to take for none. */
export function parseTraceparent(text: string | null | undefined): TraceContext | null {
  const [, version, traceId, spanId, flags, more] = TRACEPARENT.exec(text ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  if (version === "00" && more !== undefined) return null;
  return { traceId, spanId, isSampled: (parseInt(flags, 16) & 1) === 1 };
}

export function traceparentOf({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-0${isSampled ? 1 : 0}`;
}

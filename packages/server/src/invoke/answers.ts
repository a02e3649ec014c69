/**
 * What a caller got, to be compared with what another call of the same request got.
 *
 * @module
 */
import type { PlatformError } from "@fluxbase/contract";
import type { Answer } from "../executions/captures.ts";
import type { SandboxResponse } from "../sandbox/exchange.ts";

/** What of an error is compared: the rest of its answer has ids in it. */
export function answerOfError({ status, code, message }: PlatformError): Answer {
  return { status, code, headers: [], body: message };
}

export function answerOfResponse({ status, headers, body }: SandboxResponse): Answer {
  return { status, code: null, headers, body: body instanceof ReadableStream ? undefined : body };
}

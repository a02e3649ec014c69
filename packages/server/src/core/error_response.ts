/**
 * Where an error becomes HTTP: once, for the data plane and the control plane alike.
 *
 * @module
 */
import { type ErrorBody, PlatformError } from "@fluxbase/contract";
import type { Log } from "./log.ts";

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: ErrorBody;
}

export function errorAnswer(error: unknown, requestId: string, log: Log): ErrorAnswer {
  const known = error instanceof PlatformError ? error : unexpected(error);
  const { status, code, message, details } = known;
  // The cause may hold paths, SQL or secrets: it goes to the log, never to the wire.
  if (code === "INTERNAL") log.error("A request failed unexpectedly", { requestId, error });
  const headers: [string, string][] = [["content-type", "application/json"]];
  if (status === 401) headers.push(["www-authenticate", "Bearer"]);
  const allowed = details["allowed"];
  if (Array.isArray(allowed)) headers.push(["allow", allowed.join(", ")]);
  const retryAfter = details["retry_after"];
  if (typeof retryAfter === "number") headers.push(["retry-after", String(Math.ceil(retryAfter))]);
  return { status, headers, body: { error: message, code, request_id: requestId, ...details } };
}

function unexpected(cause: unknown): PlatformError {
  return new PlatformError("INTERNAL", "Unexpected failure: quote the request id to the operator", { cause });
}

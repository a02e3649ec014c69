/**
 * Where an error becomes HTTP: once, for the data plane and the control plane alike.
 *
 * @module
 */
import { type ErrorBody, PlatformError } from "@fluxbase/contract";
import type { Log, LogFacts } from "./log.ts";

/** What the server itself answers is what its type says: a browser must not find a script in it. */
export const NOSNIFF: [string, string] = ["x-content-type-options", "nosniff"];

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: ErrorBody;
}

/** `about` says in the log what the request was about. */
export function errorAnswer(error: unknown, requestId: string, log: Log, about: LogFacts = {}): ErrorAnswer {
  const known = error instanceof PlatformError ? error : unexpected(error);
  const { status, code, message, details } = known;
  // The cause may hold paths, SQL or secrets: it goes to the log, never to the wire.
  if (code === "INTERNAL") log.error("A request failed unexpectedly", { requestId, ...about, error });
  const headers: [string, string][] = [["content-type", "application/json"], NOSNIFF];
  if (status === 401) headers.push(["www-authenticate", "Bearer"]);
  const allowed = details["allowed"];
  if (Array.isArray(allowed)) headers.push(["allow", allowed.join(", ")]);
  const { rate_limit: rateLimit, ...shown } = details;
  if (isStanding(rateLimit)) headers.push(...rateLimitHeaders(rateLimit));
  const retryAfter = details["retry_after"];
  if (typeof retryAfter === "number") headers.push(["retry-after", String(Math.ceil(retryAfter))]);
  return { status, headers, body: { error: message, code, request_id: requestId, ...shown } };
}

/** How often a caller may still call, in the window that has the least left. */
export interface Standing {
  readonly limit: number;
  readonly remaining: number;
  /** Unix time in seconds at which it begins anew. */
  readonly reset: number;
}

function isStanding(value: unknown): value is Standing {
  return typeof value === "object" && value !== null && "remaining" in value && "reset" in value;
}

export function rateLimitHeaders({ limit, remaining, reset }: Standing): [string, string][] {
  return [
    ["x-ratelimit-limit", String(limit)],
    ["x-ratelimit-remaining", String(remaining)],
    ["x-ratelimit-reset", String(reset)],
  ];
}

function unexpected(cause: unknown): PlatformError {
  return new PlatformError("INTERNAL", "Unexpected failure: quote the request id to the operator", { cause });
}

/**
 * CORS headers: what a function says itself, and the server's policy where it says nothing.
 *
 * @module
 */
import type { CorsPolicy, CorsSettings } from "@fluxbase/contract";
import { isHeaderValue, isToken } from "../../sandbox_runtime/header_rules.ts";
import type { HeaderLookup } from "./header_list.ts";

export type HeaderPair = readonly [name: string, value: string];

export interface Cors {
  /** The headers of any answer to a request with this `Origin`. */
  headers(origin: string | null): readonly HeaderPair[];
  /** The headers of the answer to a preflight. */
  preflight(request: HeaderLookup): readonly HeaderPair[];
}

const EXPOSED =
  "X-Request-ID, X-Execution-ID, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Content-Range, Content-Location, Location, Preference-Applied";
/** What a browser asks for is repeated up to here. */
const ASKED_MAX_CHARACTERS = 4_096;
const VARY_ORIGIN: HeaderPair = ["vary", "Origin"];
const NONE: readonly HeaderPair[] = [];

export function createCors(own: CorsSettings, server: CorsPolicy): Cors {
  const origins = (own.origins ?? server.origins).filter(isHeaderValue);
  // What was stored before it was checked, or comes from the environment, must not reach an answer either.
  const methods = (own.methods ?? server.methods).filter(isToken).join(", ");
  const named = (own.headers ?? server.headers).filter((name) => isToken(name) && name !== "*");
  const allowsAnyHeader = (own.headers ?? server.headers).includes("*");
  const namedInLowerCase = new Set(named.map((name) => name.toLowerCase()));
  const maxAge = String(own.maxAgeSec ?? server.maxAgeSec);
  const allowsAny = origins.includes("*");
  // A wildcard with credentials would let every site act for the user: browsers refuse it, and so do we.
  const allowsCredentials = (own.credentials ?? server.credentials) && !allowsAny;

  function allow(origin: string): readonly HeaderPair[] {
    const headers: HeaderPair[] = [
      ["access-control-allow-origin", origin],
      ["access-control-expose-headers", EXPOSED],
    ];
    if (allowsCredentials) headers.push(["access-control-allow-credentials", "true"]);
    if (origin !== "*") headers.push(VARY_ORIGIN);
    return headers;
  }

  const forAll = allowsAny ? allow("*") : NONE;
  // Who names no origin is no browser, or not across origins: nothing to expose. That a later one may be allowed, it
  // must say all the same, since a cache may keep the answer. Each header costs 2 µs.
  const forUnnamed = forAll.slice(0, 1);
  const byOrigin = new Map(allowsAny ? [] : origins.map((origin) => [origin, allow(origin)]));
  const forOthers: readonly HeaderPair[] = [VARY_ORIGIN];

  function headers(origin: string | null): readonly HeaderPair[] {
    if (allowsAny) return origin === null ? forUnnamed : forAll;
    return origin === null ? forOthers : byOrigin.get(origin) ?? forOthers;
  }

  /** Browsers take `*` for no more than its letter where credentials are sent, so names are repeated instead. */
  function allowedHeaders(asked: string | null): string {
    if (!allowsAnyHeader) return named.join(", ");
    const more = (asked ?? "").slice(0, ASKED_MAX_CHARACTERS).split(",").map((name) => name.trim())
      .filter((name) => isToken(name) && !namedInLowerCase.has(name.toLowerCase()));
    return [...named, ...more].join(", ") || "*";
  }

  return {
    headers,
    preflight(request) {
      const origin = request.get("origin");
      const allowed = headers(origin);
      if (!allowsAny && (origin === null || !byOrigin.has(origin))) return allowed;
      return [
        ...allowed,
        ["access-control-allow-methods", methods],
        ["access-control-allow-headers", allowedHeaders(request.get("access-control-request-headers"))],
        ["access-control-max-age", maxAge],
      ];
    },
  };
}

/**
 * The id that follows one request through answers and logs: the client's own, if it brings a sane one.
 *
 * It names nothing: a client may bring the id of somebody else's request. Records have ids that the server makes.
 *
 * @module
 */
import type { HeaderLookup } from "./header_list.ts";

const SANE = /^[A-Za-z0-9._:-]{1,128}$/;

/** The client's own id when it is a sane token. */
export function givenRequestId(headers: HeaderLookup): string | null {
  const given = headers.get("x-request-id");
  return given !== null && SANE.test(given) ? given : null;
}

/** The client's own id, else a new one. */
export function requestIdOf(headers: HeaderLookup): string {
  return givenRequestId(headers) ?? crypto.randomUUID();
}

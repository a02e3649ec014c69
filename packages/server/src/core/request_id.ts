/**
 * The id that follows one request through answer, log and execution record.
 *
 * @module
 */
import type { HeaderLookup } from "./header_list.ts";

const SANE = /^[A-Za-z0-9._:-]{1,128}$/;

/** The client's own id when it is a sane token, else a new one. */
export function requestIdOf(headers: HeaderLookup): string {
  const given = headers.get("x-request-id");
  return given !== null && SANE.test(given) ? given : crypto.randomUUID();
}

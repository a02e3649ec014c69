/**
 * What must hold for the head of a request before it is routed: Deno makes the URL of a request of its `Host`, so what
 * stands there must not reach into the path.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { HeaderLookup } from "./header_list.ts";

/** A name, an IPv4 address or an IPv6 address in brackets, and a port. */
const HOST = /^(?:[\w.-]{1,255}|\[[\da-fA-F:.]{2,45}\])(?::\d{1,5})?$/;

/** @throws {PlatformError} INVALID_ARGUMENT */
export function assertHead(headers: HeaderLookup): void {
  const host = headers.get("host");
  if (host !== null && !HOST.test(host)) {
    throw new PlatformError(
      "INVALID_ARGUMENT",
      "Cannot serve the request: its Host must be a name or an address, with a port or without",
    );
  }
  const coding = headers.get("transfer-encoding");
  if (coding !== null && coding.toLowerCase() !== "chunked") {
    throw new PlatformError("INVALID_ARGUMENT", "Cannot read the request body: its Transfer-Encoding must be chunked");
  }
}

/**
 * What is told of a client that has left; nobody but the record gets it.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";

export function clientClosed(): PlatformError {
  return new PlatformError("CLIENT_CLOSED_REQUEST", "The client closed the connection before the answer was complete");
}

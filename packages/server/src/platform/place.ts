/**
 * Where the server is and how it answers, for parts that are made before it listens.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import type { RequestHandler } from "../gateway/http_server.ts";

export interface Place {
  baseUrl: string;
  origins: readonly string[];
  handle: RequestHandler;
}

export function notYet(): never {
  throw new PlatformError("SHUTTING_DOWN", "The server is starting: try again");
}

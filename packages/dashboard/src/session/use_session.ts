/**
 * The session as components see it.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { useSyncExternalStore } from "react";
import { session, type Who } from "./session.ts";

export function useWho(): Who | null {
  return useSyncExternalStore(session.subscribe, () => session.who);
}

export function useClient(): FluxbaseClient {
  return useSyncExternalStore(session.subscribe, () => session.client);
}

/**
 * What pages ask about the server itself.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { queryOptions } from "@tanstack/react-query";

export function readinessQuery(client: FluxbaseClient) {
  return queryOptions({ queryKey: ["readiness"], queryFn: () => client.admin.server.readiness() });
}

/**
 * What the pages of executions ask.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { queryOptions } from "@tanstack/react-query";

/** Asked once: each time is written down. */
export function capturedRequestQuery(client: FluxbaseClient, id: string) {
  return queryOptions({
    queryKey: ["captured-request", id],
    queryFn: () => client.admin.functions.getCapturedRequest(id),
    staleTime: Infinity,
    retry: false,
  });
}

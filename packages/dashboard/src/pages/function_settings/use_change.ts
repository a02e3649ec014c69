/**
 * How a change of settings is sent, and what follows from it.
 *
 * @module
 */
import { FluxbaseError, type FunctionChange, type FunctionDetails } from "@fluxbase/sdk";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { functionQuery, FUNCTIONS_KEY, pathOf } from "../../data/functions.ts";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

/** Somebody else was faster. */
function isConflict(error: unknown): boolean {
  return error instanceof FluxbaseError && error.code === "VERSION_CONFLICT";
}

export function useChange(fn: FunctionDetails) {
  const client = useClient();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: FunctionChange) => client.functions.update(pathOf(fn), change, { if_version: fn.version }),
    async onError(error) {
      // The page shows both, and asks.
      if (isConflict(error)) await queries.invalidateQueries({ queryKey: functionQuery(client, fn).queryKey });
    },
    async onSuccess(saved) {
      queries.setQueryData(functionQuery(client, fn).queryKey, saved);
      await queries.invalidateQueries({ queryKey: FUNCTIONS_KEY });
      await queries.invalidateQueries({ queryKey: ["function", fn.namespace, fn.name, "versions"] });
      toast.done(saved.version === fn.version ? "Saved" : `Saved as version ${saved.version}`);
    },
  });
}

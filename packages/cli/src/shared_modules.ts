/**
 * What `shared set` and `functions sync` do alike.
 *
 * @module
 */
import type { InNamespace } from "./action.ts";
import { type FluxbaseClient, FluxbaseError, type SharedModule } from "@fluxbase/sdk";

/** Makes it, or gives it other source. */
export async function setSharedModule(
  { functions }: FluxbaseClient,
  path: string,
  content: string,
  place: InNamespace,
): Promise<SharedModule> {
  return await functions.updateSharedModule(path, { content }, place).catch((error) => {
    if (!(error instanceof FluxbaseError) || error.status !== 404) throw error;
    return functions.createSharedModule({ module_path: path, content }, place);
  });
}

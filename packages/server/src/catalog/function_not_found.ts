/**
 * The one answer for a function that does not exist, and for one that the caller may not know of.
 *
 * @module
 */
import { DEFAULT_NAMESPACE, PlatformError } from "@fluxbase/contract";

export function functionNotFound(namespace: string, name: string): PlatformError {
  const place = namespace === DEFAULT_NAMESPACE ? "" : ` in namespace "${namespace.slice(0, 80)}"`;
  return new PlatformError(
    "FUNCTION_NOT_FOUND",
    `Function "${name.slice(0, 80)}" not found${place}: create it with POST /api/v1/functions`,
  );
}

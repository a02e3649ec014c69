/**
 * Where a function is, as a path.
 *
 * @module
 */
import { FluxbaseError } from "./errors.ts";

/** `name`, `namespace/name`, or a name with the namespace beside it. */
export function placeOf(name: string, namespace: string | undefined): string {
  const [first = "", second, ...more] = name.split("/");
  if (first === "" || second === "" || more.length > 0 || (second !== undefined && namespace !== undefined)) {
    throw new FluxbaseError(`"${name}" is no name of a function: use "name" or "namespace/name"`, {
      status: 0,
      code: "INVALID_ARGUMENT",
    });
  }
  const parts = second === undefined ? namespace === undefined ? [first] : [namespace, first] : [first, second];
  return parts.map(encodeURIComponent).join("/");
}

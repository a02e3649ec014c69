/**
 * Tells whether a deployment differs from another.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Equal hashes are equal deployments. Keys are sorted at every depth, since jsonb keeps no order. */
export function hashOf(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}

export function canonicalJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_, inner) =>
      typeof inner === "object" && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a < b ? -1 : 1))
        : inner,
  );
}

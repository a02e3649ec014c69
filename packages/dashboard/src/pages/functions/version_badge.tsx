/**
 * Which version of a function serves calls, and whether a later one could not be built.
 *
 * @module
 */
import type { FunctionSummary } from "@fluxbase/sdk";
import { Badge } from "../../parts/badge.tsx";

export function VersionBadge(
  { fn: { version, live_version, bundle_error, canary } }: {
    readonly fn: Pick<FunctionSummary, "version" | "live_version" | "bundle_error" | "canary">;
  },
) {
  if (live_version === null) return <Badge tone="bad">never built</Badge>;
  if (bundle_error === null && canary === null) return <Badge>v{live_version}</Badge>;
  return (
    <span className="row">
      <Badge>v{live_version}</Badge>
      {canary !== null && <Badge tone="accent">v{canary.version} {canary.percent} %</Badge>}
      {bundle_error !== null && <Badge tone="warn">v{version} did not build</Badge>}
    </span>
  );
}

/**
 * Ends sandboxes whose version, settings or secrets are not the current ones, and prepares those that follow.
 *
 * @module
 */
import { type Catalog, type CatalogChange, type LiveFunction, servedVersions } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import type { VersionSource } from "../invoke/version_source.ts";
import type { SandboxPool } from "../sandbox/sandbox_pool.ts";
import type { SecretStore } from "../secrets/secret_store.ts";

interface ChangeParts {
  readonly sandboxes: SandboxPool;
  readonly versions: VersionSource;
  readonly prewarm: Config["prewarm"];
}

export function keepSandboxesCurrent(
  { catalog, secrets, ...parts }: ChangeParts & { readonly catalog: Catalog; readonly secrets: SecretStore },
): void {
  const { sandboxes, versions } = parts;
  secrets.onSystemChange((isChanged) => {
    const concerned = catalog.all().filter(({ namespace }) => isChanged(namespace));
    const served = concerned.flatMap(servedVersions);
    const before = served.map(versions.keyOf);
    versions.renew(served);
    for (const key of before) sandboxes.retire(key);
  });
  catalog.subscribe((change) => followChange(change, parts));
}

/** A version that is not live any more gets no new requests; the one that took its place may be made ready. */
function followChange({ before, after }: CatalogChange, { sandboxes, versions, prewarm }: ChangeParts): void {
  const wasWarm = before !== undefined && sandboxes.isWarm(versions.keyOf(before));
  const kept = new Set((after?.enabled ? servedVersions(after) : []).map(versions.keyOf));
  for (const key of servedVersions(before).map(versions.keyOf)) if (!kept.has(key)) sandboxes.retire(key);
  const isServed = before?.liveVersion === after?.liveVersion && after?.enabled === true;
  if (isServed) return;
  const isRunnable = after !== undefined && after.enabled && after.liveVersion !== null;
  if (isRunnable && (prewarm === "always" || (prewarm === "active" && wasWarm))) {
    sandboxes.prewarm(versions.of(after));
  }
}

export function pathOfFunction(fn: LiveFunction | undefined): string {
  return fn === undefined ? "a function that is gone" : `${fn.namespace}/${fn.name}`;
}

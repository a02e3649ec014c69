/**
 * From a live function to what a sandbox needs to run it: the same object for the same version.
 *
 * @module
 */
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import type { SandboxVersion } from "../sandbox/sandbox_pool.ts";
import type { EnvStore } from "../secrets/env_store.ts";

export interface VersionSource {
  of(fn: LiveFunction): SandboxVersion;
}

export interface VersionSourceParts {
  readonly catalog: Catalog;
  readonly envStore: EnvStore;
  /** What every function may see of the server's environment. */
  readonly serverEnv: Readonly<Record<string, string>>;
  /** The public URL of the server. */
  readonly place: { readonly baseUrl: string };
}

export function createVersionSource({ catalog, envStore, serverEnv, place }: VersionSourceParts): VersionSource {
  const known = new WeakMap<LiveFunction, SandboxVersion>();

  function make(fn: LiveFunction): SandboxVersion {
    const { permissions: { net, read, write, env }, memoryMiB } = fn.settings;
    return {
      key: versionKey(fn),
      functionId: fn.id,
      functionName: fn.name,
      namespace: fn.namespace,
      version: fn.liveVersion ?? 0,
      profile: { net, read, write, memoryMiB },
      isolated: fn.settings.isolation === "request",
      bundle: () => catalog.bundleOf(fn),
      async env() {
        if (!env) return {};
        const own = await envStore.open(fn.envSealed, fn);
        return {
          ...serverEnv,
          FLUXBASE_BASE_URL: place.baseUrl,
          FLUXBASE_URL: place.baseUrl,
          FLUXBASE_FUNCTION_NAME: fn.name,
          FLUXBASE_FUNCTION_NAMESPACE: fn.namespace,
          FLUXBASE_FUNCTION_VERSION: String(fn.liveVersion),
          ...own,
        };
      },
    };
  }

  return {
    of(fn) {
      let version = known.get(fn);
      if (version === undefined) known.set(fn, version = make(fn));
      return version;
    },
  };
}

export function versionKey({ id, liveVersion }: LiveFunction): string {
  return `${id}:${liveVersion}`;
}

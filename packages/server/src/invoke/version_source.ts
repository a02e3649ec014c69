/**
 * From a live function to what a sandbox needs to run it: the same object for the same version.
 *
 * @module
 */
import type { Catalog, LiveFunction } from "../catalog/catalog.ts";
import type { Clock } from "../core/clock.ts";
import type { SandboxVersion } from "../sandbox/sandbox_version.ts";
import type { Tokens, Validity } from "../auth/tokens.ts";
import type { EnvStore } from "../secrets/env_store.ts";
import { hiddenValues } from "../secrets/masking.ts";
import type { SecretStore } from "../secrets/secret_store.ts";

export interface VersionSource {
  of(fn: LiveFunction): SandboxVersion;
  /** Unique for each version of each function, until secrets of the server change. */
  keyOf(fn: LiveFunction): string;
  /** Secrets that these functions see have changed: what their sandboxes have loaded is of no use any more. */
  renew(functions: readonly LiveFunction[]): void;
}

export interface VersionSourceParts {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly tokens: Tokens;
  readonly envStore: EnvStore;
  readonly secrets: SecretStore;
  /** What every function may see of the server's environment. */
  readonly serverEnv: Readonly<Record<string, string>>;
  /** The public URL of the server. */
  readonly place: { readonly baseUrl: string };
  /** A sandbox keeps its environment for so long. */
  readonly sandboxLifeMs: number;
  /** For functions that are hooks. */
  readonly hookSecretOf: (functionId: string) => string;
  /** For functions that speak with the database themselves; null where they cannot. */
  readonly databaseUrl: ((namespace: string) => string) | null;
}

/** Other platforms name one of their data centers. */
const REGION = "local";
/** What runs when the life of its sandbox is over may go on for so long. */
const KEY_SLACK_MS = 3_600_000;

/** A key for all sandboxes that start within the life of one. */
interface Minted {
  readonly atMs: number;
  readonly key: Promise<string>;
}

/** Functions that were written for other servers of the system find secrets there. */
function secretsAsVariables(secrets: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(secrets).map((
      [key, value],
    ) => [`FLUXBASE_SECRET_${key.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`, value]),
  );
}

export function createVersionSource(parts: VersionSourceParts): VersionSource {
  const { catalog, clock, envStore, secrets, tokens, serverEnv, place, hookSecretOf } = parts;
  const known = new WeakMap<LiveFunction, SandboxVersion>();
  /** By namespace: how often its secrets have changed. */
  const generations = new Map<string, number>();
  const generationOf = (namespace: string) => generations.get(namespace) ?? 0;
  /** Says the same for every function. */
  let anon: Minted | undefined;
  const keyOf = ({ id, liveVersion, namespace }: LiveFunction) => `${id}:${liveVersion}:${generationOf(namespace)}`;

  function current(minted: Minted | undefined, mint: (validity: Validity) => Promise<string>): Minted {
    const nowMs = clock.epochMs();
    if (minted !== undefined && nowMs - minted.atMs <= parts.sandboxLifeMs) return minted;
    const issuedAtSec = Math.floor(nowMs / 1_000);
    const expiresAtSec = issuedAtSec + Math.ceil((2 * parts.sandboxLifeMs + KEY_SLACK_MS) / 1_000);
    return { atMs: nowMs, key: mint({ issuedAtSec, expiresAtSec }) };
  }

  function make(fn: LiveFunction): SandboxVersion {
    const { permissions: { net, read, write, env }, memoryMiB } = fn.settings;
    const systemSecrets: Record<string, string> = JSON.parse(secrets.systemIn(fn.namespace).reveal());
    let hidden = hiddenValues(Object.values(systemSecrets));
    const keyed = {
      functionId: fn.id,
      version: fn.liveVersion ?? 0,
      namespace: fn.namespace,
      name: fn.name,
      isAdmin: fn.settings.permissions.service === "admin",
    };
    let serviceRole: Minted | undefined;
    return {
      key: keyOf(fn),
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
        serviceRole = current(serviceRole, (validity) => tokens.mintFunction(keyed, validity));
        anon = current(anon, (validity) => tokens.mintRole("anon", validity));
        const serviceRoleKey = await serviceRole.key;
        const hookSecrets = fn.settings.hooks === undefined ? {} : { FLUXBASE_HOOK_SECRET: hookSecretOf(fn.id) };
        hidden = hiddenValues([...hidden, ...Object.values(own), ...Object.values(hookSecrets), serviceRoleKey]);
        const anonKey = await anon.key;
        const databaseUrl = net === false ? undefined : parts.databaseUrl?.(fn.namespace);
        return {
          ...serverEnv,
          ...secretsAsVariables(systemSecrets),
          FLUXBASE_BASE_URL: place.baseUrl,
          FLUXBASE_URL: place.baseUrl,
          FLUXBASE_ANON_KEY: anonKey,
          FLUXBASE_SERVICE_ROLE_KEY: serviceRoleKey,
          FLUXBASE_SERVICE_TOKEN: serviceRoleKey,
          ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl, SUPABASE_DB_URL: databaseUrl }),
          SUPABASE_URL: place.baseUrl,
          SUPABASE_ANON_KEY: anonKey,
          SUPABASE_SERVICE_ROLE_KEY: serviceRoleKey,
          SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: anonKey }),
          SUPABASE_SECRET_KEYS: JSON.stringify({ default: serviceRoleKey }),
          SB_EXECUTION_ID: crypto.randomUUID(),
          SB_REGION: REGION,
          DENO_REGION: REGION,
          DENO_DEPLOYMENT_ID: `${fn.id}_${fn.liveVersion}`,
          ...hookSecrets,
          FLUXBASE_FUNCTION_NAME: fn.name,
          FLUXBASE_FUNCTION_NAMESPACE: fn.namespace,
          FLUXBASE_FUNCTION_VERSION: String(fn.liveVersion),
          ...own,
        };
      },
      secrets: () => systemSecrets,
      hidden: () => hidden,
    };
  }

  return {
    of(fn) {
      let version = known.get(fn);
      if (version === undefined) known.set(fn, version = make(fn));
      return version;
    },
    keyOf,
    renew(functions) {
      for (const fn of functions) known.delete(fn);
      for (const namespace of new Set(functions.map((fn) => fn.namespace))) {
        generations.set(namespace, generationOf(namespace) + 1);
      }
    },
  };
}

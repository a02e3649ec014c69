/**
 * Every live function, in memory: what a warm call looks up instead of asking the database.
 *
 * Owns: the snapshot of all functions, and that it follows the database on every node.
 * Does not own: how a function becomes live (../deploy/), the statements (../storage/functions.ts).
 *
 * @module
 */
import type { Db } from "../storage/db.ts";
import { listLiveFunctions, type LiveFunctionRow } from "../storage/functions.ts";
import type { Changed } from "../storage/follower.ts";
import { isUuid, type Listener } from "../storage/listener.ts";
import { readBundle } from "../storage/versions.ts";
import { createBundleCache } from "./bundle_cache.ts";

/** A function as it is now; never changed, only replaced by another object. */
export type LiveFunction = LiveFunctionRow;

/** Each version of it that serves calls. */
export function servedVersions(fn: LiveFunction | undefined): readonly LiveFunction[] {
  if (fn === undefined) return [];
  return fn.canary === null ? [fn] : [fn, fn.canary.fn];
}

/** Which of its versions serves a call over HTTP. `chance`: from 0 to less than 1. */
export function versionFor(fn: LiveFunction, chance: number): LiveFunction {
  return fn.canary !== null && chance * 100 < fn.canary.percent ? fn.canary.fn : fn;
}

export interface CatalogChange {
  readonly before: LiveFunction | undefined;
  readonly after: LiveFunction | undefined;
}

export interface Catalog {
  find(namespace: string, name: string): LiveFunction | undefined;
  findById(id: string): LiveFunction | undefined;
  all(): LiveFunction[];
  /** The bundle of the live version; from memory when it was read lately. */
  bundleOf(fn: LiveFunction): Promise<string>;
  /** Whoever has just deployed calls first. */
  keepBundle(version: { functionId: string; number: number; bundle: string }): void;
  /** After a local change, so that whoever made it sees it at once. */
  refresh(functionId: string): Promise<void>;
  /** Tells of every change; returns the way to stop. */
  subscribe(listener: (change: CatalogChange) => void): () => void;
}

export interface CatalogOptions {
  readonly db: Db;
  readonly listener: Listener;
}

const FUNCTIONS_CHANNEL = "fluxbase_functions";
const BUNDLES_MAX_BYTES = 64 * 1024 * 1024;

export async function startCatalog({ db, listener }: CatalogOptions): Promise<Catalog> {
  const byId = new Map<string, LiveFunction>();
  const byName = new Map<string, Map<string, LiveFunction>>();
  const bundles = createBundleCache(BUNDLES_MAX_BYTES);
  const subscribers = new Set<(change: CatalogChange) => void>();

  function put(id: string, after: LiveFunction | undefined): void {
    const before = byId.get(id);
    if (before !== undefined && after !== undefined && isSame(before, after)) return;
    if (before !== undefined) forgetName(before);
    if (after === undefined) {
      byId.delete(id);
    } else {
      byId.set(id, after);
      let names = byName.get(after.namespace);
      if (names === undefined) byName.set(after.namespace, names = new Map());
      names.set(after.name, after);
    }
    if (before === undefined && after === undefined) return;
    for (const subscriber of subscribers) subscriber({ before, after });
  }

  function forgetName({ id, namespace, name }: LiveFunction): void {
    const names = byName.get(namespace);
    // A new function may have taken the name before the end of the old one was seen.
    if (names?.get(name)?.id !== id) return;
    names.delete(name);
    if (names.size === 0) byName.delete(namespace);
  }

  async function read(changed: Changed): Promise<void> {
    const ids = changed === "all" ? undefined : [...changed];
    const rows = new Map((await listLiveFunctions(db, ids)).map((row) => [row.id, row]));
    for (const id of ids ?? [...byId.keys()]) if (!rows.has(id)) put(id, undefined);
    for (const row of rows.values()) put(row.id, row);
  }

  const follower = await listener.follow({ what: "functions", channels: [FUNCTIONS_CHANNEL], isId: isUuid, read });

  return {
    find: (namespace, name) => byName.get(namespace)?.get(name),
    findById: (id) => byId.get(id),
    all: () => [...byId.values()],
    async bundleOf({ id, liveVersion, name }) {
      const bundle = await bundles.get(bundleKey(id, liveVersion), () => readBundle(db, id, liveVersion ?? 0));
      if (bundle === undefined) {
        throw new Error(`Cannot find the bundle of version ${liveVersion} of function "${name}"`);
      }
      return bundle;
    },
    keepBundle: ({ functionId, number, bundle }) => bundles.keep(bundleKey(functionId, number), bundle),
    refresh: follower.refresh,
    subscribe(subscriber) {
      subscribers.add(subscriber);
      return () => subscribers.delete(subscriber);
    },
  };
}

function bundleKey(functionId: string, version: number | null): string {
  return `${functionId}:${version}`;
}

/** A version is immutable, so its number stands for its settings and env. */
function isSame(a: LiveFunction, b: LiveFunctionRow): boolean {
  return a.liveVersion === b.liveVersion && a.latestVersion === b.latestVersion && a.enabled === b.enabled &&
    a.namespace === b.namespace && a.name === b.name && a.canary?.percent === b.canary?.percent &&
    a.canary?.fn.liveVersion === b.canary?.fn.liveVersion;
}

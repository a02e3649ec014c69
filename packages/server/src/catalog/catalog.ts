/**
 * Every live function, in memory: what a warm call looks up instead of asking the database.
 *
 * Owns: the snapshot of all functions, and that it follows the database on every node.
 * Does not own: how a function becomes live (../deploy/), the statements (../storage/functions.ts).
 *
 * @module
 */
import type { Log } from "../core/log.ts";
import type { Db } from "../storage/db.ts";
import { listLiveFunctions, type LiveFunctionRow } from "../storage/functions.ts";
import type { Listener } from "../storage/listener.ts";
import { readBundle } from "../storage/versions.ts";
import { createBundleCache } from "./bundle_cache.ts";

/** A function as it is now; never changed, only replaced by another object. */
export type LiveFunction = LiveFunctionRow;

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
  [Symbol.asyncDispose](): Promise<void>;
}

export interface CatalogOptions {
  readonly db: Db;
  readonly listener: Listener;
  readonly log: Log;
}

export const FUNCTIONS_CHANNEL = "fluxbase_functions";
const RESYNC_MS = 30_000;
const BUNDLES_MAX_BYTES = 64 * 1024 * 1024;

export async function startCatalog({ db, listener, log }: CatalogOptions): Promise<Catalog> {
  const byId = new Map<string, LiveFunction>();
  const byName = new Map<string, Map<string, LiveFunction>>();
  const bundles = createBundleCache(BUNDLES_MAX_BYTES);
  const subscribers = new Set<(change: CatalogChange) => void>();
  // One read at a time, in the order of the asking: an older answer can never replace a newer one.
  let reading: Promise<void> = Promise.resolve();

  function put(id: string, after: LiveFunction | undefined): void {
    const before = byId.get(id);
    if (before !== undefined && after !== undefined && isSame(before, after)) return;
    if (before !== undefined) byName.get(before.namespace)?.delete(before.name);
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

  function inOrder(work: () => Promise<void>): Promise<void> {
    const done = reading.then(work);
    reading = done.catch((error) => log.warn("Cannot read functions from the database", { error }));
    return done;
  }

  const refresh = (functionId: string) =>
    inOrder(async () => {
      const [row] = await listLiveFunctions(db, functionId);
      put(functionId, row);
    });

  const resync = () =>
    inOrder(async () => {
      const rows = await listLiveFunctions(db);
      const present = new Set(rows.map(({ id }) => id));
      for (const id of [...byId.keys()]) if (!present.has(id)) put(id, undefined);
      for (const row of rows) put(row.id, row);
    });

  // Listens before it reads, so that no change can fall between the two.
  await listener.on(FUNCTIONS_CHANNEL, (functionId) => void refresh(functionId).catch(() => {}));
  listener.onReconnect(() => void resync().catch(() => {}));
  await resync();
  const timer = setInterval(() => void resync().catch(() => {}), RESYNC_MS);

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
    refresh,
    subscribe(subscriber) {
      subscribers.add(subscriber);
      return () => subscribers.delete(subscriber);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await reading;
    },
  };
}

function bundleKey(functionId: string, version: number | null): string {
  return `${functionId}:${version}`;
}

/** A version is immutable, so its number stands for its settings and env. */
function isSame(a: LiveFunction, b: LiveFunctionRow): boolean {
  return a.liveVersion === b.liveVersion && a.latestVersion === b.latestVersion && a.enabled === b.enabled &&
    a.namespace === b.namespace && a.name === b.name;
}

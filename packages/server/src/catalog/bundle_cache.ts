/**
 * Bundles that were read lately, bounded by their size; the one used longest ago goes first.
 *
 * @module
 */
export interface BundleCache {
  /** Reads once, however many ask at the same time; what cannot be read is not kept. */
  get(key: string, read: () => Promise<string | undefined>): Promise<string | undefined>;
  keep(key: string, bundle: string): void;
}

export function createBundleCache(maxBytes: number): BundleCache {
  // A Map keeps the order of insertion: the first entry is the one used longest ago.
  const kept = new Map<string, string>();
  const reading = new Map<string, Promise<string | undefined>>();
  let bytes = 0;

  async function readAndKeep(key: string, read: () => Promise<string | undefined>): Promise<string | undefined> {
    try {
      const bundle = await read();
      if (bundle !== undefined) keep(key, bundle);
      return bundle;
    } finally {
      reading.delete(key);
    }
  }

  function keep(key: string, bundle: string): void {
    bytes -= kept.get(key)?.length ?? 0;
    kept.set(key, bundle);
    bytes += bundle.length;
    for (const [oldKey, old] of kept) {
      if (bytes <= maxBytes) break;
      kept.delete(oldKey);
      bytes -= old.length;
    }
  }

  return {
    keep,
    get(key, read) {
      const bundle = kept.get(key);
      if (bundle !== undefined) {
        kept.delete(key);
        kept.set(key, bundle);
        return Promise.resolve(bundle);
      }
      let pending = reading.get(key);
      if (pending === undefined) {
        pending = readAndKeep(key, read);
        reading.set(key, pending);
      }
      return pending;
    },
  };
}

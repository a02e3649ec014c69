/**
 * `caches` of the web platform and of Workers: answers kept in the memory of one sandbox, within a bound. Deno's own is
 * shared between processes, so user code does not have it.
 *
 * @module
 */
import { replace } from "./taking_away.ts";

const BYTES_MAX = 8 * 1024 * 1024;
const ENTRIES_MAX_COUNT = 1_000;
const CACHES_MAX_COUNT = 50;
const DEFAULT_NAME = "default";

// Captured before user code runs.
const NativeRequest = Request;
const NativeResponse = Response;
const NativeHeaders = Headers;
const { now } = Date;

interface Entry {
  readonly cache: object;
  readonly url: string;
  /** Names of request headers that the answer depends on, with their values. */
  readonly varying: readonly (readonly [name: string, value: string | null])[];
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly untilMs: number;
}

interface MatchOptions {
  readonly ignoreSearch?: boolean;
  readonly ignoreMethod?: boolean;
  readonly ignoreVary?: boolean;
}

/** Made when somebody asks for it. */
export function installCaches(): void {
  Object.defineProperty(globalThis, "caches", {
    get() {
      const made = new SandboxCaches();
      replace(globalThis, "caches", made);
      return made;
    },
    set: (value) => replace(globalThis, "caches", value),
    configurable: true,
    enumerable: true,
  });
}

class SandboxCaches {
  readonly #store = new Store();
  readonly #byName = new Map<string, SandboxCache>();

  /** Of Workers. */
  get default(): SandboxCache {
    return this.#cache(DEFAULT_NAME);
  }
  // deno-lint-ignore require-await
  async open(name: string): Promise<SandboxCache> {
    return this.#cache(String(name));
  }
  // deno-lint-ignore require-await
  async has(name: string): Promise<boolean> {
    return this.#byName.has(String(name));
  }
  // deno-lint-ignore require-await
  async keys(): Promise<string[]> {
    return [...this.#byName.keys()];
  }
  // deno-lint-ignore require-await
  async delete(name: string): Promise<boolean> {
    const cache = this.#byName.get(String(name));
    if (cache !== undefined) this.#store.removeAll(cache);
    return this.#byName.delete(String(name));
  }
  async match(request: RequestInfo | URL, options?: MatchOptions): Promise<Response | undefined> {
    for (const cache of this.#byName.values()) {
      const found = await cache.match(request, options);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #cache(name: string): SandboxCache {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    if (this.#byName.size >= CACHES_MAX_COUNT) {
      throw new TypeError(`Cannot open cache "${name.slice(0, 100)}": a function has at most ${CACHES_MAX_COUNT}`);
    }
    const cache = new SandboxCache(this.#store);
    this.#byName.set(name, cache);
    return cache;
  }
}

class SandboxCache {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  // deno-lint-ignore require-await
  async match(request: RequestInfo | URL, options: MatchOptions = {}): Promise<Response | undefined> {
    const asked = requestOf(request);
    if (asked.method !== "GET" && options.ignoreMethod !== true) return undefined;
    const entry = this.#store.find(this, asked, options);
    return entry && responseOf(entry);
  }
  async matchAll(request: RequestInfo | URL, options?: MatchOptions): Promise<Response[]> {
    const found = await this.match(request, options);
    return found === undefined ? [] : [found];
  }
  async put(request: RequestInfo | URL, response: Response): Promise<void> {
    const { method, url, headers } = requestOf(request);
    if (method !== "GET") throw new TypeError(`Cannot cache a request of method ${method}: only GET can be`);
    if (response.status === 206) throw new TypeError("Cannot cache a part of an answer: its status is 206");
    const vary = (response.headers.get("vary") ?? "").split(",").map((name) => name.trim()).filter((name) =>
      name !== ""
    );
    if (vary.includes("*")) throw new TypeError('Cannot cache an answer with "vary: *": it would never be found');
    const untilMs = endOf(response.headers);
    const bytes = await response.bytes();
    if (untilMs <= now()) return;
    this.#store.add({
      cache: this,
      url: withoutHash(url),
      varying: vary.map((name) => [name, headers.get(name)]),
      status: response.status,
      headers: [...response.headers],
      bytes,
      untilMs,
    });
  }
  async add(request: RequestInfo | URL): Promise<void> {
    const response = await fetch(request);
    if (!response.ok) throw new TypeError(`Cannot cache an answer of status ${response.status}`);
    await this.put(request, response);
  }
  async addAll(requests: readonly (RequestInfo | URL)[]): Promise<void> {
    await Promise.all(requests.map((request) => this.add(request)));
  }
  // deno-lint-ignore require-await
  async delete(request: RequestInfo | URL, options: MatchOptions = {}): Promise<boolean> {
    return this.#store.remove(this, requestOf(request), options);
  }
  // deno-lint-ignore require-await
  async keys(): Promise<Request[]> {
    return this.#store.urlsOf(this).map((url) => new NativeRequest(url));
  }
}

/** What was asked for least recently goes first when there is no room. */
class Store {
  #entries: Entry[] = [];
  #bytes = 0;

  find(cache: object, request: Request, options: MatchOptions): Entry | undefined {
    const index = this.#entries.findLastIndex((entry) => matches(entry, { cache, request, options }));
    const entry = this.#entries[index];
    if (entry === undefined) return undefined;
    this.#entries.splice(index, 1);
    if (entry.untilMs <= now()) {
      this.#bytes -= sizeOf(entry);
      return undefined;
    }
    this.#entries.push(entry);
    return entry;
  }

  add(entry: Entry): void {
    if (sizeOf(entry) > BYTES_MAX) {
      throw new TypeError(`Cannot cache an answer of ${entry.bytes.length} bytes: all together may have ${BYTES_MAX}`);
    }
    const request = new NativeRequest(entry.url, { headers: headersOf(entry.varying) });
    this.remove(entry.cache, request, {});
    this.#entries.push(entry);
    this.#bytes += sizeOf(entry);
    while (this.#bytes > BYTES_MAX || this.#entries.length > ENTRIES_MAX_COUNT) {
      const oldest = this.#entries.shift();
      if (oldest === undefined) return;
      this.#bytes -= sizeOf(oldest);
    }
  }

  remove(cache: object, request: Request, options: MatchOptions): boolean {
    return this.#removeWhere((entry) => matches(entry, { cache, request, options }));
  }
  removeAll(cache: object): void {
    this.#removeWhere((entry) => entry.cache === cache);
  }
  urlsOf(cache: object): string[] {
    return this.#entries.filter((entry) => entry.cache === cache && entry.untilMs > now()).map(({ url }) => url);
  }

  #removeWhere(isMeant: (entry: Entry) => boolean): boolean {
    const left = this.#entries.filter((entry) => !isMeant(entry));
    const hasRemoved = left.length < this.#entries.length;
    this.#entries = left;
    this.#bytes = left.reduce((sum, entry) => sum + sizeOf(entry), 0);
    return hasRemoved;
  }
}

function matches(
  entry: Entry,
  { cache, request, options }: {
    readonly cache: object;
    readonly request: Request;
    readonly options: MatchOptions;
  },
): boolean {
  if (entry.cache !== cache) return false;
  const asked = withoutHash(request.url);
  const isSameUrl = options.ignoreSearch === true
    ? withoutSearch(entry.url) === withoutSearch(asked)
    : entry.url === asked;
  return isSameUrl &&
    (options.ignoreVary === true || entry.varying.every(([name, value]) => request.headers.get(name) === value));
}

function sizeOf({ url, headers, bytes }: Entry): number {
  return url.length + bytes.length + headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
}

/** As Workers have it: what an answer says of its age counts, and without that it stays. */
function endOf(headers: Headers): number {
  const control = headers.get("cache-control") ?? "";
  if (/\b(?:no-store|no-cache|private)\b/i.test(control)) return 0;
  const seconds = /\bs-maxage=(\d+)/i.exec(control)?.[1] ?? /\bmax-age=(\d+)/i.exec(control)?.[1];
  if (seconds !== undefined) return now() + Number(seconds) * 1_000;
  const expires = headers.get("expires");
  return expires === null ? Infinity : Date.parse(expires) || 0;
}

function responseOf({ status, headers, bytes }: Entry): Response {
  const isEmpty = [204, 205, 304].includes(status);
  return new NativeResponse(isEmpty ? null : bytes.slice(), { status, headers: headers.map((pair) => [...pair]) });
}

function requestOf(request: RequestInfo | URL): Request {
  return request instanceof NativeRequest ? request : new NativeRequest(request);
}

function headersOf(pairs: Entry["varying"]): Headers {
  const headers = new NativeHeaders();
  for (const [name, value] of pairs) if (value !== null) headers.set(name, value);
  return headers;
}

function withoutHash(url: string): string {
  return url.split("#", 1)[0] ?? "";
}

function withoutSearch(url: string): string {
  return url.split("?", 1)[0] ?? "";
}

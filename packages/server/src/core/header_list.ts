/**
 * The headers of one request, taken over from the native object once.
 *
 * Each `get` of a native Headers crosses into native code; a call needs eight of them and all headers besides. One pass
 * and look-ups in a short list took 1.5 µs less for each request when measured.
 *
 * @module
 */
export interface HeaderLookup {
  /** By lower-case name; null when it is not there. */
  get(name: string): string | null;
}

/**
 * Names that mean something when the server says them. From outside they mean nothing, so no function gets to see them:
 * it could take them for the server's.
 */
const RESERVED: ReadonlySet<string> = new Set(["x-user-id", "x-user-email", "x-user-role", "x-session-id"]);

function isReserved(name: string): boolean {
  return name.startsWith("x-") && (name.startsWith("x-fluxbase-") || RESERVED.has(name));
}

export class HeaderList implements HeaderLookup {
  /** Name, value, name, value, …; names in lower case, repeated headers joined by a comma, as `Headers` has them. */
  readonly #pairs: string[] = [];

  /** `isOwn`: the server itself says them, so names that are kept for it stay. */
  constructor(headers: Headers, isOwn = false) {
    const pairs = this.#pairs;
    // `for … of` makes an iterator, a pair and a result for each: 5 µs instead of 2.5 when measured.
    headers.forEach((value, name) => {
      if (isOwn || !isReserved(name)) pairs.push(name, value);
    });
  }

  get pairs(): readonly string[] {
    return this.#pairs;
  }

  /** In place of what was sent under this name, which is in lower case. */
  set(name: string, value: string): void {
    const pairs = this.#pairs;
    for (let index = 0; index < pairs.length; index += 2) {
      if (pairs[index] !== name) continue;
      pairs[index + 1] = value;
      return;
    }
    pairs.push(name, value);
  }

  delete(name: string): void {
    const pairs = this.#pairs;
    for (let index = 0; index < pairs.length; index += 2) if (pairs[index] === name) return void pairs.splice(index, 2);
  }

  get(name: string): string | null {
    const pairs = this.#pairs;
    for (let index = 0; index < pairs.length; index += 2) if (pairs[index] === name) return pairs[index + 1] ?? null;
    return null;
  }
}

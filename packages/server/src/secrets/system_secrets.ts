/**
 * Which secrets of the server functions of a namespace see.
 *
 * @module
 */

export interface SystemSecret {
  readonly key: string;
  /** Sorted; null: for all. */
  readonly namespaces: readonly string[] | null;
  readonly value: string;
  /** Null: never. */
  readonly expiresAtMs: number | null;
}

export function unexpired(secrets: readonly SystemSecret[], nowMs: number): SystemSecret[] {
  return secrets.filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs);
}

/** When the first of them runs out. */
export function nextExpiryMs(secrets: readonly SystemSecret[]): number | undefined {
  const times = secrets.flatMap(({ expiresAtMs }) => expiresAtMs === null ? [] : [expiresAtMs]);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Of several secrets with one name, the one for the fewest namespaces counts. */
export function valuesIn(namespace: string, secrets: readonly SystemSecret[]): Record<string, string> {
  const reaching = secrets.filter(({ namespaces }) => namespaces === null || namespaces.includes(namespace));
  // The widest first, so that narrower ones replace it; by name among equals, so that every server decides alike.
  reaching.sort((a, b) => compare(widthOf(b), widthOf(a)) || compare(placeOf(a), placeOf(b)));
  return Object.fromEntries(reaching.map(({ key, value }) => [key, value]));
}

/** Tells for a namespace whether its functions see something else than before. */
export function changeBetween(
  before: readonly SystemSecret[],
  after: readonly SystemSecret[],
): (namespace: string) => boolean {
  const known = new Map<string, boolean>();
  return (namespace) => {
    let isChanged = known.get(namespace);
    if (isChanged === undefined) {
      isChanged = textOf(valuesIn(namespace, before)) !== textOf(valuesIn(namespace, after));
      known.set(namespace, isChanged);
    }
    return isChanged;
  };
}

function widthOf({ namespaces }: SystemSecret): number {
  return namespaces?.length ?? Infinity;
}

function placeOf({ namespaces, key }: SystemSecret): string {
  return `${namespaces?.join() ?? ""} ${key}`;
}

function textOf(values: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1));
}

function compare<Value extends number | string>(a: Value, b: Value): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Headers as names and values in turn, in whatever letters their sender wrote the names.
 *
 * @module
 */

/** `name` in lower case. Undefined when it is not there. */
export function headerIn(pairs: readonly string[], name: string): string | undefined {
  const at = pairs.findIndex((text, index) => index % 2 === 0 && text.toLowerCase() === name);
  return at < 0 ? undefined : pairs[at + 1];
}

export function pairsOf(headers: readonly string[]): [name: string, value: string][] {
  return headers.flatMap((name, index) =>
    index % 2 === 0 ? [[name, headers[index + 1] ?? ""] as [string, string]] : []
  );
}

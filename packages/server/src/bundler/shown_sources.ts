/**
 * Which sources travel in a bundle's map, for the lines that are shown around a failure.
 *
 * @module
 */

/** More would make a bundle slow to load, for something that only failures need. */
const SHOWN_MAX_CHARACTERS = 256 * 1024;

/** @param contents in the order of the map's sources; null for those that are not the function's own */
export function shownSources(
  contents: readonly (string | null)[],
): { readonly sourcesContent?: readonly (string | null)[] } {
  const characters = contents.reduce((sum, content) => sum + (content?.length ?? 0), 0);
  return characters === 0 || characters > SHOWN_MAX_CHARACTERS ? {} : { sourcesContent: contents };
}

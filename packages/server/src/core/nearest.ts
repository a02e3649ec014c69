/**
 * What was probably meant by a name that nobody knows.
 *
 * @module
 */

const DISTANCE_MAX = 3;
const NAME_MAX_CHARACTERS = 80;

/** The known name with the fewest letters that differ; undefined when none is near. */
export function nearestOf(name: string, known: Iterable<string>): string | undefined {
  const text = name.toLowerCase().slice(0, NAME_MAX_CHARACTERS);
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const one of known) {
    const distance = distanceOf(text, one);
    if (distance <= Math.min(DISTANCE_MAX, one.length / 2) && distance < (best?.distance ?? Infinity)) {
      best = { name: one, distance };
    }
  }
  return best?.name;
}

/** For a sentence: `unknown field "timout"; did you mean "timeout"?` */
export function unknownField(name: string, known: Iterable<string>): string {
  const near = nearestOf(name, known);
  const shown = name.length > NAME_MAX_CHARACTERS ? `${name.slice(0, NAME_MAX_CHARACTERS)}…` : name;
  return `unknown field ${JSON.stringify(shown)}${near === undefined ? "" : `; did you mean ${JSON.stringify(near)}?`}`;
}

/** Levenshtein's distance. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substituted));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

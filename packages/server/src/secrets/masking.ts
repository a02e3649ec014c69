/**
 * Takes secrets out of texts that are kept or shown: log lines, messages and stacks of errors.
 *
 * @module
 */

/** What is shorter is in too many innocent texts. */
const MASKED_MIN_CHARACTERS = 6;
const MASK = "[secret]";

/** Values that are worth masking, the longest first: one may hold another. */
export function hiddenValues(values: Iterable<string>): string[] {
  return [...new Set(values)].filter((value) => value.length >= MASKED_MIN_CHARACTERS)
    .sort((a, b) => b.length - a.length);
}

export function mask(text: string, hidden: readonly string[]): string {
  let masked = text;
  for (const value of hidden) if (masked.includes(value)) masked = masked.replaceAll(value, MASK);
  return masked;
}

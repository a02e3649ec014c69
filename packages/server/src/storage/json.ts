/**
 * Rows as one parameter of JSON that Postgres takes, whatever is in them.
 *
 * @module
 */

/** Postgres' text refuses NUL and its JSON half characters, however they are spelt. */
const UNKEEPABLE = /\\+u(?:0000|d[89a-f][0-9a-f]{2})/gi;

export function asJson(rows: readonly object[]): string {
  // JSON.stringify writes half characters as escapes and whole ones as they are, so every \ud… left is a half one. An
  // even number of backslashes before the u is text that only looks like an escape.
  return JSON.stringify(rows).replaceAll(
    UNKEEPABLE,
    (escape) => escape.lastIndexOf("\\") % 2 === 0 ? `${escape.slice(0, escape.lastIndexOf("\\"))}\\ufffd` : escape,
  );
}

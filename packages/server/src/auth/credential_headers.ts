/**
 * Headers that say who calls.
 *
 * @module
 */

/** Keys, beside `Authorization`. */
export const KEY_HEADERS = ["x-service-key", "x-client-key", "clientkey", "apikey"] as const;

export const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set(["authorization", ...KEY_HEADERS]);

/**
 * The name in `npm:` and `jsr:` specifiers.
 *
 * @module
 */

/** The server's own client; the second name is the one that it is published under. */
export const SDK_NAMES: readonly string[] = ["@fluxbase/sdk", "@nimbleflux/fluxbase-sdk"];

const SPECIFIER = /^(?:npm|jsr):\/?((?:@[^/@\s]+\/)?[^/@\s][^/@\s]*)(?:@[^/]*)?(?:\/.*)?$/;

/** Without version and path, such as `@scope/name`; undefined when there is none. */
export function packageName(specifier: string): string | undefined {
  return SPECIFIER.exec(specifier)?.[1];
}

/**
 * The name in `npm:` and `jsr:` specifiers.
 *
 * @module
 */

const SPECIFIER = /^(?:npm|jsr):\/?((?:@[^/@\s]+\/)?[^/@\s][^/@\s]*)(?:@[^/]*)?(?:\/.*)?$/;

/** Without version and path, such as `@scope/name`; undefined when there is none. */
export function packageName(specifier: string): string | undefined {
  return SPECIFIER.exec(specifier)?.[1];
}

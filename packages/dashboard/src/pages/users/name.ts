/**
 * What a user is called.
 *
 * @module
 */
export function nameOf({ email, id }: { readonly email: string | null; readonly id: string }): string {
  return email ?? `anonymous ${id.slice(0, 8)}`;
}

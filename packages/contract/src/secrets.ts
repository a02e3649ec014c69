/**
 * Secrets as they travel over HTTP: never their values.
 *
 * @module
 */
export interface SecretView {
  readonly id: string;
  readonly key: string;
  /** Whose functions see it; null: those of all namespaces. */
  readonly namespaces: readonly string[] | null;
  readonly description: string | null;
  /** Null: of the server. */
  readonly user_id: string | null;
  readonly created_by: string | null;
  readonly updated_by: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

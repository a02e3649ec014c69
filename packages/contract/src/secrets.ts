/**
 * Secrets as they travel over HTTP: never their values.
 *
 * @module
 */
export interface SecretView {
  readonly id: string;
  readonly key: string;
  readonly description: string | null;
  /** Null: of the server. */
  readonly user_id: string | null;
  readonly created_by: string | null;
  readonly updated_by: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

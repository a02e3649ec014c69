/**
 * Secrets as they travel over HTTP: never their values.
 *
 * @module
 */
export interface SecretView {
  readonly id: string;
  readonly key: string;
  /** The key, as other clients call it. */
  readonly name: string;
  readonly scope: "global" | "namespace" | "user";
  /** Of a secret for one namespace. */
  readonly namespace: string | null;
  /** Whose functions see it; null: those of all namespaces. */
  readonly namespaces: readonly string[] | null;
  readonly description: string | null;
  /** Grows by one with each value. */
  readonly version: number;
  /** From then on no function sees it. */
  readonly expires_at: string | null;
  readonly is_expired: boolean;
  /** Null: of the server. */
  readonly user_id: string | null;
  readonly created_by: string | null;
  readonly updated_by: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

/** One value that a secret has or had. */
export interface SecretVersionView {
  readonly id: string;
  readonly secret_id: string;
  readonly version: number;
  readonly created_at: string;
  readonly created_by: string | null;
}

export interface SecretStats {
  readonly total: number;
  /** Within 7 days. */
  readonly expiring_soon: number;
  readonly expired: number;
}

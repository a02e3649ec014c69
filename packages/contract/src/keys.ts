/**
 * Client and service keys as they travel over HTTP.
 *
 * @module
 */
export interface Key {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  /** The first characters, to recognise it by. */
  readonly key_prefix: string;
  readonly scopes: readonly string[];
  /** Null: all. */
  readonly namespaces: readonly string[] | null;
  /** Requests a minute, calls and management together; null: no limit. */
  readonly rate_limit_per_minute: number | null;
  /** Likewise in an hour, and in a day: all of them hold. */
  readonly rate_limit_per_hour: number | null;
  readonly rate_limit_per_day: number | null;
  /** The user whose key it is: calls with it are that user's; null: nobody's in particular. */
  readonly user_id: string | null;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  readonly last_used_at: string | null;
  readonly created_at: string;
  readonly created_by: string | null;
  /** Only in the answer that makes it: nobody can read it later. */
  readonly key?: string;
  readonly enabled: boolean;
  /** From then on it is to be replaced; it goes on until its grace period ends. */
  readonly deprecated_at: string | null;
  /** Of the key, or of its value of before when it was rotated. */
  readonly grace_period_ends_at: string | null;
  readonly revoked_by: string | null;
  readonly revocation_reason: string | null;
  readonly key_type: "client" | "service";
}

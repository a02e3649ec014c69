/**
 * Users and their sessions as they travel over HTTP.
 *
 * @module
 */
export interface UserView {
  readonly id: string;
  /** Null for who is anonymous. */
  readonly email: string | null;
  readonly email_verified: boolean;
  readonly role: string;
  /** The user's own. */
  readonly user_metadata: Readonly<Record<string, unknown>>;
  readonly app_metadata: Readonly<Record<string, unknown>>;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface SessionView {
  readonly user: UserView;
  readonly access_token: string;
  /** Good for one refresh. */
  readonly refresh_token: string;
  /** Seconds. */
  readonly expires_in: number;
  readonly token_type: "bearer";
}

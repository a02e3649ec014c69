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
  /** Since when the user cannot sign in; null for who can. */
  readonly disabled_at: string | null;
}

/** As admins see users. */
export interface ListedUser extends UserView {
  readonly is_anonymous: boolean;
  /** To be sent as `cursor` for those that come after it in a list. */
  readonly cursor: string;
}

/** For trying out what a user gets: it says who acts. */
export interface UserToken {
  readonly user_id: string;
  readonly access_token: string;
  readonly token_type: "bearer";
  readonly expires_at: string;
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

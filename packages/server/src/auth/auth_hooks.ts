/**
 * What is asked before somebody gets an account, a session or a token.
 *
 * Does not own: who is asked, and how (../hooks/).
 *
 * @module
 */
import type { User } from "../storage/users.ts";

/** An account that is still to be made. */
export interface ComingUser {
  readonly id: string;
  /** Null for who is anonymous. */
  readonly email: string | null;
  readonly userMetadata: Readonly<Record<string, unknown>>;
}

export interface Metadata {
  readonly userMetadata: Readonly<Record<string, unknown>>;
  readonly appMetadata: Readonly<Record<string, unknown>>;
}

/** Where the request comes from. */
export interface AuthOrigin {
  readonly address: string;
}

/** @throws {PlatformError} HOOK_REFUSED with the reason that a hook gives, HOOK_FAILED; each as a rejection */
export interface AuthHooks {
  /** Returns the metadata that the account begins with. */
  beforeUserCreated(user: ComingUser, origin: AuthOrigin | null): Promise<Metadata>;
  /** Before each new session, that of a new account included. */
  beforeSignIn(user: User, origin: AuthOrigin | null): Promise<void>;
  /** Claims that the token gets besides those it has. */
  claimsFor(user: User, token: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>>;
}

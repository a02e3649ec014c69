/**
 * Signing up, in and out: who somebody is, by e-mail and password, and for how long.
 *
 * Owns: sessions and their tokens, how often a password may be tried, the first admin.
 * Does not own: what tokens and users look like over HTTP (../api/auth_routes.ts).
 *
 * @module
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { PlatformError } from "@fluxbase/contract";
import type { Secret } from "../core/secret.ts";
import { type Database, isUniqueViolation } from "../storage/db.ts";
import {
  deleteUser,
  endSessions,
  findFirstAdmin,
  findRefreshedUser,
  findUser,
  findUserToSignIn,
  hasAdmin,
  hasOtherAdmin,
  insertFirstAdmin,
  insertSession,
  insertUser,
  type ListedUser,
  listUsers,
  rotateRefreshToken,
  updateUser,
  type User,
  type UserChange,
  type UserPage,
} from "../storage/users.ts";
import type { UserRole } from "../storage/schema.ts";
import type { AuthHooks, AuthOrigin } from "./auth_hooks.ts";
import type { EndedSessions } from "./ended_sessions.ts";
import type { SignInLink } from "./sign_in_link.ts";
import type { Passwords } from "./passwords.ts";
import type { Tokens } from "./tokens.ts";
import type { UserDirectory } from "./user_directory.ts";

export interface SignedIn {
  readonly user: User;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresInSec: number;
}

export interface Credentials {
  /** Any case; compared in lower case. */
  readonly email: string;
  readonly password: string;
}

export interface SignInOptions {
  readonly adminsOnly?: boolean;
  readonly origin?: AuthOrigin;
}

/** Hooks may refuse each of these (HOOK_REFUSED), and nothing goes on without their answer (HOOK_FAILED). */
export interface Accounts {
  readonly signUpEnabled: boolean;
  /**
   * Makes an account and signs in. Where there is one already it is a sign-in: no answer says that it exists, but who
   * gets no account for an address can conclude it.
   *
   * @throws {PlatformError} INVALID_CREDENTIAL, FORBIDDEN when it is switched off
   */
  signUp(
    credentials: Credentials,
    userMetadata: Readonly<Record<string, unknown>>,
    origin?: AuthOrigin,
  ): Promise<SignedIn>;
  /** @throws {PlatformError} INVALID_CREDENTIAL, the same for every reason */
  signIn(credentials: Credentials, options?: SignInOptions): Promise<SignedIn>;
  /** The admin who was there first, by the link of the terminal. @throws {PlatformError} INVALID_CREDENTIAL */
  signInWithLink(token: string, origin?: AuthOrigin): Promise<SignedIn>;
  /** A user without e-mail, who may become one with both by a change. */
  signInAnonymously(userMetadata: Readonly<Record<string, unknown>>, origin?: AuthOrigin): Promise<SignedIn>;
  /** @throws {PlatformError} INVALID_CREDENTIAL */
  refresh(refreshToken: string): Promise<SignedIn>;
  signOut(sessionId: string): Promise<void>;
  /** All sessions of a user, but one. */
  signOutAll(userId: string, except: string | null): Promise<void>;
  read(userId: string): Promise<User>;
  /** A new password ends every other session. */
  change(
    who: { readonly userId: string; readonly sessionId: string | null },
    change: {
      email?: string | undefined;
      password?: string | undefined;
      userMetadata?: Record<string, unknown> | undefined;
    },
  ): Promise<User>;
  /** Somebody's own account. @throws {PlatformError} INVALID_CREDENTIAL without the right password, where there is one */
  removeOwn(userId: string, password: string | undefined): Promise<void>;
  /** For admins. Newest first. */
  list(page: UserPage): Promise<{ users: ListedUser[]; total: number }>;
  /** @throws {PlatformError} ALREADY_EXISTS, USER_NOT_SAVED */
  create(user: UserToCreate): Promise<User>;
  /** @throws {PlatformError} USER_NOT_FOUND, ALREADY_EXISTS, USER_NOT_SAVED */
  update(userId: string, change: UserToChange): Promise<User>;
  /** With sessions and keys. @throws {PlatformError} USER_NOT_FOUND, USER_NOT_SAVED */
  remove(userId: string): Promise<void>;
  /** Short-lived, and it says who acts. @throws {PlatformError} USER_NOT_FOUND, FORBIDDEN for an admin's */
  tokenAs(userId: string, by: { readonly actor: string; readonly sec: number }): Promise<TokenAs>;
  hasAdmin(): Promise<boolean>;
  /** @throws {PlatformError} FORBIDDEN for a wrong setup token, ALREADY_EXISTS when there is an admin */
  setUp(credentials: Credentials, setup: { readonly name: string; readonly token: string }): Promise<SignedIn>;
}

export interface TokenAs {
  readonly user: User;
  readonly accessToken: string;
  readonly expiresAt: Date;
}

export interface UserToChange {
  readonly email?: string | undefined;
  readonly password?: string | undefined;
  readonly emailVerified?: boolean | undefined;
  /** Another role ends every session. */
  readonly role?: UserRole | undefined;
  /** Ends every session, and refuses sign-in and keys until it is taken back. */
  readonly disabled?: boolean | undefined;
  readonly userMetadata?: Readonly<Record<string, unknown>> | undefined;
  readonly appMetadata?: Readonly<Record<string, unknown>> | undefined;
}

export interface UserToCreate extends UserToChange {
  readonly id?: string | undefined;
  readonly email: string;
}

export interface AccountParts {
  readonly db: Database["db"];
  readonly tokens: Tokens;
  readonly passwords: Passwords;
  readonly endedSessions: EndedSessions;
  readonly hooks: AuthHooks;
  /** Undefined: there is no users' database. */
  readonly directory: UserDirectory | undefined;
  readonly signInLink: SignInLink;
  readonly nowMs: () => number;
  readonly accessTokenSec: number;
  readonly refreshTokenDays: number;
  readonly signUpEnabled: boolean;
  /** Null: no first admin can be made. */
  readonly setupToken: Secret | null;
}

const REFRESH_PREFIX = "fbr_";
const CLAIM_MAX_CHARACTERS = 1_024;
/** Of claims besides those of the server: a token of 8,192 characters is accepted, and base64 takes a third more. */
const MORE_MAX_BYTES = 5 * 1024;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The owner of the machine reads it at the start; it is the same every time. */
export function setupTokenOf(jwtSecret: Secret): string {
  return createHmac("sha256", jwtSecret.reveal()).update("fluxbase setup token").digest("base64url").slice(0, 32);
}

export function createAccounts(parts: AccountParts): Accounts {
  const { db, tokens, passwords, endedSessions, hooks, directory, accessTokenSec } = parts;

  async function begin(user: User, origin: AuthOrigin | null = null): Promise<SignedIn> {
    if (user.disabledAt !== null) throw accountDisabled();
    await hooks.beforeSignIn(user, origin);
    const refreshToken = makeRefreshToken();
    const sessionId = crypto.randomUUID();
    const accessToken = await tokenFor(user, sessionId);
    await insertSession(db, {
      id: sessionId,
      userId: user.id,
      tokenHash: hashOf(refreshToken),
      days: parts.refreshTokenDays,
    });
    return { user, accessToken, refreshToken, expiresInSec: accessTokenSec };
  }

  /** Made before the session is, so that a hook that fails leaves nothing behind. */
  async function tokenFor(
    user: User,
    sessionId: string,
    { sec = accessTokenSec, actor }: { readonly sec?: number; readonly actor?: string } = {},
  ): Promise<string> {
    const issuedAtSec = Math.floor(parts.nowMs() / 1_000);
    const claims = {
      sub: user.id,
      ...(user.email === null ? {} : { email: user.email }),
      role: user.role,
      session_id: sessionId,
      is_anonymous: user.isAnonymous,
    };
    const validity = { issuedAtSec, expiresAtSec: issuedAtSec + sec };
    const times = { iss: "fluxbase", iat: validity.issuedAtSec, exp: validity.expiresAtSec };
    // RFC 8693, section 4.1: whoever acts in the name of the user.
    const acting = actor === undefined ? {} : { act: { sub: actor } };
    const added = { ...await hooks.claimsFor(user, { ...times, ...claims }), ...acting };
    const more = { ...metadataOf(user), ...added };
    // What a hook has added counts more than metadata: together they could be too long for a header.
    return await tokens.mintUser(claims, validity, byteCountOf(more) <= MORE_MAX_BYTES ? more : added);
  }

  /** Who is nowhere else is not here either: what refuses a user in the users' database undoes the account. */
  async function made(user: User): Promise<User> {
    try {
      await directory?.put(user);
      return user;
    } catch (error) {
      await deleteUser(db, user.id);
      throw error;
    }
  }

  /** First there, where something may refuse it, then here; what fails here is taken back there. */
  async function changed(before: User, change: UserChange): Promise<User> {
    const { email = before.email, userMetadata = before.userMetadata, appMetadata = before.appMetadata } = change;
    const isAnonymous = before.isAnonymous && email === null;
    const isSame = change.email === undefined && change.userMetadata === undefined && change.appMetadata === undefined;
    if (!isSame) {
      await directory?.put({
        ...before,
        email,
        isAnonymous,
        userMetadata,
        appMetadata,
        updatedAt: new Date(parts.nowMs()),
      });
    }
    try {
      const user = await unlessTaken(() => updateUser(db, before.id, change));
      if (user === undefined) throw userNotFound();
      return user;
    } catch (error) {
      if (!isSame) await directory?.put(before);
      throw error;
    }
  }

  async function present(userId: string): Promise<User> {
    const user = UUID.test(userId) ? await findUser(db, userId) : undefined;
    if (user === undefined) throw userNotFound();
    return user;
  }

  /** There is always one who can manage the server. */
  async function assertNotLastAdmin({ id, role }: User): Promise<void> {
    if (role !== "admin" || await hasOtherAdmin(db, id)) return;
    throw new PlatformError("FORBIDDEN", "Cannot remove or disable the last admin: make another user an admin first");
  }

  return {
    signUpEnabled: parts.signUpEnabled,

    async signUp({ email, password }, userMetadata, origin) {
      if (!parts.signUpEnabled) {
        throw new PlatformError("FORBIDDEN", "Cannot sign up: it is switched off on this server");
      }
      const address = email.toLowerCase();
      const found = await findUserToSignIn(db, address);
      // Both, whoever asks: it takes as long for an address that is known.
      const isRight = await passwords.verify(found?.passwordHash ?? undefined, password);
      const passwordHash = await passwords.hash(password);
      if (found !== undefined) {
        if (!isRight) throw wrongPair();
        return await begin(found.user, origin);
      }
      const id = crypto.randomUUID();
      const metadata = await hooks.beforeUserCreated({ id, email: address, userMetadata }, origin ?? null);
      const inserted = insertUser(db, { id, email: address, passwordHash, role: "authenticated", ...metadata });
      const user = await inserted.catch((error) => {
        // Somebody else was first, a moment ago.
        throw isUniqueViolation(error) ? wrongPair() : error;
      });
      return await begin(await made(user), origin);
    },

    async signInAnonymously(userMetadata, origin) {
      if (!parts.signUpEnabled) {
        throw new PlatformError("FORBIDDEN", "Cannot sign in anonymously: signing up is switched off on this server");
      }
      const id = crypto.randomUUID();
      const metadata = await hooks.beforeUserCreated({ id, email: null, userMetadata }, origin ?? null);
      const user = await insertUser(db, { id, email: null, passwordHash: null, role: "authenticated", ...metadata });
      return await begin(await made(user), origin);
    },

    async signIn({ email, password }, { adminsOnly = false, origin } = {}) {
      const found = await findUserToSignIn(db, email.toLowerCase());
      const isRight = await passwords.verify(found?.passwordHash ?? undefined, password);
      if (found === undefined || !isRight || (adminsOnly && found.user.role !== "admin")) {
        throw wrongPair();
      }
      return await begin(found.user, origin);
    },

    async signInWithLink(token, origin) {
      const user = parts.signInLink.take(token) ? await findFirstAdmin(db) : undefined;
      if (user !== undefined) return await begin(user, origin);
      throw new PlatformError(
        "INVALID_CREDENTIAL",
        "Cannot sign in: the link was used before or has expired; start the server again for another one, or sign in with your password",
      );
    },

    async refresh(refreshToken) {
      const fresh = makeRefreshToken();
      // Asked first: a hook that fails must not use the token up.
      const present = await findRefreshedUser(db, hashOf(refreshToken));
      const token = present === undefined ? undefined : await tokenFor(present.user, present.sessionId);
      const rotated = await rotateRefreshToken(db, { oldHash: hashOf(refreshToken), newHash: hashOf(fresh) });
      if (rotated === undefined || token === undefined) {
        throw new PlatformError(
          "INVALID_CREDENTIAL",
          "Cannot refresh: the refresh token is unknown, over or was used before; sign in again",
        );
      }
      return { user: rotated.user, accessToken: token, refreshToken: fresh, expiresInSec: accessTokenSec };
    },

    async signOut(sessionId) {
      if (!UUID.test(sessionId)) return;
      await endSessions(db, { sessionId });
      endedSessions.add(sessionId);
    },

    async signOutAll(userId, except) {
      if (UUID.test(userId)) await endSessions(db, { userId, except });
    },

    read: present,

    async change({ userId, sessionId }, { email, password, userMetadata }) {
      const before = await present(userId);
      const passwordHash = password === undefined ? undefined : await passwords.hash(password);
      const user = await changed(before, { email: email?.toLowerCase(), passwordHash, userMetadata });
      if (passwordHash !== undefined) await endSessions(db, { userId, except: sessionId });
      return user;
    },

    async removeOwn(userId, password) {
      const user = await present(userId);
      const found = user.email === null ? undefined : await findUserToSignIn(db, user.email);
      if (found?.passwordHash && !await passwords.verify(found.passwordHash, password ?? "")) throw wrongPair();
      await directory?.remove(user.id);
      await deleteUser(db, user.id);
    },

    list: (page) => listUsers(db, page),

    async tokenAs(userId, { actor, sec }) {
      const user = await present(userId);
      if (user.role === "admin") {
        throw new PlatformError(
          "FORBIDDEN",
          "Cannot act as an admin: what admins do is written down under their own name",
        );
      }
      if (user.disabledAt !== null) throw accountDisabled();
      const sessionId = crypto.randomUUID();
      const expiresAt = new Date((Math.floor(parts.nowMs() / 1_000) + sec) * 1_000);
      const accessToken = await tokenFor(user, sessionId, { sec, actor });
      // A session like others, so that it ends with them; nobody has its refresh token.
      await insertSession(db, { id: sessionId, userId, tokenHash: hashOf(makeRefreshToken()), days: 1 });
      return { user, accessToken, expiresAt };
    },

    async create(
      { id = crypto.randomUUID(), email, password, emailVerified = false, role, userMetadata, appMetadata },
    ) {
      const passwordHash = password === undefined ? null : await passwords.hash(password);
      const user = await unlessTaken(() =>
        insertUser(db, {
          id,
          email: email.toLowerCase(),
          passwordHash,
          role: role ?? "authenticated",
          emailVerified,
          userMetadata: userMetadata ?? {},
          appMetadata: appMetadata ?? {},
        })
      );
      return await made(user);
    },

    async update(userId, { email, password, ...change }) {
      const before = await present(userId);
      const isOtherRole = change.role !== undefined && change.role !== before.role;
      const isToBeDisabled = change.disabled === true && before.disabledAt === null;
      if (isOtherRole || isToBeDisabled) await assertNotLastAdmin(before);
      const passwordHash = password === undefined ? undefined : await passwords.hash(password);
      const user = await changed(before, { ...change, email: email?.toLowerCase(), passwordHash });
      if (passwordHash !== undefined || isOtherRole || isToBeDisabled) {
        await endSessions(db, { userId, except: null });
      }
      return user;
    },

    async remove(userId) {
      const user = await present(userId);
      await assertNotLastAdmin(user);
      await directory?.remove(user.id);
      await deleteUser(db, user.id);
    },

    hasAdmin: () => hasAdmin(db),

    async setUp({ email, password }, { name, token }) {
      const { setupToken } = parts;
      if (setupToken === null) {
        throw new PlatformError("FORBIDDEN", "Cannot set up: the server has no FLUXBASE_SECURITY_SETUP_TOKEN");
      }
      if (!timingSafeEqual(hashOf(token), hashOf(setupToken.reveal()))) {
        throw new PlatformError("INVALID_CREDENTIAL", "Cannot set up: the setup token is wrong");
      }
      if (await hasAdmin(db)) throw adminExists();
      const passwordHash = await passwords.hash(password);
      const user = await unlessTaken(() =>
        insertFirstAdmin(db, { email: email.toLowerCase(), passwordHash, userMetadata: { name } })
      );
      if (user === undefined) throw adminExists();
      return await begin(await made(user));
    },
  };
}

function byteCountOf(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}

/** For policies that read it of the token, as long as it is small: each request carries the token. */
function metadataOf({ userMetadata, appMetadata }: User): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries({ user_metadata: userMetadata, app_metadata: appMetadata }).filter(([, value]) =>
      Object.keys(value).length > 0 && JSON.stringify(value).length <= CLAIM_MAX_CHARACTERS
    ),
  );
}

function wrongPair(): PlatformError {
  return new PlatformError("INVALID_CREDENTIAL", "Cannot sign in: e-mail or password is wrong");
}

function accountDisabled(): PlatformError {
  return new PlatformError("FORBIDDEN", "Cannot sign in: this account is disabled; ask an administrator to enable it");
}

async function unlessTaken<Result>(write: () => Promise<Result>): Promise<Result> {
  try {
    return await write();
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new PlatformError("ALREADY_EXISTS", "A user with this e-mail exists already");
  }
}

function adminExists(): PlatformError {
  return new PlatformError("ALREADY_EXISTS", "Cannot set up: there is an admin already; sign in as one");
}

function userNotFound(): PlatformError {
  return new PlatformError("USER_NOT_FOUND", "User not found on this server");
}

function makeRefreshToken(): string {
  const random = crypto.getRandomValues(new Uint8Array(32));
  return REFRESH_PREFIX + random.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** 256 random bits need no slower one. */
function hashOf(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

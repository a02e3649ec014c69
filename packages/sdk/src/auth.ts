/**
 * Who uses the client: signing up, in and out, and tokens that stay fresh.
 *
 * @module
 */
import type { SessionView, UserView } from "@fluxbase/contract";
import { FluxbaseError } from "./errors.ts";
import type { Http } from "./http.ts";

export type User = UserView;

export interface Session extends SessionView {
  /** Seconds since the epoch. */
  readonly expires_at: number;
}

export interface SessionStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): void | Promise<void>;
  removeItem(key: string): void | Promise<void>;
}

export type AuthEvent = "SIGNED_IN" | "SIGNED_OUT" | "TOKEN_REFRESHED" | "USER_UPDATED";
export type AuthListener = (event: AuthEvent, session: Session | null) => void;

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

export interface UserChange {
  readonly email?: string;
  readonly password?: string;
  readonly user_metadata?: Readonly<Record<string, unknown>>;
}

/** A token that is over so soon is renewed before it is sent. */
const RENEW_BEFORE_SEC = 30;

export class AuthClient {
  readonly #http: () => Http;
  readonly #storage: SessionStorage | null;
  readonly #storageKey: string;
  readonly #listeners = new Set<AuthListener>();
  #session: Session | null = null;
  #restoring: Promise<void> | undefined;
  #refreshing: Promise<Session> | undefined;

  constructor(http: () => Http, storage: SessionStorage | null, storageKey: string) {
    this.#http = http;
    this.#storage = storage;
    this.#storageKey = storageKey;
  }

  /** Makes an account and signs it in. */
  async signUp(
    { email, password, user_metadata }: Credentials & { readonly user_metadata?: Readonly<Record<string, unknown>> },
  ): Promise<Session> {
    const body = { email, password, ...(user_metadata === undefined ? {} : { user_metadata }) };
    return await this.#begin(
      await this.#http().request<SessionView>("POST", "/api/v1/auth/signup", { body, withoutUser: true }),
    );
  }

  /** Whether the server has no admin yet. */
  async needsSetup(): Promise<boolean> {
    const path = "/api/v1/admin/setup/status";
    return (await this.#http().request<{ needs_setup: boolean }>("GET", path, { withoutUser: true })).needs_setup;
  }

  /** Makes the first admin, once, and signs in: with the token that the server has printed or was given. */
  async setUp(
    { email, password, name, setup_token }: Credentials & { readonly name?: string; readonly setup_token: string },
  ): Promise<Session> {
    const body = { email, password, setup_token, ...(name === undefined ? {} : { name }) };
    return await this.#begin(
      await this.#http().request<SessionView>("POST", "/api/v1/admin/setup", { body, withoutUser: true }),
    );
  }

  /** With the token of the link that `npm start` prints: good once, for ten minutes. */
  async signInWithLink(token: string): Promise<Session> {
    const body = { token };
    return await this.#begin(
      await this.#http().request<SessionView>("POST", "/api/v1/admin/login/link", { body, withoutUser: true }),
    );
  }

  async signIn({ email, password }: Credentials): Promise<Session> {
    const body = { email, password };
    return await this.#begin(
      await this.#http().request<SessionView>("POST", "/api/v1/auth/signin", { body, withoutUser: true }),
    );
  }

  /** The same under the name that other clients have for it. */
  signInWithPassword(credentials: Credentials): Promise<Session> {
    return this.signIn(credentials);
  }

  /** Forgets the session here even when the server cannot be told. */
  async signOut(): Promise<void> {
    await this.#restored();
    if (this.#session === null) return;
    try {
      await this.#http().request("POST", "/api/v1/auth/signout");
    } catch (error) {
      if (!(error instanceof FluxbaseError) || error.status !== 401) throw error;
    } finally {
      await this.#keep(null, "SIGNED_OUT");
    }
  }

  /** Many askers, one request, also where several pages of a browser share the session. */
  async refresh(): Promise<Session> {
    await this.#restored();
    const before = this.#session;
    if (before === null) throw notSignedIn();
    this.#refreshing ??= this.#alone(() => this.#refreshShared(before)).finally(() => this.#refreshing = undefined);
    return await this.#refreshing;
  }

  /** A refresh token is good once: what another page has got for it is taken over. */
  async #refreshShared(before: Session): Promise<Session> {
    const kept = parseSession(await this.#storage?.getItem(this.#storageKey) ?? null);
    const isNewer = kept !== null && kept.refresh_token !== before.refresh_token &&
      kept.user.id === before.user.id && kept.expires_at > before.expires_at;
    if (!isNewer) return await this.#refresh(before);
    this.#session = kept;
    for (const listener of [...this.#listeners]) listener("TOKEN_REFRESHED", kept);
    return kept;
  }

  /** Among the pages that share the storage, where the runtime can say so. */
  async #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const { locks } = globalThis.navigator as { locks?: Locks } | undefined ?? {};
    if (this.#storage === null || locks === undefined) return await work();
    return await locks.request(this.#storageKey, work);
  }

  async #refresh({ refresh_token }: Session): Promise<Session> {
    try {
      const options = { body: { refresh_token }, withoutUser: true };
      const fresh = await this.#http().request<SessionView>("POST", "/api/v1/auth/refresh", options);
      return await this.#keep(withExpiry(fresh), "TOKEN_REFRESHED");
    } catch (error) {
      // Used elsewhere, or over: signing in is the only way on.
      if (error instanceof FluxbaseError && error.status === 401) await this.#keep(null, "SIGNED_OUT");
      throw error;
    }
  }

  /** As the server knows the user now. */
  async getUser(): Promise<User> {
    return await this.#http().request<User>("GET", "/api/v1/auth/user");
  }

  async updateUser(change: UserChange): Promise<User> {
    const user = await this.#http().request<User>("PATCH", "/api/v1/auth/user", { body: change });
    if (this.#session !== null) await this.#keep({ ...this.#session, user }, "USER_UPDATED");
    return user;
  }

  /** Deletes the account of who is signed in. */
  async deleteAccount({ password }: { readonly password?: string } = {}): Promise<void> {
    await this.#http().request("DELETE", "/api/v1/auth/account", { body: { password } });
    await this.#keep(null, "SIGNED_OUT");
  }

  async getSession(): Promise<Session | null> {
    await this.#restored();
    return this.#session;
  }

  /** Takes over a session that was made elsewhere, such as on a server. */
  async setSession(session: SessionView): Promise<Session> {
    return await this.#begin(session);
  }

  onAuthStateChange(listener: AuthListener): { readonly unsubscribe: () => void } {
    this.#listeners.add(listener);
    return { unsubscribe: () => void this.#listeners.delete(listener) };
  }

  /** The token to send with a request, fresh enough; null when nobody is signed in. For the client itself. */
  async accessToken(): Promise<string | null> {
    await this.#restored();
    if (this.#session === null) return null;
    if (this.#session.expires_at - RENEW_BEFORE_SEC > Date.now() / 1_000) return this.#session.access_token;
    return await this.refresh().then(({ access_token }) => access_token, () => this.#session?.access_token ?? null);
  }

  /** After the server refused a request: whether another token is there now. For the client itself. */
  async renew(): Promise<boolean> {
    if (this.#session === null) return false;
    return await this.refresh().then(() => true, () => false);
  }

  async #begin(session: SessionView): Promise<Session> {
    return await this.#keep(withExpiry(session), "SIGNED_IN");
  }

  async #keep<Kept extends Session | null>(session: Kept, event: AuthEvent): Promise<Kept> {
    this.#session = session;
    if (session === null) await this.#storage?.removeItem(this.#storageKey);
    else await this.#storage?.setItem(this.#storageKey, JSON.stringify(session));
    for (const listener of [...this.#listeners]) listener(event, session);
    return session;
  }

  #restored(): Promise<void> {
    return this.#restoring ??= (async () => {
      const text = await this.#storage?.getItem(this.#storageKey);
      if (!text) return;
      const kept = parseSession(text);
      if (kept === null) await this.#storage?.removeItem(this.#storageKey);
      this.#session ??= kept;
    })();
  }
}

/** Of browsers, and of runtimes that have them. */
interface Locks {
  request<Result>(name: string, work: () => Promise<Result>): Promise<Result>;
}

function parseSession(text: string | null): Session | null {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

function withExpiry(session: SessionView): Session {
  return { ...session, expires_at: Math.floor(Date.now() / 1_000) + session.expires_in };
}

function notSignedIn(): FluxbaseError {
  return new FluxbaseError("Nobody is signed in", { status: 0, code: "UNAUTHENTICATED" });
}

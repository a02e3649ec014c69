/**
 * Users, as admins manage them.
 *
 * @module
 */
import type { ListedUser, UserToken, UserView } from "@fluxbase/contract";
import type { Http } from "./http.ts";

export interface UserFields {
  readonly email?: string;
  readonly password?: string;
  readonly role?: "authenticated" | "admin";
  readonly email_verified?: boolean;
  readonly user_metadata?: Readonly<Record<string, unknown>>;
  readonly app_metadata?: Readonly<Record<string, unknown>>;
}

export interface UserUpdate extends UserFields {
  /** `true` ends all sessions and refuses sign-in and keys of the user, until it is set to `false`. */
  readonly disabled?: boolean;
}

export interface ListUsers {
  /** Part of the e-mail, or of the id. */
  readonly search?: string;
  readonly role?: "authenticated" | "admin";
  /** Of the last user of the page before. */
  readonly cursor?: string;
  /** 100 without; at most 1,000. */
  readonly limit?: number;
  readonly offset?: number;
}

export class UsersClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Newest first; `total` counts all that fit. */
  async list(query: ListUsers = {}): Promise<{ readonly users: ListedUser[]; readonly total: number }> {
    return await this.#http.request("GET", "/api/v1/admin/users", { query: { ...query } });
  }

  async get(id: string): Promise<UserView> {
    return await this.#http.request("GET", pathOf(id));
  }

  /** Without a password nobody can sign in as the user. */
  async create(user: UserFields & { readonly email: string }): Promise<UserView> {
    return await this.#http.request("POST", "/api/v1/admin/users", { body: user });
  }

  /** A new password or role, and `disabled`, end all sessions. */
  async update(id: string, change: UserUpdate): Promise<UserView> {
    return await this.#http.request("PATCH", pathOf(id), { body: change });
  }

  /** With sessions and keys. */
  async delete(id: string): Promise<void> {
    await this.#http.request("DELETE", pathOf(id));
  }

  /** Everywhere. */
  async signOut(id: string): Promise<void> {
    await this.#http.request("POST", `${pathOf(id)}/sign-out`);
  }

  /**
   * A token for trying out what a user gets. It is written to the audit log, says who acts (`act`), and is given for
   * nobody who is an admin.
   *
   * @param seconds how long it is good: 900 without, at most 3,600
   */
  async tokenFor(id: string, { seconds }: { readonly seconds?: number } = {}): Promise<UserToken> {
    return await this.#http.request("POST", `${pathOf(id)}/token`, { body: seconds === undefined ? {} : { seconds } });
  }
}

function pathOf(id: string): string {
  return `/api/v1/admin/users/${encodeURIComponent(id)}`;
}

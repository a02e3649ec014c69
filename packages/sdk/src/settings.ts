/**
 * Secrets and keys: set and managed here, read by functions only.
 *
 * @module
 */
import type { Key, SecretView } from "@fluxbase/contract";
import { FluxbaseError } from "./errors.ts";
import type { Http } from "./http.ts";

/** Which of the secrets of the server with one name. */
export interface SecretPlace {
  /** Whose functions see it; without: those of all namespaces, or of all that the key is limited to. */
  readonly namespaces?: readonly string[];
}

/** Secrets of the user who is signed in, or those of the server (`client.admin.settings`). No value ever comes back. */
export class SettingsClient {
  readonly #http: Http;
  readonly #one: string;

  constructor(http: Http, scope: "user" | "server") {
    this.#http = http;
    this.#one = scope === "user" ? "/api/v1/settings/secret" : "/api/v1/admin/settings/custom/secret";
  }

  /** Makes it, or gives it another value. */
  async setSecret(
    key: string,
    value: string,
    options: SecretPlace & { readonly description?: string } = {},
  ): Promise<SecretView> {
    const change = { value, ...options };
    try {
      return await this.#http.request<SecretView>("PUT", this.#pathOf(key), { body: change });
    } catch (error) {
      if (!(error instanceof FluxbaseError) || error.status !== 404) throw error;
      return await this.#http.request<SecretView>("POST", this.#one, { body: { key, ...change } });
    }
  }

  /** What is known of it, without its value. */
  async getSecret(key: string, place: SecretPlace = {}): Promise<SecretView> {
    return await this.#http.request("GET", this.#pathOf(key), { query: queryOf(place) });
  }

  async listSecrets(): Promise<SecretView[]> {
    return await this.#http.request("GET", `${this.#one}s`);
  }

  async deleteSecret(key: string, place: SecretPlace = {}): Promise<void> {
    await this.#http.request("DELETE", this.#pathOf(key), { query: queryOf(place) });
  }

  #pathOf(key: string): string {
    return `${this.#one}/${encodeURIComponent(key)}`;
  }
}

function queryOf({ namespaces }: SecretPlace): Record<string, string> {
  return namespaces === undefined ? {} : { namespaces: namespaces.join(",") };
}

export interface KeyFields {
  readonly name?: string;
  readonly description?: string | null;
  readonly scopes?: readonly string[];
  readonly namespaces?: readonly string[] | null;
  readonly rate_limit_per_minute?: number | null;
  /** An instant such as `2030-01-31T12:00:00Z`. */
  readonly expires_at?: string | null;
}

export interface NewKey extends KeyFields {
  readonly name: string;
  /** Whose key it is; calls with it are that user's. */
  readonly user_id?: string | null;
}

/** Client keys (`client.keys`) or service keys (`client.admin.serviceKeys`). */
export class KeysClient {
  readonly #http: Http;
  readonly #base: string;

  constructor(http: Http, kind: "client" | "service") {
    this.#http = http;
    this.#base = kind === "client" ? "/api/v1/client-keys" : "/api/v1/admin/service-keys";
  }

  /** The answer is the only one that has the key itself. */
  async create(key: NewKey): Promise<Key & { readonly key: string }> {
    return await this.#http.request("POST", this.#base, { body: key });
  }

  async list(): Promise<Key[]> {
    return await this.#http.request("GET", this.#base);
  }

  async get(id: string): Promise<Key> {
    return await this.#http.request("GET", this.#pathOf(id));
  }

  async update(id: string, change: KeyFields): Promise<Key> {
    return await this.#http.request("PATCH", this.#pathOf(id), { body: change });
  }

  /** For ever. */
  async revoke(id: string): Promise<Key> {
    return await this.#http.request("POST", `${this.#pathOf(id)}/revoke`);
  }

  /** Refused until it is enabled again. */
  async disable(id: string): Promise<Key> {
    return await this.#http.request("POST", `${this.#pathOf(id)}/disable`);
  }

  async enable(id: string): Promise<Key> {
    return await this.#http.request("POST", `${this.#pathOf(id)}/enable`);
  }

  /** Lets it run out after a grace period such as "48h"; 24 hours without one. */
  async deprecate(id: string, gracePeriod?: string): Promise<Key> {
    return await this.#http.request("POST", `${this.#pathOf(id)}/deprecate`, { body: { grace_period: gracePeriod } });
  }

  /** Another value for the same key; the old one is refused at once, or after a grace period such as "1h". */
  async rotate(id: string, gracePeriod?: string): Promise<Key & { readonly key: string }> {
    return await this.#http.request("POST", `${this.#pathOf(id)}/rotate`, { body: { grace_period: gracePeriod } });
  }

  async delete(id: string): Promise<void> {
    await this.#http.request("DELETE", this.#pathOf(id));
  }

  #pathOf(id: string): string {
    return `${this.#base}/${encodeURIComponent(id)}`;
  }
}

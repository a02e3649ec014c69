/**
 * Settings, secrets and keys. Secrets are set and managed here, read by functions only.
 *
 * @module
 */
import type { Key, SecretView, SettingView, UserSettingView } from "@fluxbase/contract";
import { FluxbaseError } from "./errors.ts";
import type { Http } from "./http.ts";

/** Which of the secrets of the server with one name. */
export interface SecretPlace {
  /** Whose functions see it; without: those of all namespaces, or of all that the key is limited to. */
  readonly namespaces?: readonly string[];
}

export interface SettingOptions {
  readonly description?: string | null;
  /** Of the server: everybody may read it. */
  readonly is_public?: boolean;
}

/**
 * Settings and secrets of the user who is signed in, or those of the server (`client.admin.settings`). No value of a
 * secret ever comes back.
 */
export class SettingsClient {
  readonly #http: Http;
  readonly #one: string;
  readonly #isOfUser: boolean;

  constructor(http: Http, scope: "user" | "server") {
    this.#http = http;
    this.#isOfUser = scope === "user";
    this.#one = scope === "user" ? "/api/v1/settings/secret" : "/api/v1/admin/settings/custom/secret";
  }

  /** The value of a setting of the server: public ones for everybody, all for admins. */
  // deno-lint-ignore no-explicit-any -- whoever set it knows what it is
  async get<Value = any>(key: string): Promise<Value> {
    const { value } = await this.#http.request<{ value: Value }>("GET", `${SETTINGS}/${encodeURIComponent(key)}`);
    return value;
  }

  /** Values by key; those that may not be read are left out. */
  // deno-lint-ignore no-explicit-any -- whoever set them knows what they are
  async getMany(keys: readonly string[]): Promise<Record<string, any>> {
    const found = await this.#http.request<SettingView[]>("POST", `${SETTINGS}/batch`, { body: { keys } });
    return Object.fromEntries(found.map(({ key, value }) => [key, value]));
  }

  /** Makes a setting, or changes it; its value may be any JSON. */
  async setSetting(key: string, value: unknown, options: SettingOptions = {}): Promise<SettingView | UserSettingView> {
    const body = { value, ...options };
    try {
      return await this.#http.request<SettingView>("PUT", this.#settingAt(key), { body });
    } catch (error) {
      if (this.#isOfUser || !(error instanceof FluxbaseError) || error.status !== 404) throw error;
      return await this.#http.request<SettingView>("POST", CUSTOM, { body: { key, ...body } });
    }
  }

  /** With what is known of it; for a user the server's where they have none (`source` says which). */
  // deno-lint-ignore no-explicit-any -- whoever set it knows what it is
  async getSetting(key: string): Promise<{ readonly key: string; readonly value: any; readonly source?: string }> {
    return await this.#http.request("GET", this.#settingAt(key));
  }

  async listSettings(): Promise<(SettingView | UserSettingView)[]> {
    return await this.#http.request("GET", this.#isOfUser ? `${SETTINGS}/user/list` : CUSTOM);
  }

  async deleteSetting(key: string): Promise<void> {
    await this.#http.request("DELETE", this.#settingAt(key));
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

  #settingAt(key: string): string {
    return `${this.#isOfUser ? `${SETTINGS}/user` : CUSTOM}/${encodeURIComponent(key)}`;
  }
}

const SETTINGS = "/api/v1/settings";
const CUSTOM = "/api/v1/admin/settings/custom";

function queryOf({ namespaces }: SecretPlace): Record<string, string> {
  return namespaces === undefined ? {} : { namespaces: namespaces.join(",") };
}

export interface KeyFields {
  readonly name?: string;
  readonly description?: string | null;
  readonly scopes?: readonly string[];
  readonly namespaces?: readonly string[] | null;
  readonly rate_limit_per_minute?: number | null;
  readonly rate_limit_per_hour?: number | null;
  readonly rate_limit_per_day?: number | null;
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

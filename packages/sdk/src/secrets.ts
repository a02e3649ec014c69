/**
 * Secrets of the server by name or id, with versions and an end. No value ever comes back.
 *
 * @module
 */
import type { SecretStats, SecretVersionView, SecretView } from "@fluxbase/contract";
import type { Http } from "./http.ts";

/** Which of the secrets with one name: the one for functions of a namespace; without, the one for all. */
export interface SecretNamespace {
  readonly namespace?: string;
}

export interface SecretChange {
  /** Another value makes another version. */
  readonly value?: string;
  readonly description?: string | null;
  /** An instant such as `2030-01-31T12:00:00Z`; from then on no function sees it. */
  readonly expires_at?: string | null;
}

export interface NewSecret extends SecretChange, SecretNamespace {
  readonly name: string;
  readonly value: string;
  readonly scope?: "global" | "namespace";
}

export interface ListSecrets extends SecretNamespace {
  readonly scope?: "global" | "namespace";
}

/** For admins, and keys with `secrets:*`. */
export class SecretsClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  async create(secret: NewSecret): Promise<SecretView> {
    return await this.#http.request("POST", BASE, { body: secret });
  }

  async list(options: ListSecrets = {}): Promise<SecretView[]> {
    return await this.#http.request("GET", BASE, { query: { ...options } });
  }

  async stats(): Promise<SecretStats> {
    return await this.#http.request("GET", `${BASE}/stats`);
  }

  async get(name: string, place: SecretNamespace = {}): Promise<SecretView> {
    return await this.#http.request("GET", named(name), { query: { ...place } });
  }

  async update(name: string, change: SecretChange, place: SecretNamespace = {}): Promise<SecretView> {
    return await this.#http.request("PUT", named(name), { body: change, query: { ...place } });
  }

  /** With all its versions. */
  async delete(name: string, place: SecretNamespace = {}): Promise<void> {
    await this.#http.request("DELETE", named(name), { query: { ...place } });
  }

  /** The newest first: it is the one in use. */
  async getVersions(name: string, place: SecretNamespace = {}): Promise<SecretVersionView[]> {
    return await this.#http.request("GET", `${named(name)}/versions`, { query: { ...place } });
  }

  /** Makes an earlier value the one in use, as a new version. */
  async rollback(name: string, version: number, place: SecretNamespace = {}): Promise<SecretView> {
    return await this.#http.request("POST", `${named(name)}/rollback/${version}`, { query: { ...place } });
  }

  async getById(id: string): Promise<SecretView> {
    return await this.#http.request("GET", withId(id));
  }

  async updateById(id: string, change: SecretChange): Promise<SecretView> {
    return await this.#http.request("PUT", withId(id), { body: change });
  }

  async deleteById(id: string): Promise<void> {
    await this.#http.request("DELETE", withId(id));
  }

  async getVersionsById(id: string): Promise<SecretVersionView[]> {
    return await this.#http.request("GET", `${withId(id)}/versions`);
  }

  async rollbackById(id: string, version: number): Promise<SecretView> {
    return await this.#http.request("POST", `${withId(id)}/rollback/${version}`);
  }
}

const BASE = "/api/v1/secrets";

function named(name: string): string {
  return `${BASE}/by-name/${encodeURIComponent(name)}`;
}

function withId(id: string): string {
  return `${BASE}/${encodeURIComponent(id)}`;
}

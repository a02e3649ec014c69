/**
 * What admins ask of a server: SQL, who changed what, limits.
 *
 * @module
 */
import type { AuditEntry, Metrics, SqlAnswer, TopFunction } from "@fluxbase/contract";
import type { MetricsQuery } from "./functions.ts";
import type { Http } from "./http.ts";

export interface ListAuditLog {
  /** Id of a user or a key. */
  readonly actor?: string;
  /** Such as `PATCH /functions/{name}`. */
  readonly action?: string;
  /** Such as `default/hello`. */
  readonly target?: string;
  /** Of the error, such as `FORBIDDEN`. */
  readonly code?: string;
  /** An instant such as `2026-01-31T12:00:00Z`. */
  readonly since?: string;
  readonly until?: string;
  /** Id of an entry: those before it. */
  readonly before?: string;
  /** 50 without; at most 1,000. */
  readonly limit?: number;
}

/** Of one limit; the unit is in its name. */
export interface LimitView {
  readonly value: number;
  readonly min: number;
  readonly max: number;
}

export class AuditLogClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Newest first. */
  async list(query: ListAuditLog = {}): Promise<AuditEntry[]> {
    return await this.#http.request("GET", "/api/v1/admin/audit-log", { query: { ...query } });
  }
}

export class DatabaseClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Runs SQL as the role that functions use. Several statements, possible without parameters, are one transaction; the
   * last one's rows come back.
   */
  async query(sql: string, parameters: readonly unknown[] = []): Promise<SqlAnswer> {
    const body = parameters.length === 0 ? { sql } : { sql, parameters };
    return await this.#http.request("POST", "/api/v1/admin/database/query", { body, timeoutMs: 600_000 });
  }
}

export class LimitsClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** By name, such as `wallMs`. */
  async list(): Promise<Readonly<Record<string, LimitView>>> {
    return await this.#http.request("GET", "/api/v1/limits");
  }
}

export class MetricsClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Of all functions, or of a namespace; not by version, since each function has versions of its own. */
  async get(query: MetricsQuery = {}): Promise<Metrics> {
    return await this.#http.request("GET", "/api/v1/admin/metrics", { query: { ...query } });
  }

  /** The functions with the most calls; of the last hour without `from`. */
  async top(
    query: Pick<MetricsQuery, "namespace" | "from" | "to"> & { readonly limit?: number } = {},
  ): Promise<{ readonly from: string; readonly to: string; readonly functions: readonly TopFunction[] }> {
    return await this.#http.request("GET", "/api/v1/admin/metrics/top", { query: { ...query } });
  }
}

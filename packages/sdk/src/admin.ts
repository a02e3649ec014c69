/**
 * What admins ask of a server: SQL, who changed what, limits.
 *
 * @module
 */
import type {
  AccountEvent,
  AuditEntry,
  AuthHook,
  AuthHookView,
  BackupsView,
  DbHookView,
  LanguageReply,
  LanguageRequest,
  LogLevel,
  LogLevelView,
  Metrics,
  NodeView,
  Readiness,
  ServerSetting,
  SqlAnswer,
  TopFunction,
} from "@fluxbase/contract";
import type { MetricsQuery } from "./functions.ts";
import { errorOf } from "./errors.ts";
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

/** Which changes of which rows call which function. */
export interface NewDbHook {
  readonly function: string;
  /** `default` without. */
  readonly namespace?: string;
  /** `orders` or `public.orders`. */
  readonly table: string;
  readonly events: readonly ("INSERT" | "UPDATE" | "DELETE")[];
  /** An update counts when one of them changes; without, always. */
  readonly columns?: readonly string[] | null;
  /** Such as `status=eq.paid&amount=gt.100`. */
  readonly where?: string | null;
  /** One event at a time, in their order. */
  readonly ordered?: boolean;
}

export class DbHooksClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  async list(): Promise<DbHookView[]> {
    return await this.#http.request("GET", "/api/v1/admin/hooks/database");
  }

  async get(id: string): Promise<DbHookView> {
    return await this.#http.request("GET", pathOfHook(id));
  }

  async create(hook: NewDbHook): Promise<DbHookView> {
    return await this.#http.request("POST", "/api/v1/admin/hooks/database", { body: hook });
  }

  /** With the events that wait. */
  async delete(id: string): Promise<void> {
    await this.#http.request("DELETE", pathOfHook(id));
  }

  /** Events whose attempts are used up are tried again. */
  async retry(id: string): Promise<{ readonly retried: number }> {
    return await this.#http.request("POST", `${pathOfHook(id)}/retry`);
  }
}

function pathOfHook(id: string): string {
  return `/api/v1/admin/hooks/database/${encodeURIComponent(id)}`;
}

export class HooksClient {
  readonly #http: Http;
  /** Functions that are called when rows of tables change. */
  readonly database: DbHooksClient;

  constructor(http: Http) {
    this.#http = http;
    this.database = new DbHooksClient(http);
  }

  /** Events of the authentication, and which functions the server asks about each. */
  async list(): Promise<AuthHookView[]> {
    return await this.#http.request("GET", "/api/v1/admin/hooks/auth");
  }

  /** Functions are asked about the event again. */
  async enable(event: AuthHook | AccountEvent): Promise<AuthHookView> {
    return await this.#switch(event, true);
  }

  /** No function is asked about the event, whatever it would say. */
  async disable(event: AuthHook | AccountEvent): Promise<AuthHookView> {
    return await this.#switch(event, false);
  }

  /** Functions are told again of events whose attempts are used up. */
  async retry(event: AccountEvent): Promise<{ readonly retried: number }> {
    return await this.#http.request("POST", `/api/v1/admin/hooks/auth/${encodeURIComponent(event)}/retry`);
  }

  async #switch(event: AuthHook | AccountEvent, enabled: boolean): Promise<AuthHookView> {
    return await this.#http.request("PATCH", `/api/v1/admin/hooks/auth/${encodeURIComponent(event)}`, {
      body: { enabled },
    });
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

export interface LanguageConnection {
  send(request: LanguageRequest): void;
  close(): void;
}

/** The language service of editors: problems, completions and types of source that is being edited. */
export class LanguageClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** @param on `close` comes once, after the last reply */
  async connect(
    { namespace, on }: {
      readonly namespace?: string;
      readonly on: { reply(reply: LanguageReply): void; close(): void };
    },
  ): Promise<LanguageConnection> {
    const socket = await this.#http.socket("/api/v1/admin/language", {
      protocol: "fluxbase.language",
      query: { namespace },
    });
    socket.addEventListener("message", ({ data }) => on.reply(JSON.parse(String(data))));
    socket.addEventListener("close", () => on.close(), { once: true });
    return {
      send: (request) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(request)),
      close: () => socket.close(),
    };
  }
}

export class ServerClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Whether the server that answers can do its work; one that cannot says so, too. */
  async readiness(): Promise<Readiness> {
    const response = await this.#http.send("GET", "/api/v1/health/ready");
    if (response.status !== 200 && response.status !== 503) throw await errorOf(response);
    return await response.json();
  }
}

/** The least important lines that servers log. */
export class LogLevelClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  async get(): Promise<LogLevelView> {
    return await this.#http.request("GET", "/api/v1/admin/log-level");
  }

  /** On all servers, at once. Null: as each is configured. */
  async set(level: LogLevel | null): Promise<LogLevelView> {
    return await this.#http.request("PUT", "/api/v1/admin/log-level", { body: { level } });
  }
}

/** Servers that share a database. */
export class NodesClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Those that were seen in the last day. */
  async list(): Promise<readonly NodeView[]> {
    return await this.#http.request("GET", "/api/v1/admin/nodes");
  }
}

export class ConfigClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Every setting of the server with its value, default and source; secrets without their values. */
  async list(): Promise<readonly ServerSetting[]> {
    return await this.#http.request("GET", "/api/v1/admin/config");
  }
}

export class BackupsClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Those in the folder of the server, newest first, and when the next ones are made. */
  async list(): Promise<BackupsView> {
    return await this.#http.request("GET", "/api/v1/admin/backups");
  }

  /** Starts one; `list` shows it when it is whole. */
  async create(): Promise<BackupsView> {
    return await this.#http.request("POST", "/api/v1/admin/backups");
  }
}

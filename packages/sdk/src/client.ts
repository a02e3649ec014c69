/**
 * The client: one server, one key, and whoever is signed in.
 *
 * @module
 */
import { AlertsClient } from "./alerts.ts";
import {
  AuditLogClient,
  BackupsClient,
  ConfigClient,
  DatabaseClient,
  HooksClient,
  LanguageClient,
  LimitsClient,
  LogLevelClient,
  MetricsClient,
  NodesClient,
  ServerClient,
} from "./admin.ts";
import { AuthClient, type SessionStorage } from "./auth.ts";
import { FluxbaseError } from "./errors.ts";
import { AdminFunctionsClient, FunctionsClient, type FunctionTypes } from "./functions.ts";
import { createHttp, type Http } from "./http.ts";
import { type CountKind, type Query, type RowOf, rpc, Table, type TableTypes } from "./query.ts";
import { SecretsClient } from "./secrets.ts";
import { KeysClient, SettingsClient } from "./settings.ts";
import { SchedulesClient } from "./schedules.ts";
import { UsersClient } from "./users.ts";
import { TasksClient } from "./tasks.ts";

export interface ClientOptions {
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds until an answer begins; 65,000 without. */
  readonly timeoutMs?: number;
  /** How often a request that may be repeated is sent again; 2 without. */
  readonly retries?: number;
  readonly fetch?: typeof fetch;
  /** Where the session is kept; in browsers `localStorage`, elsewhere only in memory. Null: in memory. */
  readonly storage?: SessionStorage | null;
  /** Schema of the tables; the server's first without. */
  readonly schema?: string;
}

export interface ClientConfig extends ClientOptions {
  readonly url: string;
  readonly apiKey?: string | undefined;
}

/** Types of a client: of its functions and its tables. */
export interface ClientTypes {
  readonly functions?: FunctionTypes;
  readonly tables?: TableTypes;
}

type FunctionsOf<Types extends ClientTypes> = Types["functions"] extends FunctionTypes ? Types["functions"]
  : Record<never, never>;

type TablesOf<Types extends ClientTypes> = Types["tables"] extends TableTypes ? Types["tables"] : Record<never, never>;

const TIMEOUT_MS = 65_000;
const RETRIES = 2;

export class FluxbaseClient<Types extends ClientTypes = ClientTypes> {
  readonly functions: FunctionsClient<FunctionsOf<Types>>;
  readonly auth: AuthClient;
  /** Calls that are answered later, and what schedules and hooks have made. */
  readonly tasks: TasksClient;
  /** When functions are called without a client. */
  readonly schedules: SchedulesClient;
  /** Settings that are public, and settings and secrets of the user who is signed in. */
  readonly settings: SettingsClient;
  readonly keys: KeysClient;
  /** Secrets of the server, with versions; `admin.settings` has the same ones. */
  readonly secrets: SecretsClient;
  readonly admin: {
    readonly functions: AdminFunctionsClient<FunctionsOf<Types>>;
    /** Settings and secrets of the server. */
    readonly settings: SettingsClient;
    readonly serviceKeys: KeysClient;
    readonly alerts: AlertsClient;
    readonly database: DatabaseClient;
    readonly auditLog: AuditLogClient;
    readonly hooks: HooksClient;
    readonly language: LanguageClient;
    readonly server: ServerClient;
    readonly limits: LimitsClient;
    readonly metrics: MetricsClient;
    readonly logLevel: LogLevelClient;
    readonly nodes: NodesClient;
    readonly config: ConfigClient;
    readonly backups: BackupsClient;
    readonly users: UsersClient;
  };
  readonly #http: Http;
  readonly #schema: string | undefined;

  /**
   * @example
   * const client = new FluxbaseClient({ url: "http://localhost:8080", apiKey: process.env.FLUXBASE_CLIENT_KEY });
   * const same = new FluxbaseClient("http://localhost:8080", process.env.FLUXBASE_CLIENT_KEY);
   */
  constructor(config: ClientConfig);
  constructor(url: string, apiKey?: string, options?: ClientOptions);
  constructor(first: string | ClientConfig, apiKey?: string, options: ClientOptions = {}) {
    const config: ClientConfig = typeof first === "string" ? { ...options, url: first, apiKey } : first;
    const url = serverUrl(config.url);
    const key = config.apiKey || undefined;
    const storage = config.storage === undefined ? defaultStorage() : config.storage;
    this.auth = new AuthClient(() => this.#http, storage, `fluxbase.session.${new URL(url).host}`);
    this.#schema = config.schema;
    this.#http = createHttp({
      url,
      fetch: config.fetch ?? ((input, init) => fetch(input, init)),
      headers: config.headers ?? {},
      timeoutMs: config.timeoutMs ?? TIMEOUT_MS,
      retries: config.retries ?? RETRIES,
      renew: () => this.auth.renew(),
      credentials: async ({ withoutUser }) => {
        const token = (withoutUser ? null : await this.auth.accessToken()) ?? key;
        return {
          ...(key === undefined ? {} : { apikey: key }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        };
      },
    });
    this.functions = new FunctionsClient(this.#http);
    this.tasks = new TasksClient(this.#http);
    this.schedules = new SchedulesClient(this.#http);
    this.settings = new SettingsClient(this.#http, "user");
    this.keys = new KeysClient(this.#http, "client");
    this.secrets = new SecretsClient(this.#http);
    this.admin = {
      functions: new AdminFunctionsClient(this.#http),
      settings: new SettingsClient(this.#http, "server"),
      serviceKeys: new KeysClient(this.#http, "service"),
      alerts: new AlertsClient(this.#http),
      database: new DatabaseClient(this.#http),
      auditLog: new AuditLogClient(this.#http),
      hooks: new HooksClient(this.#http),
      language: new LanguageClient(this.#http),
      server: new ServerClient(this.#http),
      limits: new LimitsClient(this.#http),
      metrics: new MetricsClient(this.#http),
      logLevel: new LogLevelClient(this.#http),
      nodes: new NodesClient(this.#http),
      config: new ConfigClient(this.#http),
      backups: new BackupsClient(this.#http),
      users: new UsersClient(this.#http),
    };
  }

  /** Rows of a table or view. */
  from<Name extends (keyof TablesOf<Types> & string) | (string & Record<never, never>)>(
    table: Name,
  ): Table<RowOf<TablesOf<Types>, Name>> {
    return new Table(this.#http, table, this.#schema);
  }

  /** Rows and functions of another schema that the server serves. */
  schema(name: string): Schema {
    return {
      from: (table) => new Table(this.#http, table, name),
      rpc: (called, args = {}, options = {}) => rpc(this.#http, called, args, { ...options, schema: name }),
    };
  }

  /** Calls a function of SQL. */
  // deno-lint-ignore no-explicit-any -- the answer of an undescribed function may be used freely
  rpc<Data = any>(
    name: string,
    args: Readonly<Record<string, unknown>> = {},
    options: { readonly count?: CountKind } = {},
  ): Query<Data> {
    return rpc(this.#http, name, args, { ...options, schema: this.#schema });
  }
}

export interface Schema {
  from(table: string): Table<RowOf<Record<never, never>, string>>;
  // deno-lint-ignore no-explicit-any -- as of the client
  rpc<Data = any>(
    name: string,
    args?: Readonly<Record<string, unknown>>,
    options?: { readonly count?: CountKind },
  ): Query<Data>;
}

/**
 * @example
 * const client = createClient("http://localhost:8080", key);
 */
export function createClient<Types extends ClientTypes = ClientTypes>(
  url: string,
  apiKey?: string,
  options?: ClientOptions,
): FluxbaseClient<Types> {
  return new FluxbaseClient<Types>(url, apiKey, options);
}

/** Without a slash at its end. */
function serverUrl(url: string): string {
  try {
    const { protocol } = new URL(url);
    if (protocol === "http:" || protocol === "https:") return url.replace(/\/+$/, "");
  } catch {
    // Said below.
  }
  throw new FluxbaseError(`"${url}" is no URL of a server: use one such as http://localhost:8080`, {
    status: 0,
    code: "INVALID_ARGUMENT",
  });
}

function defaultStorage(): SessionStorage | null {
  try {
    return "document" in globalThis ? globalThis.localStorage ?? null : null;
  } catch {
    // A browser that allows none.
    return null;
  }
}

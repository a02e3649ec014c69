/**
 * Functions: calling them, and managing them.
 *
 * @module
 */
import type {
  Canary,
  CapturedRequestView,
  Execution,
  ExecutionDetails,
  ExecutionStatus,
  FunctionDetails,
  FunctionSummary,
  FunctionVersion,
  FunctionVersionDetails,
  LogEntry,
  LogLevel,
  Metrics,
  MetricsBy,
  MetricsStep,
  QueuedTask,
  ReloadAnswer,
  ReplayAnswer,
  SharedModule,
  SharedModuleDetails,
  SyncAnswer,
} from "@fluxbase/contract";
import { errorOf } from "./errors.ts";
import { placeOf } from "./place.ts";
import { decode, type Http, type RequestOptions } from "./http.ts";

const FOLLOW_AGAIN_MS = 500;
const ALL_LOGS = "/api/v1/admin/functions/logs";

/** Fields of a function as they are sent; each but `name` may be left out. */
export interface FunctionFields {
  readonly code?: string;
  /** Sources by path, for a function of several files. */
  readonly files?: Readonly<Record<string, string>>;
  readonly namespace?: string;
  readonly description?: string | null;
  readonly enabled?: boolean;
  /** Seconds. */
  readonly timeout?: number | null;
  /** MB. */
  readonly memory?: number | null;
  readonly max_response_bytes?: number | null;
  /** All of it; see `env_changes` of a change for single variables. */
  readonly env?: Readonly<Record<string, string>>;
  readonly permissions?: {
    /** What the function's own service-role key may do: "namespace" (as without) or "admin", which only admins may grant. */
    readonly service?: "namespace" | "admin";
    readonly net?: boolean | readonly string[] | null;
    readonly env?: boolean | null;
    readonly read?: boolean | null;
    readonly write?: boolean | null;
  };
  readonly allow_unauthenticated?: boolean | null;
  readonly is_public?: boolean | null;
  readonly cors_origins?: string | readonly string[] | null;
  readonly cors_methods?: string | readonly string[] | null;
  readonly cors_headers?: string | readonly string[] | null;
  readonly cors_credentials?: boolean | null;
  readonly cors_max_age?: number | null;
  /** Such as `100/min` or `100/min,1000/hour`. */
  readonly rate_limit?: string | null;
  /** A schedule, such as `0 9 * * MON-FRI Europe/Paris`. */
  readonly cron_schedule?: string | null;
  readonly isolation?: "shared" | "request" | null;
  /** "strip": the path that the function sees begins behind its name. */
  readonly base_path?: "keep" | "strip" | "full" | null;
  /** "none": who may call is the function's business, and so is every `Authorization`. */
  readonly auth?: "platform" | "none" | null;
  /** "off": the function answers OPTIONS itself. */
  readonly cors?: "on" | "off" | null;
  /** Public paths of its own, such as `GET /shop/*`. */
  readonly routes?: string | readonly string[] | null;
  readonly disable_execution_logs?: boolean | null;
  /** How requests are signed, such as `stripe STRIPE_WEBHOOK_SECRET`: others get 401. */
  readonly verify?: string | null;
  /** Every call is answered 202 and becomes a task. */
  readonly respond_async?: boolean | null;
  /** Attempts of a task after the first, 0 to 100. */
  readonly retries?: number | null;
  /** Tasks that run at once, over all servers, 1 to 1,000. */
  readonly task_concurrency?: number | null;
  /** Which requests are kept, without credentials, to be run again. */
  readonly capture?: "none" | "errors" | "all" | null;
  /** Events of the authentication that the server asks it about; only for admins. */
  readonly hooks?: string | readonly string[] | null;
  readonly [field: string]: unknown;
}

export interface NewFunction extends FunctionFields {
  readonly name: string;
}

export interface DeployOptions {
  /** Refuse what does not build (422) instead of keeping it beside the version that works. */
  readonly strict?: boolean;
}

/** What is left out stays as it is. */
export interface FunctionChange extends FunctionFields {
  /** Variables of the environment that are set, or taken away with null; the others stay. */
  readonly env_changes?: Readonly<Record<string, string | null>>;
}

export interface UpdateOptions extends DeployOptions {
  readonly namespace?: string;
  /** Refuse (409 `VERSION_CONFLICT`) when the function has another version by now. */
  readonly if_version?: number;
  /** The new version is tried with so many of 100 calls over HTTP, 1 to 99; the live one gets the others. */
  readonly canary?: number;
}

export interface ListFunctions {
  readonly namespace?: string;
  /** In the name or the namespace. */
  readonly text?: string;
  /** All of them without; at most 1,000. */
  readonly limit?: number;
  /** The last one of the page before, as `namespace/name`. */
  readonly after?: string;
}

export interface InvokeOptions {
  /** What is no string is sent as JSON. */
  readonly body?: unknown;
  readonly headers?: HeadersInit;
  /** POST without. */
  readonly method?: string;
  readonly namespace?: string;
  readonly signal?: AbortSignal;
  /** What follows the function's own path, such as `/users/1`. */
  readonly path?: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
}

/** What goes along when a function is deleted. */
export interface RemovedWith {
  readonly tasks: number;
  readonly schedules: number;
  readonly hooks: number;
}

/** When and how often a queued call is run. */
export interface EnqueueOptions {
  /** Such as `90s` or `2h`, or seconds. */
  readonly delay?: string | number;
  /** Instead of a delay: an instant. */
  readonly runAt?: Date | string;
  /** Attempts after the first; as the function has them without. */
  readonly retries?: number;
  /** The same key is the same task, for a day. */
  readonly dedupeKey?: string;
  readonly namespace?: string;
  readonly method?: string;
  readonly path?: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: HeadersInit;
}

export interface ListExecutions {
  /** The `X-Request-ID` that a call was made with. */
  readonly request_id?: string;
  readonly limit?: number;
  /** At most 10,000; `cursor` goes further, and as fast. */
  readonly offset?: number;
  /** Of the last execution of the page before. */
  readonly cursor?: string;
  readonly version?: number;
  readonly status?: ExecutionStatus;
  /** Of HTTP. */
  readonly status_code?: number;
  /** Of the error, such as `WALL_LIMIT`. */
  readonly code?: string;
  readonly user_id?: string;
  readonly trigger?: string;
  /** Of the trace that they belong to: 32 digits. */
  readonly trace_id?: string;
  /** Only those whose request was kept, or whose was not. */
  readonly captured?: boolean;
  /** In the message of the error. */
  readonly text?: string;
  /** An instant such as `2026-01-31T12:00:00Z`. */
  readonly since?: string;
  readonly until?: string;
  readonly namespace?: string;
}

export interface ListLogs {
  readonly limit?: number;
  /** Of the last line of the page before. */
  readonly cursor?: string;
  readonly level?: LogLevel;
  readonly since?: string;
  readonly until?: string;
  /** In the message. */
  readonly text?: string;
  readonly execution_id?: string;
  readonly namespace?: string;
}

export interface FollowLogs extends Omit<ListLogs, "limit" | "cursor"> {
  /** So many lines of the past come first: 1,000 at most, and without it. */
  readonly tail?: number;
  readonly signal?: AbortSignal;
  /** Told when up to so many lines are missing, because they came faster than they were read. */
  readonly onLeftOut?: (lines: number) => void;
}

export interface NewSharedModule {
  /** With or without `_shared/`. */
  readonly module_path: string;
  readonly content: string;
  readonly description?: string | null;
}

export interface SyncInput {
  readonly namespace?: string;
  readonly functions: readonly NewFunction[];
  readonly delete_missing?: boolean;
  readonly dry_run?: boolean;
}

/** What is sent to each function and what it answers, by name: `{ hello: { input: {…}; output: {…} } }`; interfaces, too. */
export type FunctionTypes = object;

type InputOf<Types, Name> = Name extends keyof Types ? Types[Name] extends { input?: infer Input } ? Input : unknown
  : unknown;
// deno-lint-ignore no-explicit-any -- an answer of an undescribed function may be used freely
type OutputOf<Types, Name> = Name extends keyof Types ? Types[Name] extends { output?: infer Output } ? Output : any
  // deno-lint-ignore no-explicit-any
  : any;

const OPTION_NAMES = new Set(["body", "headers", "method", "namespace", "signal", "path", "query"]);
const BASE = "/api/v1/functions";

export class FunctionsClient<Types extends FunctionTypes = Record<never, never>> {
  protected readonly http: Http;

  constructor(http: Http) {
    this.http = http;
  }

  /**
   * Calls a function and decodes its answer: JSON, text, or bytes.
   *
   * The second argument is the payload, unless it is an object of nothing but options. With a third one it always is.
   *
   * @example
   * await client.functions.invoke("hello-world", { name: "Alice" });
   * await client.functions.invoke("payment-service/process-payment", { body: JSON.stringify({ amount: 100 }) });
   */
  async invoke<Name extends (keyof Types & string) | (string & Record<never, never>)>(
    name: Name,
    payloadOrOptions?: InputOf<Types, Name> | InvokeOptions,
    options?: InvokeOptions,
  ): Promise<OutputOf<Types, Name>> {
    const chosen: InvokeOptions = options !== undefined
      ? { body: payloadOrOptions, ...options }
      : isOptions(payloadOrOptions)
      ? payloadOrOptions
      : { body: payloadOrOptions };
    const response = await this.#call(name, chosen);
    if (response.status >= 400) throw await errorOf(response);
    return await decode(response) as OutputOf<Types, Name>;
  }

  /**
   * Stores a call, which is then run until it is answered or its attempts are used up.
   *
   * @example
   * const { task_id } = await client.functions.enqueue("send-mail", { to: "a@example.com" }, { delay: "10m" });
   * const { state, answer } = await client.tasks.get(task_id);
   */
  async enqueue<Name extends (keyof Types & string) | (string & Record<never, never>)>(
    name: Name,
    payload?: InputOf<Types, Name>,
    { delay, runAt, retries, dedupeKey, headers, ...options }: EnqueueOptions = {},
  ): Promise<QueuedTask> {
    const all = new Headers(headers);
    all.set("prefer", "respond-async");
    const when = runAt instanceof Date ? runAt.toISOString() : runAt ?? delay;
    if (when !== undefined) all.set("x-fluxbase-delay", String(when));
    if (retries !== undefined) all.set("x-fluxbase-retries", String(retries));
    // A call that is sent again after a broken connection is still one task.
    all.set("idempotency-key", dedupeKey ?? crypto.randomUUID());
    const response = await this.#call(name, { ...options, body: payload, headers: all });
    if (response.status >= 400) throw await errorOf(response);
    return await response.json();
  }

  /** Calls a function and gives its answer as it is, for streams and statuses of one's own. */
  async fetch(name: string, init: InvokeOptions = {}): Promise<Response> {
    return await this.#call(name, init);
  }

  #call(name: string, { namespace, path = "", method, query, body, headers, signal }: InvokeOptions) {
    const suffix = path === "" || path.startsWith("/") ? path : `/${path}`;
    const verb = method?.toUpperCase() ?? "POST";
    const isBodiless = verb === "GET" || verb === "HEAD";
    const request: RequestOptions = {
      ...(query === undefined ? {} : { query }),
      ...(headers === undefined ? {} : { headers }),
      ...(isBodiless || body === undefined ? {} : { body }),
      signal,
    };
    return this.http.send(verb, `${BASE}/${placeOf(name, namespace)}/invoke${suffix}`, request);
  }

  async create(fn: NewFunction, options: DeployOptions = {}): Promise<FunctionDetails> {
    return await this.http.request("POST", BASE, { body: fn, query: strictness(options) });
  }

  /** By namespace and name. */
  async list(which: string | ListFunctions = {}): Promise<FunctionSummary[]> {
    const query = typeof which === "string" ? { namespace: which } : which;
    return await this.http.request("GET", BASE, { query: { ...query } });
  }

  async get(name: string, options: { readonly namespace?: string } = {}): Promise<FunctionDetails> {
    return await this.http.request("GET", `${BASE}/${placeOf(name, options.namespace)}`);
  }

  async update(
    name: string,
    change: FunctionChange,
    { namespace, strict, if_version, canary }: UpdateOptions = {},
  ): Promise<FunctionDetails> {
    const path = `${BASE}/${placeOf(name, namespace)}`;
    return await this.http.request("PUT", path, { body: change, query: { strict, if_version, canary } });
  }

  /** Says what went along: tasks are cancelled; schedules and hooks of tables come back with `restore`. */
  async delete(name: string, options: { readonly namespace?: string } = {}): Promise<RemovedWith> {
    const response = await this.http.send("DELETE", `${BASE}/${placeOf(name, options.namespace)}`);
    if (response.status >= 400) throw await errorOf(response);
    const removed = response.headers.get("x-fluxbase-removed") ?? "";
    const count = (what: string) => Number(new RegExp(`${what}=(\\d+)`).exec(removed)?.[1] ?? 0);
    return { tasks: count("tasks"), schedules: count("schedules"), hooks: count("hooks") };
  }

  /** Takes a deletion back, within 30 days. */
  async restore(name: string, options: { readonly namespace?: string } = {}): Promise<FunctionDetails> {
    return await this.http.request("POST", `${BASE}/${placeOf(name, options.namespace)}/restore`);
  }

  async getExecutions(name: string, { namespace, ...query }: ListExecutions = {}): Promise<Execution[]> {
    return await this.http.request("GET", `${BASE}/${placeOf(name, namespace)}/executions`, { query });
  }

  /** Everything that is known of one execution of a function, by its id or the `X-Request-ID` that it answered with. */
  async getExecution(
    name: string,
    id: string,
    options: { readonly namespace?: string } = {},
  ): Promise<ExecutionDetails> {
    const path = `${BASE}/${placeOf(name, options.namespace)}/executions/${encodeURIComponent(id)}`;
    return await this.http.request("GET", path);
  }

  /** How many calls there were, how they ended and what they took, by steps of time; of the last hour without `from`. */
  async getMetrics(name: string, { namespace, ...query }: MetricsQuery = {}): Promise<Metrics> {
    return await this.http.request("GET", `${BASE}/${placeOf(name, namespace)}/metrics`, { query: { ...query } });
  }

  async getLogs(name: string, { namespace, ...query }: ListLogs = {}): Promise<LogEntry[]> {
    return await this.http.request("GET", `${BASE}/${placeOf(name, namespace)}/logs`, { query });
  }

  /**
   * Log lines as they are written, whichever server runs the function, also those of calls that go on; the last ones of
   * the past come first. Until the signal aborts.
   *
   * A server ends the stream when it stops and when the access token is over: it is asked again, from the last line on,
   * and what it refuses then is thrown.
   */
  followLogs(
    name: string,
    { namespace, ...query }: FollowLogs = {},
  ): AsyncGenerator<LogEntry, void, void> {
    return this.follow(`${BASE}/${placeOf(name, namespace)}/logs`, query);
  }

  protected async *follow(
    path: string,
    { signal, onLeftOut, ...options }: FollowLogs,
  ): AsyncGenerator<LogEntry, void, void> {
    let { since, tail, ...query } = options;
    let shown = new Set<string>();
    while (!signal?.aborted) {
      try {
        const response = await this.http.send("GET", path, { query: { ...query, since, tail, follow: true }, signal });
        if (response.status >= 400) throw await errorOf(response);
        for await (const { event, data } of serverSentEvents(response)) {
          if (event === "left_out") onLeftOut?.((JSON.parse(data) as { lines: number }).lines);
          if (event !== "message") continue;
          const entry = JSON.parse(data) as LogEntry;
          if (shown.has(entry.id)) continue;
          tail = undefined;
          if (since === undefined || entry.timestamp > since) [since, shown] = [entry.timestamp, new Set()];
          shown.add(entry.id);
          yield entry;
        }
        await new Promise((resolve) => setTimeout(resolve, FOLLOW_AGAIN_MS));
      } catch (error) {
        if (!signal?.aborted) throw error;
      }
    }
  }

  async getVersions(name: string, options: { readonly namespace?: string } = {}): Promise<FunctionVersion[]> {
    return await this.http.request("GET", `${BASE}/${placeOf(name, options.namespace)}/versions`);
  }

  /** The same as `getVersions`. */
  versions(name: string, options: { readonly namespace?: string } = {}): Promise<FunctionVersion[]> {
    return this.getVersions(name, options);
  }

  async getVersion(
    name: string,
    version: number,
    options: { readonly namespace?: string } = {},
  ): Promise<FunctionVersionDetails> {
    return await this.http.request("GET", `${BASE}/${placeOf(name, options.namespace)}/versions/${version}`);
  }

  /** Makes an earlier version live, without building it again. */
  async rollback(
    name: string,
    version: number,
    options: { readonly namespace?: string } = {},
  ): Promise<FunctionDetails> {
    return await this.http.request("POST", `${BASE}/${placeOf(name, options.namespace)}/rollback`, {
      body: { version },
    });
  }

  /** Gives a version so many of 100 calls over HTTP, 1 to 99, beside the live one; `rollback` gives it all of them. */
  async setCanary(
    name: string,
    canary: Canary,
    options: { readonly namespace?: string } = {},
  ): Promise<FunctionDetails> {
    return await this.http.request("PUT", `${BASE}/${placeOf(name, options.namespace)}/canary`, { body: canary });
  }

  /** The live version gets all calls again. */
  async endCanary(name: string, options: { readonly namespace?: string } = {}): Promise<FunctionDetails> {
    return await this.http.request("DELETE", `${BASE}/${placeOf(name, options.namespace)}/canary`);
  }

  async createSharedModule(
    module: NewSharedModule,
    options: { readonly namespace?: string } = {},
  ): Promise<SharedModule> {
    return await this.http.request("POST", `${BASE}/shared`, { body: module, query: options });
  }

  async listSharedModules(options: { readonly namespace?: string } = {}): Promise<SharedModule[]> {
    return await this.http.request("GET", `${BASE}/shared`, { query: options });
  }

  /** With its versions, the functions that import it, and what became of them when it changed. */
  async getSharedModule(
    path: string,
    options: { readonly namespace?: string; readonly version?: number } = {},
  ): Promise<SharedModuleDetails> {
    return await this.http.request("GET", `${BASE}/shared/${encodePath(path)}`, { query: options });
  }

  async updateSharedModule(
    path: string,
    change: { readonly content: string; readonly description?: string | null },
    options: { readonly namespace?: string } = {},
  ): Promise<SharedModule> {
    return await this.http.request("PUT", `${BASE}/shared/${encodePath(path)}`, { body: change, query: options });
  }

  /** With `force` even while functions use it. */
  async deleteSharedModule(
    path: string,
    options: { readonly namespace?: string; readonly force?: boolean } = {},
  ): Promise<void> {
    await this.http.request("DELETE", `${BASE}/shared/${encodePath(path)}`, { query: options });
  }
}

export interface MetricsQuery {
  readonly namespace?: string;
  /** An instant such as `2026-01-31T12:00:00Z`. */
  readonly from?: string;
  readonly to?: string;
  readonly step?: MetricsStep;
  readonly by?: MetricsBy;
}

/** Everything of FunctionsClient, and what is about many functions at once. */
export class AdminFunctionsClient<Types extends FunctionTypes = Record<never, never>> extends FunctionsClient<Types> {
  async sync(input: SyncInput): Promise<SyncAnswer> {
    return await this.http.request("POST", "/api/v1/admin/functions/sync", { body: input, timeoutMs: 600_000 });
  }

  /** Brings the database in step with the functions folder; deletes what is not there. */
  async reload(options: { readonly dry_run?: boolean } = {}): Promise<ReloadAnswer> {
    return await this.http.request("POST", "/api/v1/admin/functions/reload", { query: options, timeoutMs: 600_000 });
  }

  async namespaces(): Promise<string[]> {
    const answer = await this.http.request<{ namespaces: string[] }>("GET", "/api/v1/admin/functions/namespaces");
    return answer.namespaces;
  }

  /** Of all functions; `count` is at most 10,000, and `has_more` says that there are more. */
  async listExecutions(
    query: ListExecutions & { readonly function_name?: string } = {},
  ): Promise<{ readonly executions: readonly Execution[]; readonly count: number; readonly has_more: boolean }> {
    return await this.http.request("GET", "/api/v1/admin/functions/executions", { query: { ...query } });
  }

  /** Everything that is known of one execution of any function. */
  async getExecutionDetails(id: string): Promise<ExecutionDetails> {
    return await this.http.request("GET", `/api/v1/admin/functions/executions/${encodeURIComponent(id)}`);
  }

  /** Runs a captured request again, on the live version or another, and compares the answers. */
  async replay(id: string, options: { readonly version?: number } = {}): Promise<ReplayAnswer> {
    const path = `/api/v1/admin/functions/executions/${encodeURIComponent(id)}/replay`;
    return await this.http.request("POST", path, { body: options, timeoutMs: 600_000 });
  }

  /** A request that was kept, as `replay` runs it again: without credentials. */
  async getCapturedRequest(id: string): Promise<CapturedRequestView> {
    return await this.http.request("GET", requestOf(id));
  }

  /** The record of the execution stays. */
  async deleteCapturedRequest(id: string): Promise<void> {
    await this.http.request("DELETE", requestOf(id));
  }

  /** Of all functions. */
  async listLogs(query: ListLogs & { readonly function_name?: string } = {}): Promise<LogEntry[]> {
    return await this.http.request("GET", ALL_LOGS, { query: { ...query } });
  }

  /** Those of all functions as they are written, as `followLogs` does. */
  followAllLogs(
    query: FollowLogs & { readonly function_name?: string } = {},
  ): AsyncGenerator<LogEntry, void, void> {
    return this.follow(ALL_LOGS, query);
  }

  /** Log lines of one execution, in their order. */
  async getExecutionLogs(id: string, options: { readonly after_line?: number } = {}): Promise<LogEntry[]> {
    const path = `/api/v1/admin/functions/executions/${encodeURIComponent(id)}/logs`;
    return (await this.http.request<{ entries: LogEntry[] }>("GET", path, { query: options })).entries;
  }
}

function requestOf(id: string): string {
  return `/api/v1/admin/functions/executions/${encodeURIComponent(id)}/request`;
}

/** An object of nothing but options, and of at least one. */
function isOptions(value: unknown): value is InvokeOptions {
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
  const names = Object.keys(value);
  return names.length > 0 && names.every((name) => OPTION_NAMES.has(name));
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function strictness({ strict }: DeployOptions): Readonly<Record<string, boolean | undefined>> {
  return { strict };
}

/** The events of a text/event-stream that have data. */
async function* serverSentEvents(
  response: Response,
): AsyncGenerator<{ readonly event: string; readonly data: string }, void, void> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const lines of events.map((event) => event.split("\n"))) {
        const fieldsOf = (name: string) =>
          lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart());
        const data = fieldsOf("data");
        if (data.length > 0) yield { event: fieldsOf("event")[0] ?? "message", data: data.join("\n") };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

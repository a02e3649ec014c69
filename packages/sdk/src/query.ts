/**
 * Rows of tables: a statement is put together by methods, and sent when it is awaited.
 *
 * @module
 */
import { errorOf, FluxbaseError } from "./errors.ts";
import { decode, type Http } from "./http.ts";

/** Rows by table: `{ users: { id: number; name: string } }`. `fluxbase types` writes it. */
export type TableTypes = object;
// deno-lint-ignore no-explicit-any -- rows of undescribed tables may be used freely
export type RowOf<Tables, Name> = Name extends keyof Tables ? Tables[Name] : any;

export type Result<Data> =
  | { readonly data: Data; readonly error: null; readonly count: number | null; readonly status: number }
  | { readonly data: null; readonly error: FluxbaseError; readonly count: null; readonly status: number };

export type CountKind = "exact" | "planned" | "estimated";
type Value = string | number | boolean | null | Date;

export interface OrderOptions {
  /** True without. */
  readonly ascending?: boolean;
  readonly nullsFirst?: boolean;
  /** Of rows of this related table. */
  readonly foreignTable?: string;
}

interface Statement {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: unknown;
  readonly signal: AbortSignal | undefined;
  /** How many rows the answer is. */
  readonly shape: "many" | "one" | "maybe";
  readonly throws: boolean;
}

/** Awaiting it sends it; so does `execute()`. Each method gives another statement and leaves this one as it is. */
export class Query<Data> implements PromiseLike<Result<Data>> {
  readonly #http: Http;
  readonly #statement: Statement;

  constructor(http: Http, statement: Statement) {
    this.#http = http;
    this.#statement = statement;
  }

  #with<Other = Data>(change: Partial<Statement>): Query<Other> {
    return new Query<Other>(this.#http, { ...this.#statement, ...change });
  }

  #filtered(name: string, value: string): Query<Data> {
    const query = new URLSearchParams(this.#statement.query);
    query.append(name, value);
    return this.#with({ query });
  }

  #set(name: string, value: string): Query<Data> {
    const query = new URLSearchParams(this.#statement.query);
    query.set(name, value);
    return this.#with({ query });
  }

  #preferring(preference: string): Query<Data> {
    const headers = new Headers(this.#statement.headers);
    headers.append("prefer", preference);
    return this.#with({ headers });
  }

  eq(column: string, value: Value): Query<Data> {
    return this.#filtered(column, value === null ? "is.null" : `eq.${textOf(value)}`);
  }
  neq(column: string, value: Value): Query<Data> {
    return this.#filtered(column, value === null ? "not.is.null" : `neq.${textOf(value)}`);
  }
  gt(column: string, value: Value): Query<Data> {
    return this.#filtered(column, `gt.${textOf(value)}`);
  }
  gte(column: string, value: Value): Query<Data> {
    return this.#filtered(column, `gte.${textOf(value)}`);
  }
  lt(column: string, value: Value): Query<Data> {
    return this.#filtered(column, `lt.${textOf(value)}`);
  }
  lte(column: string, value: Value): Query<Data> {
    return this.#filtered(column, `lte.${textOf(value)}`);
  }
  like(column: string, pattern: string): Query<Data> {
    return this.#filtered(column, `like.${pattern}`);
  }
  ilike(column: string, pattern: string): Query<Data> {
    return this.#filtered(column, `ilike.${pattern}`);
  }
  is(column: string, value: null | boolean): Query<Data> {
    return this.#filtered(column, `is.${value}`);
  }
  in(column: string, values: readonly Value[]): Query<Data> {
    return this.#filtered(column, `in.(${values.map((value) => quoted(textOf(value))).join(",")})`);
  }
  /** Arrays, ranges, and JSON. */
  contains(column: string, value: string | readonly Value[] | object): Query<Data> {
    return this.#filtered(column, `cs.${container(value)}`);
  }
  containedBy(column: string, value: string | readonly Value[] | object): Query<Data> {
    return this.#filtered(column, `cd.${container(value)}`);
  }
  overlaps(column: string, value: string | readonly Value[]): Query<Data> {
    return this.#filtered(column, `ov.${container(value)}`);
  }
  textSearch(
    column: string,
    query: string,
    { config, type }: { readonly config?: string; readonly type?: "plain" | "phrase" | "websearch" } = {},
  ): Query<Data> {
    const operator = type === undefined ? "fts" : { plain: "plfts", phrase: "phfts", websearch: "wfts" }[type];
    return this.#filtered(column, `${operator}${config === undefined ? "" : `(${config})`}.${query}`);
  }
  match(values: Readonly<Record<string, Value>>): Query<Data> {
    // deno-lint-ignore no-this-alias -- each step is another statement
    let query: Query<Data> = this;
    for (const [column, value] of Object.entries(values)) query = query.eq(column, value);
    return query;
  }
  /** Any operator by its name, such as `filter("age", "gte", "18")`. */
  filter(column: string, operator: string, value: Value): Query<Data> {
    return this.#filtered(column, `${operator}.${textOf(value)}`);
  }
  not(column: string, operator: string, value: Value): Query<Data> {
    return this.#filtered(column, `not.${operator}.${textOf(value)}`);
  }
  /** Such as `or("age.lt.18,age.gt.65")`. */
  or(filters: string, { foreignTable }: { readonly foreignTable?: string } = {}): Query<Data> {
    return this.#filtered(foreignTable === undefined ? "or" : `${foreignTable}.or`, `(${filters})`);
  }
  and(filters: string, { foreignTable }: { readonly foreignTable?: string } = {}): Query<Data> {
    return this.#filtered(foreignTable === undefined ? "and" : `${foreignTable}.and`, `(${filters})`);
  }

  /** After an insert, update or delete: which columns of the changed rows to give back. */
  select(columns = "*"): Query<Data extends null ? Record<string, unknown>[] : Data> {
    const headers = new Headers(this.#statement.headers);
    headers.append("prefer", "return=representation");
    const query = new URLSearchParams(this.#statement.query);
    query.set("select", plain(columns));
    return this.#with({ headers, query });
  }
  order(column: string, { ascending = true, nullsFirst, foreignTable }: OrderOptions = {}): Query<Data> {
    const name = foreignTable === undefined ? "order" : `${foreignTable}.order`;
    const nulls = nullsFirst === undefined ? "" : nullsFirst ? ".nullsfirst" : ".nullslast";
    const before = this.#statement.query.get(name);
    const term = `${column}.${ascending ? "asc" : "desc"}${nulls}`;
    return this.#set(name, before === null ? term : `${before},${term}`);
  }
  limit(count: number, { foreignTable }: { readonly foreignTable?: string } = {}): Query<Data> {
    return this.#set(foreignTable === undefined ? "limit" : `${foreignTable}.limit`, String(count));
  }
  offset(count: number): Query<Data> {
    return this.#set("offset", String(count));
  }
  /** From and to, both included, counting from 0. */
  range(from: number, to: number): Query<Data> {
    return this.offset(from).limit(to - from + 1);
  }
  /** Texts up to so many characters, to look over long ones. */
  truncate(length: number): Query<Data> {
    return this.#set("truncate", String(length));
  }
  /** Exactly one row, as an object; anything else is an error. */
  single(): Query<Data extends readonly (infer Row)[] ? Row : Data> {
    return this.#with({ shape: "one" });
  }
  /** One row as an object, or null. */
  maybeSingle(): Query<Data extends readonly (infer Row)[] ? Row | null : Data | null> {
    return this.#with({ shape: "maybe" });
  }
  count(kind: CountKind): Query<Data> {
    return this.#preferring(`count=${kind}`);
  }
  abortSignal(signal: AbortSignal): Query<Data> {
    return this.#with({ signal });
  }
  /** An error is thrown rather than given back. */
  throwOnError(): Query<Data> {
    return this.#with({ throws: true });
  }

  async execute(): Promise<Result<Data>> {
    const { throws } = this.#statement;
    try {
      return await this.#send();
    } catch (error) {
      if (throws || !(error instanceof FluxbaseError)) throw error;
      return { data: null, error, count: null, status: error.status };
    }
  }

  then<Fulfilled = Result<Data>, Rejected = never>(
    onFulfilled?: ((value: Result<Data>) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.execute().then(onFulfilled, onRejected);
  }

  async #send(): Promise<Result<Data>> {
    const { method, path, query, headers, body, signal, shape } = this.#statement;
    const response = await this.#http.send(method, path, {
      query,
      headers: shape === "one" ? withHeader(headers, "accept", "application/vnd.pgrst.object+json") : headers,
      signal,
      ...(body === undefined ? {} : { body }),
    });
    if (response.status >= 400) throw await errorOf(response);
    const { status } = response;
    const total = response.headers.get("content-range")?.split("/")[1];
    const count = total === undefined || total === "*" ? null : Number(total);
    const data = method === "HEAD" ? null : await decode(response) ?? null;
    if (shape !== "maybe" || !Array.isArray(data)) return { data: data as Data, error: null, count, status };
    if (data.length > 1) {
      throw new FluxbaseError(`One row was expected, and ${data.length} were found`, {
        status: 406,
        code: "PGRST116",
        requestId: response.headers.get("x-request-id"),
      });
    }
    return { data: (data[0] ?? null) as Data, error: null, count, status };
  }
}

export interface WriteOptions {
  readonly count?: CountKind;
}

export interface UpsertOptions extends WriteOptions {
  /** Columns that decide which row is the same, such as `id` or `team,name`. */
  readonly onConflict?: string;
  readonly ignoreDuplicates?: boolean;
}

/** One table, before it is said what to do with it. */
export class Table<Row> {
  readonly #http: Http;
  readonly #path: string;
  readonly #schema: string | undefined;

  constructor(http: Http, name: string, schema: string | undefined) {
    this.#http = http;
    this.#path = `/rest/v1/${encodeURIComponent(name)}`;
    this.#schema = schema;
  }

  select(
    columns = "*",
    { count, head = false }: { readonly count?: CountKind; readonly head?: boolean } = {},
  ): Query<Row[]> {
    return this.#query(head ? "HEAD" : "GET", { query: { select: plain(columns) }, count });
  }
  /** Gives back nothing, unless `.select()` follows. */
  insert(rows: Partial<Row> | readonly Partial<Row>[], { count }: WriteOptions = {}): Query<null> {
    return this.#query("POST", { body: rows, query: columnsOf(rows), count });
  }
  /** Inserts, and updates what is there already. */
  upsert(
    rows: Partial<Row> | readonly Partial<Row>[],
    { count, onConflict, ignoreDuplicates = false }: UpsertOptions = {},
  ): Query<null> {
    return this.#query("POST", {
      body: rows,
      query: { ...columnsOf(rows), ...(onConflict === undefined ? {} : { on_conflict: onConflict }) },
      count,
      prefer: `resolution=${ignoreDuplicates ? "ignore" : "merge"}-duplicates`,
    });
  }
  /** Of the rows that the filters which follow leave. */
  update(change: Partial<Row>, { count }: WriteOptions = {}): Query<null> {
    return this.#query("PATCH", { body: change, count });
  }
  delete({ count }: WriteOptions = {}): Query<null> {
    return this.#query("DELETE", { count });
  }

  #query<Data>(
    method: string,
    { query = {}, body, count, prefer }: {
      readonly query?: Readonly<Record<string, string>>;
      readonly body?: unknown;
      readonly count?: CountKind | undefined;
      readonly prefer?: string;
    },
  ): Query<Data> {
    const headers = new Headers();
    if (this.#schema !== undefined) {
      headers.set(method === "GET" || method === "HEAD" ? "accept-profile" : "content-profile", this.#schema);
    }
    if (prefer !== undefined) headers.append("prefer", prefer);
    if (count !== undefined) headers.append("prefer", `count=${count}`);
    return new Query<Data>(this.#http, {
      method,
      path: this.#path,
      query: new URLSearchParams(query),
      headers,
      body,
      signal: undefined,
      shape: "many",
      throws: false,
    });
  }
}

/** Calls a function of SQL. */
export function rpc<Data>(
  http: Http,
  name: string,
  args: Readonly<Record<string, unknown>>,
  { schema, count }: { readonly schema: string | undefined; readonly count?: CountKind },
): Query<Data> {
  const headers = new Headers(schema === undefined ? {} : { "content-profile": schema });
  if (count !== undefined) headers.append("prefer", `count=${count}`);
  return new Query<Data>(http, {
    method: "POST",
    path: `/rest/v1/rpc/${encodeURIComponent(name)}`,
    query: new URLSearchParams(),
    headers,
    body: args,
    signal: undefined,
    shape: "many",
    throws: false,
  });
}

function textOf(value: Value): string {
  return value instanceof Date ? value.toISOString() : String(value);
}

/** As a list needs it. */
function quoted(text: string): string {
  return /[,()"\\\s]/.test(text) || text === "" ? `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : text;
}

function container(value: string | readonly Value[] | object): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return JSON.stringify(value);
  return `{${value.map((item) => quoted(textOf(item))).join(",")}}`;
}

/** Without the white space that is written for the eye. */
function plain(columns: string): string {
  return columns.split(/("[^"]*")/).map((part, index) => index % 2 === 0 ? part.replaceAll(/\s+/g, "") : part).join("");
}

/** All columns of several rows, so that one that only some have is not lost. */
function columnsOf(rows: object | readonly object[]): Readonly<Record<string, string>> {
  if (!Array.isArray(rows)) return {};
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  return names.size === 0 ? {} : { columns: [...names].map((name) => `"${name}"`).join(",") };
}

function withHeader(headers: Headers, name: string, value: string): Headers {
  const changed = new Headers(headers);
  changed.set(name, value);
  return changed;
}

/**
 * Routes for rows of the user's tables: as PostgREST has them below `/rest/v1`, and below `/api/v1/tables`.
 *
 * @module
 */
import { DEFAULT_NAMESPACE, PlatformError, type SqlAnswer } from "@fluxbase/contract";
import { z } from "zod";
import { type Caller, userOf } from "../auth/caller.ts";
import { assertMay, isAdmin, reaches } from "../auth/permissions.ts";
import type { SqlConsole } from "../tables/console.ts";
import type { TableCaller } from "../tables/sessions.ts";
import { TableError } from "../tables/table_error.ts";
import type { TableRequest, Tables } from "../tables/tables.ts";
import type { ApiAnswer, ApiCall, Route } from "./route.ts";

type Verb = Route["method"];

const SQL_SHAPE = 'send {"sql": "select …", "parameters": [ … ]}';
const sqlSchema = z.strictObject({
  sql: z.string(SQL_SHAPE).min(1, SQL_SHAPE),
  parameters: z.array(z.union([z.string(), z.number(), z.boolean(), z.null()]), SQL_SHAPE).optional(),
}, SQL_SHAPE);
const sqlResultSchema = z.object({
  command: z.string(),
  row_count: z.int(),
  columns: z.array(z.string()),
  rows: z.array(z.record(z.string(), z.unknown())),
}) satisfies z.ZodType<SqlAnswer>;

const PROCEDURE_SHAPE = 'send {"params": { … }}';
const procedureSchema = z.object({
  params: z.record(z.string(), z.unknown(), PROCEDURE_SHAPE).nullish(),
  async: z.boolean(PROCEDURE_SHAPE).nullish(),
}, PROCEDURE_SHAPE);

const READS: ReadonlySet<string> = new Set(["GET", "HEAD"]);
const ALL: readonly Verb[] = ["GET", "POST", "PATCH", "DELETE"];
const WORDS: Readonly<Record<Verb, string>> = {
  GET: "Reads rows",
  POST: "Inserts rows",
  PUT: "Inserts a row or replaces it",
  PATCH: "Changes the rows that the filters leave",
  DELETE: "Deletes the rows that the filters leave",
};

/** Undefined: the server could not set up what tables need in the database. */
export function tableRoutes(found: { readonly tables: Tables; readonly console: SqlConsole } | undefined): Route[] {
  return [
    {
      method: "POST",
      path: "/admin/database/query",
      summary: "Run SQL as the role of functions; returns the rows of the last statement",
      access: "admin",
      body: sqlSchema,
      answer: { status: 200, schema: sqlResultSchema },
      handle: runSql,
    },
    ...([...ALL, "PUT"] as const).map((method) =>
      route(
        method,
        "/rest/v1/{table}",
        WORDS[method],
        (call) => rows(call, { schema: profileOf(call), isRest: true }),
        true,
      )
    ),
    ...(["GET", "POST"] as const).map((method) =>
      route(method, "/rest/v1/rpc/{function}", "Calls a function of SQL", (call) => rpc(call, profileOf(call)), true)
    ),
    ...(["GET", "POST"] as const).map((method) =>
      route(method, "/rpc/{function}", "Calls a function of SQL", (call) => rpc(call, profileOf(call)))
    ),
    route("POST", "/rpc/{namespace}/{function}", "Calls a function of SQL, with its arguments as `params`", procedure),
    ...ALL.map((method) =>
      route(method, "/tables/{table}", WORDS[method], (call) => rows(call, { schema: profileOf(call) }))
    ),
    route("POST", "/tables/{table}/query", "Reads rows; the query is the body", queryRows),
    route("POST", "/tables/{schema}/{table}/query", "Reads rows; the query is the body", queryRows),
    ...ALL.map((method) =>
      route(
        method,
        "/tables/{first}/{second}",
        `${WORDS[method]} of a table in a schema, or one row by its id`,
        (call) => {
          const { first = "", second = "" } = call.params;
          return present().tables.schemas.includes(first)
            ? rows(call, { schema: first, table: second })
            : rows(call, { schema: profileOf(call), table: first, id: second });
        },
      )
    ),
    ...(["GET", "PATCH", "DELETE"] as const).map((method) =>
      route(
        method,
        "/tables/{schema}/{table}/{id}",
        `${WORDS[method]}: one by its id`,
        (call) => rows(call, { schema: call.params["schema"] ?? "", id: call.params["id"] ?? "" }),
      )
    ),
  ];

  function present(): { readonly tables: Tables; readonly console: SqlConsole } {
    if (found !== undefined) return found;
    throw new PlatformError(
      "FEATURE_DISABLED",
      "Tables are switched off: the server may not make the database or the roles that they need in its Postgres",
    );
  }

  async function runSql(call: ApiCall): Promise<ApiAnswer> {
    const { data, error } = sqlSchema.safeParse(await call.body());
    if (data === undefined) throw invalidQuery(error.issues[0]?.message ?? "it is no object");
    const { console } = present();
    return await answering(call, async () => {
      const result = await console.run(data.sql, data.parameters ?? []);
      return {
        status: 200,
        headers: [["content-type", "application/json; charset=utf-8"]],
        text: JSON.stringify(result),
      };
    });
  }

  /** The schema that clients of PostgREST name in a header. */
  function profileOf({ headers, method }: ApiCall): string {
    const named = headers.get(READS.has(method) ? "accept-profile" : "content-profile");
    return named ?? present().tables.schemas[0] ?? "public";
  }

  async function rows(
    call: ApiCall,
    { schema, table = call.params["table"] ?? "", id, isRest = false }: {
      readonly schema: string;
      readonly table?: string;
      readonly id?: string;
      readonly isRest?: boolean;
    },
  ): Promise<ApiAnswer> {
    const params = new URLSearchParams(call.query);
    if (id !== undefined) params.append(await keyOf(schema, table), `eq.${id}`);
    return await answering(call, async () =>
      await present().tables.rows({
        ...await requestOf(call, schema),
        name: table,
        params,
        returnsRows: !isRest,
        isSingle: id !== undefined,
        isRest,
      }));
  }

  async function keyOf(schema: string, table: string): Promise<string> {
    const key = (await present().tables.schema()).relation(schema, table)?.primaryKey ?? [];
    return key.length === 1 ? key[0] ?? "id" : "id";
  }

  /** As other clients of the system call functions of SQL: `{"params": {…}}`, in a namespace that is a schema. */
  async function procedure(call: ApiCall): Promise<ApiAnswer> {
    const { data, error } = procedureSchema.safeParse(await call.body());
    if (data === undefined) throw invalidQuery(error.issues[0]?.message ?? "it is no object");
    if (data.async) {
      throw new PlatformError(
        "NOT_AVAILABLE",
        "Functions of SQL are answered at once on this server: leave out `async`",
      );
    }
    const { namespace = "" } = call.params;
    const body = JSON.stringify(data.params ?? {});
    const startMs = Date.now();
    const answered = await rpc(
      { ...call, text: () => Promise.resolve(body) },
      namespace === DEFAULT_NAMESPACE ? profileOf(call) : namespace,
    );
    if (answered.status >= 300) return answered;
    const result = typeof answered.text === "string" ? JSON.parse(answered.text) : null;
    return {
      status: 200,
      body: {
        execution_id: call.requestId,
        status: "completed",
        result,
        rows_returned: Array.isArray(result) ? result.length : result === null ? 0 : 1,
        duration_ms: Date.now() - startMs,
      },
    };
  }

  async function rpc(call: ApiCall, schema: string): Promise<ApiAnswer> {
    return await answering(call, async () =>
      await present().tables.call({
        ...await requestOf(call, schema),
        name: call.params["function"] ?? "",
        params: new URLSearchParams(call.query),
        returnsRows: true,
        isSingle: false,
        isRest: false,
      }));
  }

  /** `{"select": "id,name", "filters": [{"column", "operator", "value"}], "order": "name.desc", "limit": 10}` */
  async function queryRows(call: ApiCall): Promise<ApiAnswer> {
    const params = paramsOf(await call.body());
    const schema = call.params["schema"] ?? profileOf(call);
    return await answering(call, async () =>
      await present().tables.rows({
        ...await requestOf({ ...call, method: "GET", text: () => Promise.resolve("") }, schema),
        name: call.params["table"] ?? "",
        params,
        returnsRows: true,
        isSingle: false,
        isRest: false,
      }));
  }
}

function route(
  method: Verb,
  path: string,
  summary: string,
  handle: (call: ApiCall) => Promise<ApiAnswer>,
  isAtRoot = false,
): Route {
  return {
    method,
    path,
    ...(isAtRoot ? { isAtRoot } : {}),
    summary,
    access: "credential",
    answer: { status: method === "POST" ? 201 : 200 },
    handle,
  };
}

async function requestOf(
  call: ApiCall,
  schema: string,
): Promise<Omit<TableRequest, "name" | "params" | "returnsRows" | "isSingle" | "isRest">> {
  const { method, headers } = call;
  const caller = tableCallerOf(call.caller, READS.has(method) ? "tables:read" : "tables:write");
  assertReaches(call.caller, schema);
  return { caller, method, schema, headers, body: READS.has(method) ? "" : await call.text() };
}

/** @throws {PlatformError} FORBIDDEN for a key without the scope */
function tableCallerOf(caller: Caller, scope: "tables:read" | "tables:write"): TableCaller {
  const { userId: sub, email, sessionId: session_id, keyId: key_id } = caller;
  const known = {
    ...caller.claims,
    ...Object.fromEntries(Object.entries({ sub, email, session_id, key_id }).filter(([, value]) => value !== null)),
  };
  if (isAdmin(caller) || caller.kind === "function") {
    return { role: "service_role", claims: { ...known, role: "service_role" } };
  }
  if (caller.kind === "anon") return { role: "anon", claims: { role: "anon" } };
  if (caller.kind === "key") assertMay(caller, scope);
  else userOf(caller);
  const role = sub === null ? "anon" : "authenticated";
  return { role, claims: { ...known, role } };
}

/**
 * The schemas that are served belong to the default namespace; who is limited to others gets at none of them.
 *
 * @throws {PlatformError} FORBIDDEN
 */
function assertReaches(caller: Caller, schema: string): void {
  if (reaches(caller, DEFAULT_NAMESPACE)) return;
  throw new PlatformError(
    "FORBIDDEN",
    `Cannot use tables of schema "${schema.slice(0, 80)}": the credential is limited to ${
      caller.namespaces?.join(", ") || "no namespace at all"
    }, and these belong to "${DEFAULT_NAMESPACE}"; functions reach tables of their own namespace over DATABASE_URL`,
  );
}

async function answering(
  { requestId }: ApiCall,
  work: () => Promise<{ status: number; headers: readonly (readonly [string, string])[]; text: string | null }>,
): Promise<ApiAnswer> {
  try {
    const { text, ...answer } = await work();
    return text === null ? answer : { ...answer, text };
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    const { status, message, code, details, hint } = error;
    return {
      status,
      body: { error: message, message, code, details, hint, request_id: requestId },
      ...(status === 401 ? { headers: [["www-authenticate", "Bearer"]] } : {}),
    };
  }
}

/** What the body of a query may have, and what it adds to the parameters. */
const QUERY_FIELDS: Readonly<Record<string, (params: URLSearchParams, value: unknown) => void>> = {
  ...Object.fromEntries(
    ["select", "limit", "offset", "count", "or", "and", "truncate"].map((name) => [
      name,
      (params: URLSearchParams, value: unknown) =>
        params.append(name, Array.isArray(value) ? value.join(",") : String(value)),
    ]),
  ),
  filters: addFilters,
  order: (params, value) => addList(params, "order", Array.isArray(value) ? value.map(orderTerm) : [value]),
  groupBy: (params, value) => addList(params, "group_by", value),
  group_by: (params, value) => addList(params, "group_by", value),
  orFilters: (params, value) => addGroups(params, "or", value),
  andFilters: (params, value) => addGroups(params, "and", value),
  betweenFilters: addRanges,
};

function paramsOf(body: unknown): URLSearchParams {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw invalidQuery("the body must be an object");
  }
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(body)) {
    const add = Object.hasOwn(QUERY_FIELDS, name) ? QUERY_FIELDS[name] : undefined;
    if (add === undefined) {
      throw invalidQuery(`"${name.slice(0, 80)}" is none of its fields: ${Object.keys(QUERY_FIELDS).join(", ")}`);
    }
    if (value !== null) add(params, value);
  }
  return params;
}

function addList(params: URLSearchParams, name: string, value: unknown): void {
  const names = Array.isArray(value) ? value : [value];
  if (!names.every((one) => typeof one === "string")) throw invalidQuery(`"${name}" must be a list of texts`);
  if (names.length > 0) params.append(name, names.join(","));
}

/** `{"column": "age", "direction": "desc", "nulls": "last"}`, or that as text. */
function orderTerm(term: unknown): unknown {
  if (typeof term !== "object" || term === null) return term;
  const { column, direction = "asc", nulls } = term as Readonly<Record<string, unknown>>;
  if (typeof column !== "string") throw invalidQuery('each of "order" must have a "column"');
  return `${column}.${direction}${typeof nulls === "string" ? `.nulls${nulls}` : ""}`;
}

/** Each is a group of conditions of its own, as in `or=(…)`. */
function addGroups(params: URLSearchParams, kind: "or" | "and", groups: unknown): void {
  if (!Array.isArray(groups)) throw invalidQuery(`"${kind}Filters" must be a list`);
  for (const group of groups) params.append(kind, `(${group})`);
}

function addRanges(params: URLSearchParams, ranges: unknown): void {
  if (!Array.isArray(ranges)) throw invalidQuery('"betweenFilters" must be a list');
  for (const range of ranges) {
    const { column, min, max, negated } = typeof range === "object" && range !== null ? range : {};
    if (typeof column !== "string" || min === undefined || max === undefined) {
      throw invalidQuery('each of "betweenFilters" must have "column", "min" and "max"');
    }
    if (negated === true) params.append("or", `(${column}.lt.${quoted(min)},${column}.gt.${quoted(max)})`);
    else {
      params.append(column, `gte.${min}`);
      params.append(column, `lte.${max}`);
    }
  }
}

function quoted(value: unknown): string {
  return `"${String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function addFilters(params: URLSearchParams, filters: unknown): void {
  if (!Array.isArray(filters)) throw invalidQuery('"filters" must be a list');
  for (const filter of filters) {
    const { column, operator, value } = typeof filter === "object" && filter !== null ? filter : {};
    if (typeof column !== "string" || typeof operator !== "string") {
      throw invalidQuery('each of "filters" must have "column", "operator" and "value"');
    }
    const text = operator === "in" && Array.isArray(value)
      ? `(${value.map((one) => JSON.stringify(String(one))).join(",")})`
      : Array.isArray(value)
      ? `{${value.map((one) => JSON.stringify(String(one))).join(",")}}`
      : typeof value === "object" && value !== null
      ? JSON.stringify(value)
      : String(value);
    params.append(column, `${operator}.${text}`);
  }
}

function invalidQuery(why: string): PlatformError {
  return new PlatformError("INVALID_ARGUMENT", `Cannot read the query: ${why}`);
}

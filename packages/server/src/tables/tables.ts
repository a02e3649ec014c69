/**
 * Answers requests for tables: reads the query, makes the statement, runs it as the caller, says what HTTP needs.
 *
 * Owns: what methods, preferences and pages mean, as PostgREST's documentation has it.
 * Does not own: SQL (./statement.ts), transactions (./sessions.ts), paths and credentials (../api/table_routes.ts).
 *
 * @module
 */
import { sql } from "kysely";
import type { SqlFunctionRow } from "../storage/user_schema.ts";
import { type CountKind, parseTableQuery, type TableQuery } from "./grammar.ts";
import type { TextRow } from "./batch.ts";
import { type Relation, relationOfResult, type SchemaCache, type UserSchema } from "./schema_cache.ts";
import type { SessionRequest, TableCaller, TableSessions } from "./sessions.ts";
import {
  type BodyFormat,
  callStatement,
  columnNames,
  deleteStatement,
  filteredRows,
  hasFilter,
  insertStatement,
  type Page,
  readStatement,
  updateStatement,
} from "./statement.ts";
import { notSupported, TableError } from "./table_error.ts";

export interface TableRequest {
  readonly caller: TableCaller;
  readonly method: string;
  readonly schema: string;
  /** Of the table, or of the function of SQL. */
  readonly name: string;
  readonly params: URLSearchParams;
  readonly headers: { get(name: string): string | null };
  /** Of a change, when the request does not say. */
  readonly returnsRows: boolean;
  /** As it was sent; empty without one. */
  readonly body: string;
  /** One row is meant, which is an object rather than a list. */
  readonly isSingle: boolean;
  /** The rules of PostgREST; else rows may have different columns, and a page past the end is an empty one. */
  readonly isRest: boolean;
}

export interface TableAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  /** JSON; null: no body. */
  readonly text: string | null;
}

export interface Tables {
  readonly schemas: readonly string[];
  /** @throws {TableError} */
  rows(request: TableRequest): Promise<TableAnswer>;
  /** Calls a function of SQL. */
  call(request: TableRequest): Promise<TableAnswer>;
  schema(): UserSchema | Promise<UserSchema>;
}

export interface TablesParts {
  readonly cache: SchemaCache;
  readonly sessions: TableSessions;
  readonly schemas: readonly string[];
  readonly maxRowsCount: number;
}

interface Preferences {
  readonly returns: "minimal" | "representation" | "headers-only" | null;
  readonly count: CountKind | null;
  readonly duplicates: "merge" | "ignore" | null;
  readonly missingIsDefault: boolean;
  readonly rollsBack: boolean;
  /** More changed rows than that undo the change. */
  readonly maxAffected: number | null;
}

interface Found {
  readonly body: string;
  readonly page: number;
  readonly total: number | null;
}

const OBJECT_TYPE = "application/vnd.pgrst.object+json";

export function createTables({ cache, sessions, schemas, maxRowsCount }: TablesParts): Tables {
  async function relationOf({ schema, name }: TableRequest): Promise<Relation> {
    if (!schemas.includes(schema)) throw unknownSchema(schema, schemas);
    const found = (await cache.current()).relation(schema, name) ?? (await cache.refreshed()).relation(schema, name);
    if (found !== undefined) return found;
    throw new TableError(`Table not found: "${schema}.${name.slice(0, 80)}"`, { status: 404, code: "PGRST205" });
  }

  /** The path is that of PostgREST, by which policies and functions may decide. */
  function sessionOf({ caller, method, schema }: TableRequest, path: string, isReadOnly: boolean): SessionRequest {
    return { caller, method, path, schemas: [schema, ...schemas.filter((one) => one !== schema)], isReadOnly };
  }

  async function read(request: TableRequest, relation: Relation): Promise<TableAnswer> {
    const query = parseTableQuery(request.params);
    const preferences = preferencesOf(request, query);
    const page = pageOf(request, query, maxRowsCount);
    const countsAll = preferences.count === "exact";
    const format = formatOf(request);
    const statements = [readStatement(relation, query, { ...page, countsAll, format })];
    const guesses = preferences.count === "planned" || preferences.count === "estimated";
    if (guesses) statements.push(sql`explain (format json) ${filteredRows(relation, query)}`);
    const [row = [], plan] = await sessions.run(sessionOf(request, `/${request.name}`, true), statements);
    const found = foundIn(row);
    const planned = guesses ? plannedRows(plan?.[0] ?? "[]") : null;
    const isAll = page.offset === 0 && found.page < page.limit;
    const total = planned !== null && preferences.count === "estimated" && isAll ? found.page : planned ?? found.total;
    if (request.isSingle && found.page === 0) throw noSuchRow(request.name);
    if (wantsObject(request)) return single(found);
    if (request.isSingle) return { ...single(found), headers: [jsonType()] };
    if (request.isRest && total !== null && page.offset > total) throw outOfRange(page.offset, total);
    const isPart = total !== null && found.page < total && found.page > 0;
    return {
      status: isPart ? 206 : 200,
      headers: [["content-range", rangeOf(page.offset, found.page, total)], typeOf(format)],
      text: request.method === "HEAD" ? null : bodyOf(found, format, relation, query),
    };
  }

  async function write(request: TableRequest, relation: Relation): Promise<TableAnswer> {
    const query = parseTableQuery(request.params);
    const preferences = preferencesOf(request, query);
    const isObject = wantsObject(request);
    const wantsRows = preferences.returns === null ? request.returnsRows : preferences.returns === "representation";
    const format = formatOf(request);
    const options = { ...preferences, returnsRows: wantsRows || isObject, format };
    const { statement, isOne } = changeOf(request, relation, { query, options });
    const rows = await sessions.run(
      sessionOf(request, `/${request.name}`, false),
      [statement],
      isObject || preferences.rollsBack || preferences.maxAffected !== null
        ? ([row = []]) => {
          assertFew(foundIn(row), preferences);
          if (isObject) single(foundIn(row));
          if (preferences.rollsBack) throw new RolledBack(row);
        }
        : undefined,
    ).catch((error: unknown) => {
      if (error instanceof RolledBack) return [error.row];
      throw error;
    });
    const found = foundIn(rows[0] ?? []);
    const created = request.method === "POST";
    const headers: [string, string][] = [[
      "content-range",
      created
        ? `*/${preferences.count === null ? "*" : found.page}`
        : rangeOf(0, found.page, preferences.count === null ? null : found.page),
    ]];
    const applied = appliedOf(preferences);
    if (applied.length > 0) headers.push(["preference-applied", applied.join(", ")]);
    if (request.isSingle && found.page === 0) throw noSuchRow(request.name);
    if (!options.returnsRows) return { status: created ? 201 : 204, headers, text: null };
    const isBare = isObject || request.isSingle ||
      (created && isOne && request.returnsRows && preferences.returns === null);
    const isNothing = isBare && found.page === 0 && preferences.duplicates === "ignore" && !isObject;
    const text = isNothing
      ? "null"
      : isBare && format !== "csv"
      ? single(found).text
      : bodyOf(found, format, relation, query);
    const type = isObject ? jsonType(true) : typeOf(format);
    return { status: created ? 201 : 200, headers: [...headers, type], text };
  }

  return {
    schemas,
    schema: () => cache.current(),
    async rows(request) {
      const relation = await relationOf(request);
      const isRead = request.method === "GET" || request.method === "HEAD";
      try {
        return isRead ? await read(request, relation) : await write(request, relation);
      } catch (error) {
        // A column that is new, or one that is gone: what is known of the schema is looked at again, once.
        if (!(error instanceof TableError) || !STALE.test(error.code)) throw error;
        const before = await cache.current();
        if (await cache.refreshed() === before) throw error;
        const again = await relationOf(request);
        return isRead ? await read(request, again) : await write(request, again);
      }
    },

    async call(request) {
      const { schema, name, params, method } = request;
      if (!schemas.includes(schema)) throw unknownSchema(schema, schemas);
      const isGet = method === "GET" || method === "HEAD";
      const candidates = await overloadsOf(cache, schema, name);
      const known = new Set(candidates.flatMap(({ args }) => args.map((arg) => arg.name)));
      const whole = isGet ? undefined : takingWhole(candidates, request);
      const args = isGet
        ? argumentsIn(params, known)
        : whole === undefined
        ? objectIn(request.body === "" ? "{}" : request.body)
        : null;
      const fn = whole ?? fitting(candidates, args ?? {}, name);
      if (isGet && !fn.isStable) {
        throw new TableError(`Function "${name}" may change something: call it with POST`, {
          status: 405,
          code: "25006",
        });
      }
      const query = parseTableQuery(params, known);
      const preferences = preferencesOf(request, query);
      const page = pageOf(request, query, maxRowsCount);
      const [relationSchema = "", relationName = ""] = fn.returnsRelation?.split(".") ?? [];
      const relation = fn.returnsRelation === null
        ? relationOfResult(fn)
        : (await cache.current()).relation(relationSchema, relationName);
      const payload = isGet || request.body === "" ? JSON.stringify(args) : request.body;
      const format = formatOf(request);
      if (format === "csv" && relation === undefined) throw notSupported("An answer that is no row as CSV");
      const countsAll = preferences.count !== null && relation !== undefined;
      const statement = callStatement(fn, relation, query, { ...page, args, payload, format, countsAll });
      const [row = []] = await sessions.run(
        sessionOf(request, `/rpc/${name}`, isGet),
        [statement],
        preferences.maxAffected === null ? undefined : ([row = []]) => assertFew(foundIn(row), preferences),
      );
      const found = foundIn(row);
      if (fn.returns === "void") return { status: 204, headers: [], text: null };
      if (wantsObject(request) && fn.returnsSet) return single(found);
      const total = preferences.count === null ? null : found.total ?? found.page;
      const isPart = total !== null && found.page < total && found.page > 0;
      return {
        status: isPart ? 206 : 200,
        headers: [["content-range", rangeOf(page.offset, found.page, total)], typeOf(format)],
        text: method === "HEAD" ? null : relation === undefined ? found.body : bodyOf(found, format, relation, query),
      };
    },
  };
}

const STALE = /^(42703|42P01|PGRST200)$/;

/** Carries what was changed out of a transaction that is undone because the caller wants that. */
class RolledBack extends Error {
  readonly row: TextRow;
  constructor(row: TextRow) {
    super("rolled back");
    this.row = row;
  }
}

function changeOf(
  { method, body, isSingle, isRest }: TableRequest,
  relation: Relation,
  { query, options }: { query: TableQuery; options: Parameters<typeof deleteStatement>[2] },
) {
  if (method === "POST" || method === "PUT") {
    const isOne = isObjectText(body);
    const rows = rowsIn(body);
    const payload = isOne ? `[${body}]` : body;
    const duplicates = method === "PUT" ? "merge" : options.duplicates;
    const columns = query.columns ?? (isRest ? null : allKeys(rows));
    const missingIsDefault = options.missingIsDefault || !isRest;
    const given = { ...options, duplicates, missingIsDefault, rows, payload };
    return { statement: insertStatement(relation, { ...query, columns }, given), isOne };
  }
  if (!hasFilter(query) && !isSingle) {
    throw new TableError(`Cannot ${method} every row of "${relation.name}": say which rows, such as ?id=eq.1`, {
      status: 400,
      code: "21000",
      hint: "A filter that every row meets, such as id=not.is.null, means all of them",
    });
  }
  const statement = method === "DELETE"
    ? deleteStatement(relation, query, options)
    : updateStatement(relation, query, { ...options, change: objectIn(body), payload: body });
  return { statement, isOne: false };
}

/** Every statement answers with `body`, `page` and `total`, in this order. */
function foundIn([body, page, total]: TextRow): Found {
  return { body: body ?? "null", page: Number(page ?? 0), total: total === null ? null : Number(total ?? 0) };
}

/** In the answer of EXPLAIN. */
function plannedRows(json: string): number {
  const [{ Plan } = {}]: { Plan?: { "Plan Rows"?: number } }[] = JSON.parse(json);
  return Plan?.["Plan Rows"] ?? 0;
}

/** The list without its brackets, when there is exactly one row in it. */
function single({ body, page }: Found): TableAnswer & { readonly text: string } {
  if (page === 1) return { status: 200, headers: [jsonType(true)], text: body.slice(1, -1) };
  throw new TableError("Cannot coerce the result to a single JSON object", {
    status: 406,
    code: "PGRST116",
    details: `The result contains ${page} rows`,
  });
}

const CSV_TYPE = "text/csv";
const WITHOUT_NULLS = ";nulls=stripped";
const ARRAY_TYPE = "application/vnd.pgrst.array+json";
/** Media types that can be given, and how the body is then written. */
const FORMATS: ReadonlyMap<string, BodyFormat> = new Map([
  ["", "json"],
  ["*/*", "json"],
  ["application/*", "json"],
  ["application/json", "json"],
  [ARRAY_TYPE, "json"],
  [ARRAY_TYPE + WITHOUT_NULLS, "json-without-nulls"],
  [OBJECT_TYPE, "json"],
  [OBJECT_TYPE + WITHOUT_NULLS, "json-without-nulls"],
  ["text/*", "csv"],
  [CSV_TYPE, "csv"],
]);

/**
 * The first type of the header that can be given.
 *
 * @throws {TableError} when there is none, as for plans and GeoJSON
 */
function acceptedOf(
  { headers }: Pick<TableRequest, "headers">,
): { readonly type: string; readonly format: BodyFormat } {
  const accept = headers.get("accept") ?? "";
  for (const part of accept.split(",")) {
    const [type = "", ...parameters] = part.toLowerCase().split(";").map((one) => one.trim());
    const named = parameters.includes("nulls=stripped") ? type + WITHOUT_NULLS : type;
    const format = FORMATS.get(named);
    if (format !== undefined && !parameters.some((one) => /^q=0(\.0*)?$/.test(one))) return { type, format };
  }
  throw new TableError(`None of these media types are available: ${accept.slice(0, 200)}`, {
    status: 406,
    code: "PGRST107",
    hint: `Ask for application/json, ${CSV_TYPE}, ${OBJECT_TYPE} or ${ARRAY_TYPE}${WITHOUT_NULLS}`,
  });
}

function formatOf(request: TableRequest): BodyFormat {
  return acceptedOf(request).format;
}

function typeOf(format: BodyFormat): [string, string] {
  return format === "csv" ? ["content-type", `${CSV_TYPE}; charset=utf-8`] : jsonType();
}

function bodyOf({ body }: Found, format: BodyFormat, relation: Relation, query: TableQuery): string {
  if (format !== "csv") return body;
  const head = columnNames(relation, query).map(csvValue).join(",");
  return body === "" ? head : `${head}\n${body}`;
}

function csvValue(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function wantsObject(request: TableRequest): boolean {
  return acceptedOf(request).type === OBJECT_TYPE;
}

function jsonType(isObject = false): [string, string] {
  return ["content-type", isObject ? `${OBJECT_TYPE}; charset=utf-8` : "application/json; charset=utf-8"];
}

/** What each preference may say. */
const PREFERENCES: Readonly<Record<string, RegExp>> = {
  handling: /^(strict|lenient)$/,
  return: /^(minimal|representation|headers-only)$/,
  count: /^(exact|planned|estimated)$/,
  resolution: /^(merge|ignore)-duplicates$/,
  missing: /^(default|null)$/,
  tx: /^(commit|rollback)$/,
  "max-affected": /^\d{1,15}$/,
};

function preferencesOf({ headers }: TableRequest, query: TableQuery): Preferences {
  const given = (headers.get("prefer") ?? "").split(",").map((part) => part.trim()).filter((part) => part !== "");
  const preferences = new Map(given.map((part) => {
    const [name = "", value = ""] = part.split("=").map((one) => one.trim());
    return [name.toLowerCase(), value] as const;
  }));
  const isStrict = preferences.get("handling") === "strict";
  const unknown = [...preferences].filter(([name, value]) => PREFERENCES[name]?.test(value) !== true);
  if (isStrict && unknown.length > 0) {
    throw new TableError("Invalid preferences given with handling=strict", {
      status: 400,
      code: "PGRST122",
      details: `Invalid preferences: ${unknown.map(([name, value]) => `${name}=${value}`).join(", ").slice(0, 400)}`,
    });
  }
  for (const [name] of unknown) preferences.delete(name);
  const counting = preferences.get("count");
  const resolution = preferences.get("resolution");
  const returns = preferences.get("return");
  const maxAffected = preferences.get("max-affected");
  return {
    returns: returns === "minimal" || returns === "representation" || returns === "headers-only" ? returns : null,
    count: counting === "exact" || counting === "planned" || counting === "estimated" ? counting : query.count,
    duplicates: resolution === "merge-duplicates" ? "merge" : resolution === "ignore-duplicates" ? "ignore" : null,
    missingIsDefault: preferences.get("missing") === "default",
    rollsBack: preferences.get("tx") === "rollback",
    // As PostgREST has it: who does not ask for strictness is not refused.
    maxAffected: isStrict && maxAffected !== undefined ? Number(maxAffected) : null,
  };
}

function appliedOf({ returns, maxAffected }: Preferences): string[] {
  return [
    ...(returns === null ? [] : [`return=${returns}`]),
    ...(maxAffected === null ? [] : ["handling=strict", `max-affected=${maxAffected}`]),
  ];
}

function assertFew({ page }: Found, { maxAffected }: Preferences): void {
  if (maxAffected === null || page <= maxAffected) return;
  throw new TableError("Query result exceeds max-affected preference constraint", {
    status: 400,
    code: "PGRST124",
    details: `The query affects ${page} rows`,
  });
}

/** `limit` and `offset`, or the header `Range: 0-9`; never more than the server gives at once. */
function pageOf({ headers, method }: TableRequest, query: TableQuery, maxCount: number): Page {
  const { limit, offset } = query.clauses.get("") ?? { limit: null, offset: null };
  const range = method === "GET" || method === "HEAD" ? headers.get("range") : null;
  const [, from, to] = range === null ? [] : /^(?:items=)?(\d{1,15})-(\d{0,15})$/.exec(range.trim()) ?? [];
  const start = offset ?? Number(from ?? 0);
  const count = limit ?? (to === undefined || to === "" ? maxCount : Number(to) - Number(from) + 1);
  if (count < 0) throw new TableError("The range ends before it begins", { status: 416, code: "PGRST103" });
  return { limit: Math.min(count, maxCount), offset: start };
}

function rangeOf(offset: number, count: number, total: number | null): string {
  const part = count === 0 ? "*" : `${offset}-${offset + count - 1}`;
  return `${part}/${total ?? "*"}`;
}

function isObjectText(body: string): boolean {
  return /^\s*\{/.test(body);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new TableError("Cannot read the request body: it is empty or no JSON", { status: 400, code: "PGRST102" });
  }
}

function objectIn(body: string): Readonly<Record<string, unknown>> {
  const value = parsed(body);
  if (isRecord(value)) return value;
  throw new TableError("The request body must be a JSON object", { status: 400, code: "PGRST102" });
}

function rowsIn(body: string): readonly Readonly<Record<string, unknown>>[] {
  const value = parsed(body);
  if (isRecord(value)) return [value];
  if (Array.isArray(value) && value.every(isRecord)) return value;
  throw new TableError("The request body must be a JSON object or a list of them", { status: 400, code: "PGRST102" });
}

/** Of rows that need not be alike. */
function allKeys(rows: readonly Readonly<Record<string, unknown>>[]): readonly string[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

async function overloadsOf(cache: SchemaCache, schema: string, name: string): Promise<readonly SqlFunctionRow[]> {
  const found = (await cache.current()).functions(schema, name);
  return found.length > 0 ? found : (await cache.refreshed()).functions(schema, name);
}

/** Each argument once, as text. */
function argumentsIn(params: URLSearchParams, known: ReadonlySet<string>): Readonly<Record<string, unknown>> {
  return Object.fromEntries([...params].filter(([name]) => known.has(name)));
}

const WHOLE_TYPES: Readonly<Record<string, RegExp>> = {
  json: /^(application\/json|$)/,
  jsonb: /^(application\/json|$)/,
  text: /^text\/plain/,
};

/** The one with a single argument without a name, which is the whole body. */
function takingWhole(
  candidates: readonly SqlFunctionRow[],
  { headers, body }: TableRequest,
): SqlFunctionRow | undefined {
  const sent = headers.get("content-type")?.toLowerCase() ?? "";
  const found = candidates.filter(({ args: [one, ...others] }) =>
    one?.name === "" && others.length === 0 && WHOLE_TYPES[one.type]?.test(sent) === true
  );
  const [fn] = found;
  if (fn === undefined || found.length > 1) return undefined;
  if (fn.args[0]?.type !== "text") parsed(body);
  return fn;
}

/** The one that has all arguments, and lacks none that it needs. */
function fitting(
  candidates: readonly SqlFunctionRow[],
  args: Readonly<Record<string, unknown>>,
  name: string,
): SqlFunctionRow {
  const names = Object.keys(args);
  const found = candidates.filter((fn) => {
    const needed = fn.args.slice(0, fn.args.length - fn.defaultCount);
    return names.every((one) => fn.args.some((arg) => arg.name === one)) &&
      needed.every((arg) => names.includes(arg.name));
  });
  if (found.length === 1 && found[0] !== undefined) return found[0];
  const given = names.length === 0 ? "without arguments" : `with ${names.join(", ").slice(0, 200)}`;
  if (found.length === 0) {
    const shapes = candidates.map((fn) => `${name}(${fn.args.map((arg) => arg.name).join(", ")})`);
    throw new TableError(`Function not found: "${name.slice(0, 80)}" ${given}`, {
      status: 404,
      code: "PGRST202",
      hint: shapes.length === 0 ? null : `There is ${shapes.join(", ")}`,
    });
  }
  throw new TableError(`More than one function "${name.slice(0, 80)}" ${given} was found`, {
    status: 300,
    code: "PGRST203",
  });
}

function unknownSchema(schema: string, schemas: readonly string[]): TableError {
  return new TableError(`Schema not found: "${schema.slice(0, 80)}" is none of ${schemas.join(", ")}`, {
    status: 406,
    code: "PGRST106",
  });
}

function outOfRange(offset: number, total: number): TableError {
  return new TableError("Requested range not satisfiable", {
    status: 416,
    code: "PGRST103",
    details: `An offset of ${offset} was requested, but there are only ${total} rows.`,
  });
}

function noSuchRow(name: string): TableError {
  return new TableError(`Row not found in "${name}"`, { status: 404, code: "PGRST116" });
}

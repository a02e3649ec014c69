/**
 * What went wrong with a request for tables, in the shape that clients of PostgREST read.
 *
 * @module
 */
import { codeOf } from "../storage/db.ts";

export interface TableErrorFacts {
  readonly status: number;
  /** A SQLSTATE, or a code of PostgREST's list. */
  readonly code: string;
  readonly details?: string | null;
  readonly hint?: string | null;
}

export class TableError extends Error {
  override readonly name = "TableError";
  readonly status: number;
  readonly code: string;
  readonly details: string | null;
  readonly hint: string | null;

  constructor(message: string, { status, code, details, hint }: TableErrorFacts) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details ?? null;
    this.hint = hint ?? null;
  }
}

export function badQuery(message: string, details?: string): TableError {
  return new TableError(message, { status: 400, code: "PGRST100", details: details ?? null });
}

/** For what the grammar has and this server does not do. */
export function notSupported(what: string): TableError {
  return new TableError(`${what} is not supported by this server`, { status: 501, code: "PGRST127" });
}

/** Statuses by SQLSTATE, the longest fitting start first. */
const STATUSES: readonly (readonly [start: string, status: number])[] = [
  ["23503", 409],
  ["23505", 409],
  ["25006", 405],
  ["42501", 403],
  ["42P01", 404],
  ["42883", 404],
  ["42P17", 500],
  ["57014", 504],
  ["P0001", 400],
  ["0L", 403],
  ["0P", 403],
  ["08", 503],
  ["21", 400],
  ["22", 400],
  ["23", 400],
  ["28", 403],
  ["2B", 400],
  ["40", 409],
  ["42", 400],
  ["44", 400],
  ["53", 503],
  ["54", 400],
  ["55", 409],
  ["57", 503],
  ["P0", 400],
];

const TEXT_MAX_CHARACTERS = 8_192;

/** Undefined for what is no error of a statement. */
export function errorOfStatement(error: unknown, role: string): TableError | undefined {
  const code = codeOf(error);
  if (!(error instanceof Error) || !/^[0-9A-Z]{5}$/.test(code)) return undefined;
  const custom = /^PT(\d{3})$/.exec(code)?.[1];
  const found = STATUSES.find(([start]) => code.startsWith(start))?.[1] ?? 500;
  const status = custom === undefined ? found === 403 && role === "anon" ? 401 : found : Number(custom);
  const hint = textOf(error, "hint") ?? hintFor(code, error.message, role);
  const message = code === "57014" ? "The statement took too long and was ended" : textOf(error, "message") ?? "";
  return new TableError(message, { status, code, details: textOf(error, "detail"), hint });
}

/** What SQL of users says has any length, and goes into the answer and the log. */
function textOf(error: Error, name: "message" | "detail" | "hint"): string | null {
  const text: unknown = Reflect.get(error, name);
  if (typeof text !== "string" || text.length <= TEXT_MAX_CHARACTERS) return typeof text === "string" ? text : null;
  return `${text.slice(0, TEXT_MAX_CHARACTERS)} … (${text.length} characters)`;
}

function hintFor(code: string, message: string, role: string): string | null {
  if (code !== "42501") return null;
  const table = /permission denied for (?:table|view|materialized view|sequence) (.+)$/.exec(message)?.[1];
  return table === undefined ? null : `Nobody may use ${table} as ${role} yet: GRANT SELECT ON ${table} TO ${role};`;
}

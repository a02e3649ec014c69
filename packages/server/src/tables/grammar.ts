/**
 * Reads the query of a request for tables: which columns, which rows, in which order. The grammar is PostgREST's.
 *
 *     ?select=id,name,team:teams(name)&age=gte.18&or=(a.is.null,b.eq.1)&order=name.desc.nullslast&limit=10
 *
 * @module
 */
import { badQuery } from "./table_error.ts";

/** A column, or a place inside the JSON of one. */
export interface Field {
  readonly column: string;
  readonly path: readonly PathStep[];
}

export interface PathStep {
  /** `->>`: as text. */
  readonly isText: boolean;
  readonly key: string | number;
}

export type SelectItem =
  | { readonly kind: "all" }
  | { readonly kind: "field"; readonly field: Field; readonly alias: string | null; readonly cast: string | null }
  | {
    readonly kind: "aggregate";
    readonly aggregate: Aggregate;
    /** Null: of rows. */
    readonly field: Field | null;
    readonly alias: string | null;
    /** Of what is put in. */
    readonly inner: string | null;
    /** Of what comes out. */
    readonly cast: string | null;
  }
  | {
    readonly kind: "embed";
    readonly name: string;
    readonly alias: string | null;
    readonly hint: string | null;
    readonly isInner: boolean;
    /** Its columns stand among those of the table itself. */
    readonly isSpread: boolean;
    readonly items: readonly SelectItem[];
  };

export const AGGREGATES = ["count", "sum", "avg", "min", "max"] as const;
export type Aggregate = typeof AGGREGATES[number];

export function isAggregate(name: string): name is Aggregate {
  return (AGGREGATES as readonly string[]).includes(name);
}

export type Operator =
  | "eq"
  | "neq"
  | "gt"
  | "gte"
  | "lt"
  | "lte"
  | "like"
  | "ilike"
  | "match"
  | "imatch"
  | "in"
  | "is"
  | "isdistinct"
  | "cs"
  | "cd"
  | "ov"
  | "sl"
  | "sr"
  | "nxl"
  | "nxr"
  | "adj"
  | "fts"
  | "plfts"
  | "phfts"
  | "wfts";

export type Condition =
  | {
    readonly kind: "compare";
    readonly field: Field;
    readonly operator: Operator;
    readonly isNegated: boolean;
    readonly value: string;
    /** Of `in`. */
    readonly values: readonly string[];
    /** Of a text search. */
    readonly config: string | null;
    /** The value is a list, one or all of which must fit. */
    readonly quantifier: "any" | "all" | null;
  }
  | {
    readonly kind: "and" | "or";
    readonly isNegated: boolean;
    readonly conditions: readonly Condition[];
  };

export interface OrderTerm {
  /** The embedded table whose one row decides; null: the table itself. */
  readonly embedded: string | null;
  readonly field: Field;
  readonly isDescending: boolean;
  readonly nulls: "first" | "last" | null;
}

/** What is said about one table: the one that is asked for, or one that is embedded in it. */
export interface Clauses {
  readonly conditions: Condition[];
  order: readonly OrderTerm[];
  limit: number | null;
  offset: number | null;
}

export interface TableQuery {
  readonly items: readonly SelectItem[];
  /** By the path of embedded tables, with dots; empty for the table itself. */
  readonly clauses: ReadonlyMap<string, Clauses>;
  /** Of new rows; null: those that the rows have. */
  readonly columns: readonly string[] | null;
  readonly onConflict: readonly string[] | null;
  readonly count: CountKind | null;
  /** Columns that say which rows are put together; null: those that stand beside an aggregate. */
  readonly groupBy: readonly string[] | null;
  /** Texts are shown up to so many characters; null: whole. */
  readonly truncate: number | null;
}

export type CountKind = "exact" | "planned" | "estimated";

const OPERATORS: ReadonlySet<string> = new Set<Operator>([
  "eq",
  "neq",
  "gt",
  "gte",
  "lt",
  "lte",
  "like",
  "ilike",
  "match",
  "imatch",
  "in",
  "is",
  "isdistinct",
  "cs",
  "cd",
  "ov",
  "sl",
  "sr",
  "nxl",
  "nxr",
  "adj",
  "fts",
  "plfts",
  "phfts",
  "wfts",
]);
const QUANTIFIED: ReadonlySet<Operator> = new Set<Operator>([
  "eq",
  "neq",
  "gt",
  "gte",
  "lt",
  "lte",
  "like",
  "ilike",
  "match",
  "imatch",
]);
const IS_VALUES: ReadonlySet<string> = new Set(["null", "not_null", "true", "false", "unknown"]);
const COUNTS: ReadonlySet<string> = new Set<CountKind>(["exact", "planned", "estimated"]);
const DEPTH_MAX = 16;
const ITEMS_MAX_COUNT = 1_000;
const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

/** `others` are names that are no filters, such as the arguments of a function. */
export function parseTableQuery(params: URLSearchParams, others: ReadonlySet<string> = new Set()): TableQuery {
  const clauses = new Map<string, Clauses>();
  const clausesOf = (path: string): Clauses => {
    let found = clauses.get(path);
    if (found === undefined) clauses.set(path, found = { conditions: [], order: [], limit: null, offset: null });
    return found;
  };
  clausesOf("");
  let items: readonly SelectItem[] = [{ kind: "all" }];
  let columns: readonly string[] | null = null;
  let onConflict: readonly string[] | null = null;
  let count: CountKind | null = null;
  let groupBy: readonly string[] | null = null;
  let truncate: number | null = null;
  if ([...params].length > ITEMS_MAX_COUNT) throw badQuery("The query has too many parts");
  for (const [name, value] of params) {
    // No text of Postgres can hold it, and where names stand it would end the statement.
    if (name.includes("\0") || value.includes("\0")) {
      throw badQuery("The query has a character that no text can hold: U+0000");
    }
    if (others.has(name)) continue;
    if (name === "select") items = parseSelect(value);
    else if (name === "columns") columns = parseNames(value, name);
    else if (name === "on_conflict") onConflict = parseNames(value, name);
    else if (name === "group_by") groupBy = parseNames(value, name);
    else if (name === "truncate" && /^\d+$/.test(value)) truncate = parseNumber(value, name);
    else if (name === "count" && COUNTS.has(value)) count = value as CountKind;
    else addClause(name, value, clausesOf);
  }
  return { items, clauses, columns, onConflict, count, groupBy, truncate };
}

function addClause(name: string, value: string, clausesOf: (path: string) => Clauses): void {
  const { path, last } = splitKey(name);
  const isNegated = path.at(-1) === "not" && (last === "and" || last === "or");
  const clauses = clausesOf((isNegated ? path.slice(0, -1) : path).join("."));
  if (last === "order") clauses.order = parseOrder(value);
  else if (last === "limit" || last === "offset") clauses[last] = parseNumber(value, last);
  else if (last === "and" || last === "or") {
    const reader = new Reader(value);
    clauses.conditions.push({ kind: last, isNegated, conditions: reader.group(0) });
    reader.end();
  } else {
    const reader = new Reader(last);
    const field = reader.field();
    reader.end();
    clauses.conditions.push(parseComparison(field, value));
  }
}

/** The dots of embedded tables, but not those inside quotes. */
function splitKey(name: string): { path: readonly string[]; last: string } {
  const parts: string[] = [];
  let part = "";
  let isQuoted = false;
  for (const letter of name) {
    if (letter === '"') isQuoted = !isQuoted;
    if (letter === "." && !isQuoted) {
      parts.push(part);
      part = "";
    } else part += letter;
  }
  return { path: parts.map(unquoted), last: part };
}

function unquoted(text: string): string {
  return text.startsWith('"') && text.endsWith('"') && text.length > 1 ? text.slice(1, -1) : text;
}

function parseSelect(text: string): readonly SelectItem[] {
  const reader = new Reader(text);
  if (text.trim() === "") return [{ kind: "all" }];
  const items = reader.items(0);
  reader.end();
  return items;
}

function parseNames(text: string, what: string): readonly string[] {
  const reader = new Reader(text);
  const names: string[] = [];
  do names.push(reader.name(what)); while (reader.take(","));
  reader.end();
  return names;
}

function parseOrder(text: string): readonly OrderTerm[] {
  const reader = new Reader(text);
  const terms: OrderTerm[] = [];
  do {
    const first = reader.field();
    const embedded = reader.take("(") ? first.column : null;
    const field = embedded === null ? first : reader.field();
    if (embedded !== null) reader.need(")");
    let isDescending = false;
    let nulls: OrderTerm["nulls"] = null;
    while (reader.take(".")) {
      const word = reader.word();
      if (word === "asc" || word === "desc") isDescending = word === "desc";
      else if (word === "nullsfirst" || word === "nullslast") nulls = word === "nullsfirst" ? "first" : "last";
      else throw badQuery(`"${word}" is no direction: use asc, desc, nullsfirst or nullslast`);
    }
    terms.push({ embedded, field, isDescending, nulls });
  } while (reader.take(","));
  reader.end();
  return terms;
}

function parseNumber(text: string, what: string): number {
  const number = Number(text);
  if (/^\d{1,16}$/.test(text) && number <= NUMBER_MAX) return number;
  throw badQuery(`"${what}" is ${JSON.stringify(text.slice(0, 40))}: it must be a whole number from 0`);
}

/** `[not.]operator[(modifier)].value`, the value to the end of the text. */
function parseComparison(field: Field, text: string): Condition {
  const [, not, operator = "", , modifier, value = ""] = /^(not\.)?([a-z]+)(\(([^)]*)\))?\.(.*)$/s.exec(text) ?? [];
  if (!OPERATORS.has(operator)) {
    throw badQuery(
      `Cannot read the filter on "${field.column}": ${
        JSON.stringify(text.slice(0, 80))
      } must be such as eq.5, not.in.(1,2) or is.null`,
    );
  }
  return comparison(field, { operator: operator as Operator, isNegated: not !== undefined, modifier, value });
}

function comparison(
  field: Field,
  { operator, isNegated, modifier, value, list }: {
    operator: Operator;
    isNegated: boolean;
    modifier: string | undefined;
    value: string;
    list?: readonly string[];
  },
): Condition {
  const isSearch = operator.endsWith("fts");
  const quantifier = !isSearch && (modifier === "any" || modifier === "all") ? modifier : null;
  if (modifier !== undefined && !isSearch && (quantifier === null || !QUANTIFIED.has(operator))) {
    throw badQuery(`"${operator}" has no modifier "${modifier.slice(0, 40)}"`);
  }
  if (operator === "is" && !IS_VALUES.has(value.toLowerCase())) {
    throw badQuery(`"is" compares with null, not_null, true, false or unknown, not with ${value.slice(0, 40)}`);
  }
  const values = operator === "in" ? list ?? parseList(value) : [];
  return {
    kind: "compare",
    field,
    operator,
    isNegated,
    value: operator === "is" ? value.toLowerCase() : value,
    values,
    config: isSearch ? modifier ?? null : null,
    quantifier,
  };
}

export function parseList(text: string): readonly string[] {
  const reader = new Reader(text);
  const list = reader.list();
  reader.end();
  return list;
}

/** Moves through a text by hand: no regular expression backtracks over what callers send. */
class Reader {
  readonly #text: string;
  #place = 0;

  constructor(text: string) {
    this.#text = text;
  }

  at(letter: string): boolean {
    return this.#text.startsWith(letter, this.#place);
  }

  take(letters: string): boolean {
    if (!this.at(letters)) return false;
    this.#place += letters.length;
    return true;
  }

  need(letter: string): void {
    if (this.take(letter)) return;
    throw this.#unexpected(`"${letter}"`);
  }

  end(): void {
    if (this.#place < this.#text.length) throw this.#unexpected("the end");
  }

  #unexpected(wanted: string): Error {
    const found = this.#place < this.#text.length ? JSON.stringify(this.#text[this.#place]) : "the end";
    return badQuery(
      `Cannot read ${JSON.stringify(this.#text.slice(0, 120))}: ${wanted} was expected at character ${
        this.#place + 1
      }, and ${found} is there`,
    );
  }

  #until(stops: string): string {
    const start = this.#place;
    while (this.#place < this.#text.length && !stops.includes(this.#text[this.#place] ?? "")) this.#place += 1;
    return this.#text.slice(start, this.#place);
  }

  #quoted(): string {
    this.need('"');
    let text = "";
    for (;;) {
      const letter = this.#text[this.#place];
      if (letter === undefined) throw this.#unexpected('"');
      this.#place += 1;
      if (letter === '"') return text;
      if (letter === "\\") {
        text += this.#text[this.#place] ?? "";
        this.#place += 1;
      } else text += letter;
    }
  }

  word(): string {
    return this.#until(".,()");
  }

  name(what: string): string {
    if (this.at('"')) return this.#quoted();
    const start = this.#place;
    while (this.#place < this.#text.length) {
      const letter = this.#text[this.#place] ?? "";
      // A hyphen may be part of a name, an arrow is none.
      if (',.:()!"*'.includes(letter) || this.at("->") || letter <= " ") break;
      this.#place += 1;
    }
    if (this.#place === start) throw this.#unexpected(`a name (${what})`);
    return this.#text.slice(start, this.#place);
  }

  field(): Field {
    return this.pathOf(this.name("column"));
  }

  pathOf(column: string): Field {
    const path: PathStep[] = [];
    while (this.at("->")) {
      const isText = this.take("->>");
      if (!isText) this.take("->");
      const key = this.at('"') ? this.#quoted() : this.#until('-.,:()"');
      if (key === "") throw this.#unexpected("a key of the JSON");
      path.push({ isText, key: /^-?\d{1,9}$/.test(key) ? Number(key) : key });
    }
    return { column, path };
  }

  items(depth: number): readonly SelectItem[] {
    if (depth > DEPTH_MAX) throw badQuery(`Tables are embedded more than ${DEPTH_MAX} deep`);
    const items: SelectItem[] = [];
    if (this.at(")")) return items;
    do items.push(this.#item(depth)); while (this.take(","));
    if (items.length > ITEMS_MAX_COUNT) throw badQuery("The selection has too many parts");
    return items;
  }

  #item(depth: number): SelectItem {
    if (this.take("*")) return { kind: "all" };
    if (this.take("...")) {
      const item = this.#item(depth);
      if (item.kind !== "embed") throw this.#unexpected("an embedded table");
      return { ...item, isSpread: true };
    }
    let name = this.name("column");
    let alias: string | null = null;
    if (this.at(":") && !this.at("::")) {
      this.take(":");
      alias = name;
      name = this.name("column");
    }
    let hint: string | null = null;
    let isInner = false;
    while (this.take("!")) {
      const word = this.name("hint");
      if (word === "inner") isInner = true;
      else if (word !== "left") hint = word;
    }
    if (this.take("(")) {
      const items = this.items(depth + 1);
      this.need(")");
      if (name === "count" && items.length === 0) {
        return { kind: "aggregate", aggregate: "count", field: null, alias, inner: null, cast: this.#cast() };
      }
      return { kind: "embed", name, alias, hint, isInner, isSpread: false, items };
    }
    const field = this.pathOf(name);
    const inner = this.#cast();
    if (!this.take(".")) return { kind: "field", field, alias, cast: inner };
    const aggregate = this.#until(",()");
    this.need("(");
    this.need(")");
    if (!isAggregate(aggregate)) {
      throw badQuery(`"${aggregate.slice(0, 40)}" is no aggregate: use ${AGGREGATES.join(", ")}`);
    }
    return { kind: "aggregate", aggregate, field, alias, inner, cast: this.#cast() };
  }

  #cast(): string | null {
    return this.take("::") ? this.#until(",().") : null;
  }

  /** `(a.eq.1,not.or(b.is.null,…))` */
  group(depth: number): readonly Condition[] {
    if (depth > DEPTH_MAX) throw badQuery(`Conditions are nested more than ${DEPTH_MAX} deep`);
    const conditions: Condition[] = [];
    this.need("(");
    do {
      conditions.push(this.#condition(depth));
      if (conditions.length > ITEMS_MAX_COUNT) throw badQuery("The query has too many parts");
    } while (this.take(","));
    this.need(")");
    return conditions;
  }

  #condition(depth: number): Condition {
    while (this.take(" "));
    const start = this.#place;
    const isNegated = this.take("not.");
    for (const kind of ["and", "or"] as const) {
      if (this.take(kind)) {
        if (this.at("(")) return { kind, isNegated, conditions: this.group(depth + 1) };
        this.#place -= kind.length;
      }
    }
    this.#place = start;
    const field = this.field();
    this.need(".");
    const isNot = this.take("not.");
    const operator = this.#until(".,()");
    const modifier = this.take("(") ? this.#until(")") : undefined;
    if (modifier !== undefined) this.need(")");
    this.need(".");
    if (!OPERATORS.has(operator)) throw badQuery(`"${operator.slice(0, 40)}" is no operator`);
    const known = operator as Operator;
    if (known === "in") {
      return comparison(field, { operator: known, isNegated: isNot, modifier, value: "", list: this.list() });
    }
    return comparison(field, { operator: known, isNegated: isNot, modifier, value: this.#value() });
  }

  /** Of a condition inside parentheses: quoted, an array, a range, or up to the next comma. */
  #value(): string {
    if (this.at('"')) return this.#quoted();
    if (!this.at("{") && !this.at("[") && !this.at("(")) return this.#until(",)");
    const start = this.#place;
    let isQuoted = false;
    let depth = 0;
    while (this.#place < this.#text.length) {
      const letter = this.#text[this.#place] ?? "";
      this.#place += 1;
      if (letter === "\\") this.#place += 1;
      else if (letter === '"') isQuoted = !isQuoted;
      else if (!isQuoted && (letter === "{" || letter === "[" || letter === "(")) depth += 1;
      else if (!isQuoted && (letter === "}" || letter === "]" || (letter === ")" && depth > 0))) depth -= 1;
      if (depth === 0 && !isQuoted) break;
    }
    return this.#text.slice(start, this.#place);
  }

  /** `(1,2,"three, or more")` */
  list(): readonly string[] {
    this.need("(");
    const values: string[] = [];
    if (this.take(")")) return values;
    do {
      values.push(this.at('"') ? this.#quoted() : this.#until(",)"));
      if (values.length > 100_000) throw badQuery("The list has too many values");
    } while (this.take(","));
    this.need(")");
    return values;
  }
}

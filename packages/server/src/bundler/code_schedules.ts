/**
 * Schedules that code says itself: `Deno.cron("name", "0 9 * * *", handler)`, and exports with a `schedule`.
 *
 * They are read off the syntax tree, so only what is written out counts. Each becomes an annotation, like those in comments.
 *
 * @module
 */
import type { Program } from "oxc-parser";
import { isNode, type Node } from "./nodes.ts";

export interface CodeSchedule {
  /** A cron expression, perhaps with a time zone; undefined: it is not written out. */
  readonly text: string | undefined;
  /** What its author calls it; undefined where it has no name. */
  readonly job: string | undefined;
  /** Offset of the text in the source. */
  readonly start: number;
}

const MENTIONED = /\bcron\b|\bschedule\b/;
/** What two fields of an expression look like: other texts may be called schedule, too. */
const LIKE_CRON = /^\s*(?:@[a-z]+|[\d*,/-]+\s+[\d*,/-]+\s)/;

/** `isEntry`: its exports are those of the function. */
export function schedulesInCode(code: string, program: () => Program, { isEntry }: { isEntry: boolean }) {
  if (!MENTIONED.test(code)) return [];
  return [...isEntry ? program().body.flatMap(exportedSchedules) : [], ...denoCrons(program())];
}

function denoCrons(node: unknown, found: CodeSchedule[] = []): CodeSchedule[] {
  if (Array.isArray(node)) { for (const one of node) denoCrons(one, found); }
  if (!isNode(node)) return found;
  if (node.type === "CallExpression" && isDenoCron(node["callee"]) && Array.isArray(node["arguments"])) {
    const [name, schedule] = node["arguments"];
    const job = textOf(name);
    const text = textOf(schedule) ?? textOfFields(schedule);
    found.push({ job, text: job === undefined ? undefined : text, start: startOf(schedule ?? node) });
  }
  for (const child of Object.values(node)) if (typeof child === "object" && child !== null) denoCrons(child, found);
  return found;
}

function isDenoCron(callee: unknown): boolean {
  if (!isNode(callee)) return false;
  const { object, property } = callee;
  return isNode(object) && object["name"] === "Deno" && isNode(property) && property["name"] === "cron";
}

function exportedSchedules(statement: unknown): CodeSchedule[] {
  if (!isNode(statement)) return [];
  const { declaration } = statement;
  if (statement.type === "ExportDefaultDeclaration") return scheduleOf(declaration, undefined);
  if (statement.type !== "ExportNamedDeclaration" || !isNode(declaration)) return [];
  const { declarations } = declaration;
  return (Array.isArray(declarations) ? declarations : []).flatMap(({ id, init }) => {
    if (id?.name !== "schedule") return scheduleOf(init, id?.name === "config" ? undefined : id?.name);
    const text = textOf(init);
    return text !== undefined && LIKE_CRON.test(text) ? [{ text, job: undefined, start: startOf(init) }] : [];
  });
}

/** Of an object that is written out. */
function scheduleOf(value: unknown, job: string | undefined): CodeSchedule[] {
  const object = inner(value);
  const schedule = propertyOf(object, "schedule");
  const text = textOf(schedule);
  if (text === undefined || !LIKE_CRON.test(text)) return [];
  const zone = textOf(propertyOf(object, "timezone") ?? propertyOf(object, "timeZone"));
  return [{ text: zone === undefined ? text : `${text} ${zone}`, job, start: startOf(schedule) }];
}

function propertyOf(object: Node | undefined, name: string): unknown {
  const properties = object?.["properties"];
  if (!Array.isArray(properties)) return undefined;
  return properties.find(({ key, computed }) => !computed && (key?.name === name || key?.value === name))?.value;
}

function textOf(node: unknown): string | undefined {
  const literal = inner(node);
  if (literal?.type === "Literal" && typeof literal["value"] === "string") return literal["value"];
  const [quasis, expressions] = [literal?.["quasis"], literal?.["expressions"]];
  if (literal?.type !== "TemplateLiteral" || !Array.isArray(quasis) || !Array.isArray(expressions)) return undefined;
  return expressions.length === 0 ? quasis[0]?.value?.cooked ?? undefined : undefined;
}

const FIELDS = ["minute", "hour", "dayOfMonth", "month", "dayOfWeek"];

/** `{ hour: { every: 2 } }`, as Deno takes it instead of a text. */
function textOfFields(node: unknown): string | undefined {
  const object = inner(node);
  if (object?.type !== "ObjectExpression") return undefined;
  const fields = FIELDS.map((name) => fieldOf(propertyOf(object, name)));
  return fields.includes(undefined) ? undefined : fields.join(" ");
}

function fieldOf(node: unknown): string | undefined {
  if (node === undefined) return "*";
  const numbers = numbersOf(node);
  if (numbers !== undefined) return numbers;
  const object = inner(node);
  const exact = propertyOf(object, "exact");
  if (exact !== undefined) return numbersOf(exact);
  const [start, end, every] = ["start", "end", "every"].map((name) => numbersOf(propertyOf(object, name)));
  if (object?.type !== "ObjectExpression") return undefined;
  const range = start === undefined ? "*" : end === undefined ? start : `${start}-${end}`;
  return every === undefined ? range : `${range}/${every}`;
}

function numbersOf(node: unknown): string | undefined {
  const literal = inner(node);
  if (literal?.type === "Literal" && typeof literal["value"] === "number") return String(literal["value"]);
  const elements = literal?.["elements"];
  if (!Array.isArray(elements) || elements.length === 0) return undefined;
  const numbers = elements.map(numbersOf);
  return numbers.includes(undefined) ? undefined : numbers.join(",");
}

/** Behind parentheses, `as`, `satisfies` and `!`. */
function inner(node: unknown): Node | undefined {
  if (!isNode(node)) return undefined;
  return isNode(node["expression"]) ? inner(node["expression"]) : node;
}

function startOf(node: unknown): number {
  const literal = inner(node);
  const isText = literal?.type === "Literal" || literal?.type === "TemplateLiteral";
  return Number(literal?.["start"] ?? 0) + (isText ? 1 : 0);
}

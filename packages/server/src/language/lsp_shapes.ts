/**
 * What the language server answers, in the words of the contract.
 *
 * It reads hostile source, and packages of anybody: nothing of an answer is trusted to have its shape.
 *
 * @module
 */
import type {
  LanguageAnswer,
  LanguageCompletion,
  LanguageHover,
  LanguagePlace,
  LanguageProblem,
  LanguageSignatures,
} from "@fluxbase/contract";

type Fields = Readonly<Record<string, unknown>>;
type Move = (place: LanguagePlace) => LanguagePlace;

const TEXT_MAX_LENGTH = 20_000;
const PROBLEMS_MAX_COUNT = 500;
const COMPLETIONS_MAX_COUNT = 300;
const SIGNATURES_MAX_COUNT = 20;
const SEVERITIES = ["error", "error", "warning", "info", "hint"] as const;
/** By number, from 1 on: Language Server Protocol 3.17, CompletionItemKind. */
const KINDS =
  "text method function constructor field variable class interface module property unit value enum keyword snippet color file reference folder enumMember constant struct event operator typeParameter"
    .split(" ");
/** Of a package or module that is not there yet. */
const ABSENT = /^(?:not-installed|no-cache)/;
const UNNECESSARY = 1;
/** A handler that nothing calls is one that the server does. */
const HANDLER_UNUSED = /^'handler' is declared but/;

export interface Problems {
  readonly problems: readonly LanguageProblem[];
  /** Packages that have to be fetched before more can be said, as a text that changes with them. */
  readonly absent: string;
}

export function problemsOf(report: unknown, outward: Move): Problems {
  const absent: string[] = [];
  const problems: LanguageProblem[] = [];
  for (const item of listIn(report, "items").map(fieldsOf)) {
    const message = textOf(item["message"]);
    const code = textOf(item["code"]);
    const severity = SEVERITIES[Number(item["severity"])] ?? "error";
    if (ABSENT.test(code)) absent.push(message);
    const isUnnecessary = listIn(item, "tags").includes(UNNECESSARY);
    // Suggestions are no problems, unless something is there for nothing.
    if ((severity === "hint" && !isUnnecessary) || HANDLER_UNUSED.test(message)) continue;
    if (problems.length < PROBLEMS_MAX_COUNT) {
      problems.push({ message, severity, code, ...rangeOf(item["range"], outward) });
    }
  }
  return { problems, absent: absent.sort().join("\n") };
}

export function isAbsent({ code }: LanguageProblem): boolean {
  return ABSENT.test(code);
}

export interface Completions {
  readonly answer: LanguageAnswer["completions"];
  /** As they came, for details. */
  readonly raw: readonly unknown[];
}

/** @param word before the cursor: what does not fit it is left out first */
export function completionsOf(list: unknown, word: string, outward: Move): Completions {
  const all = Array.isArray(list) ? list : listIn(list, "items");
  const begin = word.toLowerCase();
  const fits = (item: unknown) => textOf(fieldsOf(item)["label"]).toLowerCase().includes(begin);
  const order = (item: unknown) => textOf(fieldsOf(item)["sortText"]);
  const fitting = all.filter(fits).sort((a, b) => order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0);
  const raw = fitting.slice(0, COMPLETIONS_MAX_COUNT);
  return {
    raw,
    answer: { items: raw.map((item) => completionOf(fieldsOf(item), outward)), isCut: raw.length < fitting.length },
  };
}

function completionOf(item: Fields, outward: Move): LanguageCompletion {
  // What may be absent is shown with a question mark, and put in without.
  const label = textOf(item["label"]).replace(/\?$/, "");
  const edit = fieldsOf(item["textEdit"]);
  const range = edit["range"] ?? edit["replace"];
  return {
    label,
    kind: KINDS[Number(item["kind"]) - 1] ?? "text",
    detail: textOf(item["detail"]),
    insert: textOf(edit["newText"]) || textOf(item["insertText"]) || label,
    replaces: range === undefined ? null : rangeOf(range, outward),
    order: textOf(item["sortText"]),
  };
}

export function detailsOf(item: unknown): LanguageHover | null {
  const { detail, documentation } = fieldsOf(item);
  const parts = [detail ? `\`\`\`ts\n${textOf(detail)}\n\`\`\`` : "", markdownOf(documentation)];
  return hover(parts.filter((part) => part !== "").join("\n\n"));
}

export function hoverOf(answer: unknown): LanguageHover | null {
  return hover(markdownOf(fieldsOf(answer)["contents"]));
}

function hover(markdown: string): LanguageHover | null {
  return markdown === "" ? null : { markdown: markdown.slice(0, TEXT_MAX_LENGTH) };
}

export function signaturesOf(answer: unknown): LanguageSignatures | null {
  const signatures = listIn(answer, "signatures").slice(0, SIGNATURES_MAX_COUNT).map(fieldsOf).map((one) => {
    const label = textOf(one["label"]);
    return { label, markdown: markdownOf(one["documentation"]), parameters: parametersOf(label, one) };
  });
  if (signatures.length === 0) return null;
  const { activeSignature, activeParameter } = fieldsOf(answer);
  return { signatures, active: countOf(activeSignature), activeParameter: countOf(activeParameter) };
}

function parametersOf(label: string, signature: Fields): [number, number][] {
  let from = 0;
  return listIn(signature, "parameters").map(fieldsOf).map(({ label: own }): [number, number] => {
    if (Array.isArray(own)) return [countOf(own[0]), countOf(own[1])];
    const start = label.indexOf(textOf(own), from);
    if (start < 0) return [0, 0];
    from = start + textOf(own).length;
    return [start, from];
  });
}

export interface TextEdit {
  readonly from: LanguagePlace;
  readonly to: LanguagePlace;
  readonly text: string;
}

export function editsOf(answer: unknown): TextEdit[] {
  const edits = Array.isArray(answer) ? answer : [];
  return edits.map(fieldsOf).map(({ range, newText }) => ({
    ...rangeOf(range, (place) => place),
    text: typeof newText === "string" ? newText : "",
  }));
}

/** @param edits none of which touches another, as the protocol promises */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  const starts = [0, ...text.matchAll(/\n/g).map(({ index }) => index + 1)];
  const offsetOf = ({ line, character }: LanguagePlace) =>
    Math.min(text.length, (starts[line] ?? text.length) + character);
  const placed = edits.map(({ from, to, text }) => ({ from: offsetOf(from), to: offsetOf(to), text }))
    .sort((a, b) => a.from - b.from);
  let result = "";
  let end = 0;
  for (const edit of placed) {
    if (edit.from < end) continue;
    result += text.slice(end, edit.from) + edit.text;
    end = edit.to;
  }
  return result + text.slice(end);
}

function markdownOf(value: unknown): string {
  if (typeof value === "string") return value.slice(0, TEXT_MAX_LENGTH);
  if (Array.isArray(value)) return value.map(markdownOf).join("\n\n").slice(0, TEXT_MAX_LENGTH);
  const { value: text, language } = fieldsOf(value);
  if (text === undefined) return "";
  return language === undefined ? textOf(text) : `\`\`\`${textOf(language)}\n${textOf(text)}\n\`\`\``;
}

function rangeOf(range: unknown, outward: Move): { from: LanguagePlace; to: LanguagePlace } {
  const { start, end } = fieldsOf(range);
  return { from: outward(placeOf(start)), to: outward(placeOf(end)) };
}

function placeOf(value: unknown): LanguagePlace {
  const { line, character } = fieldsOf(value);
  return { line: countOf(line), character: countOf(character) };
}

function countOf(value: unknown): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : 0;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value.slice(0, TEXT_MAX_LENGTH) : typeof value === "number" ? String(value) : "";
}

function listIn(value: unknown, name: string): unknown[] {
  const list = fieldsOf(value)[name];
  return Array.isArray(list) ? list : [];
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}

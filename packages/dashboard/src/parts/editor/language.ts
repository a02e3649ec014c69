/**
 * What an editor has of the server's language service: problems, completions, what is pointed at, and the usual form.
 *
 * Everything it shows was written by authors of packages, so it is put in as text.
 *
 * @module
 */
import {
  autocompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
} from "@codemirror/autocomplete";
import { localCompletionSource } from "@codemirror/lang-javascript";
import { type Diagnostic, forEachDiagnostic, linter } from "@codemirror/lint";
import { type Extension, StateEffect, type Text } from "@codemirror/state";
import { type EditorView, hoverTooltip, keymap, ViewPlugin } from "@codemirror/view";
import type { LanguageCompletion, LanguagePlace, LanguageProblem } from "@fluxbase/contract";
import type { LanguageSession } from "./language_session.ts";
import "./language.css";

const lookAgain = StateEffect.define<null>();
const TYPED_MS = 400;
const SOURCE = "types";
const SEVERITIES = { error: "error", warning: "warning", info: "info", hint: "hint" } as const;
/** As CodeMirror calls them, for its icons. */
const KINDS: Readonly<Record<string, string>> = {
  method: "method",
  function: "function",
  constructor: "function",
  field: "property",
  property: "property",
  variable: "variable",
  constant: "constant",
  class: "class",
  interface: "interface",
  module: "namespace",
  enum: "enum",
  enumMember: "constant",
  keyword: "keyword",
  typeParameter: "type",
  struct: "type",
};

export function languageExtension(session: LanguageSession, path: string): Extension {
  if (!/\.[cm]?[jt]sx?$/.test(path)) return [];
  const at = ({ state }: { readonly state: { readonly doc: Text } }) => ({ path, text: state.doc.toString() });

  async function problems(view: EditorView): Promise<readonly Diagnostic[]> {
    const found = await session.ask({ what: "problems", path }, at(view));
    const kept: Diagnostic[] = [];
    // Those of the build stay until there is another one.
    forEachDiagnostic(view.state, (diagnostic, from, to) => {
      if (diagnostic.source !== SOURCE) kept.push({ ...diagnostic, from, to });
    });
    return [...kept, ...(found ?? []).map((problem) => diagnosticOf(problem, view.state.doc))];
  }

  async function complete(context: CompletionContext): Promise<CompletionResult | null> {
    const word = context.matchBefore(/[\w$]+/);
    const before = context.state.sliceDoc(Math.max(0, context.pos - 1), context.pos);
    if (!context.explicit && word === null && !/[."'/@<]/.test(before)) return null;
    const place = placeAt(context.state.doc, context.pos);
    const answer = await session.ask({ what: "completions", path, place }, at(context));
    if (answer === undefined) return localCompletionSource(context);
    if (context.aborted || answer.items.length === 0) return null;
    return {
      from: word?.from ?? context.pos,
      options: answer.items.map((item, index) => completionOf(session, item, { index, doc: context.state.doc })),
      // What was cut may fit what is typed next.
      ...(answer.isCut ? {} : { validFor: /^[\w$]*$/ }),
    };
  }

  const hover = hoverTooltip(async (view, pos) => {
    const word = view.state.wordAt(pos);
    const found = await session.ask({ what: "hover", path, place: placeAt(view.state.doc, pos) }, at(view));
    if (found === undefined || found === null) return null;
    return {
      pos: word?.from ?? pos,
      end: word?.to ?? pos,
      above: true,
      create: () => ({ dom: shown(found.markdown) }),
    };
  });

  async function format(view: EditorView): Promise<void> {
    const before = view.state.doc;
    const text = await session.ask({ what: "format", path }, at(view));
    if (text === undefined || text === null || view.state.doc !== before) return;
    const head = Math.min(view.state.selection.main.head, text.length);
    view.dispatch({ changes: { from: 0, to: before.length, insert: text }, selection: { anchor: head } });
  }

  return [
    linter(problems, {
      delay: TYPED_MS,
      needsRefresh: ({ transactions }) => transactions.some(({ effects }) => effects.some((one) => one.is(lookAgain))),
    }),
    followed(session),
    autocompletion({ override: [complete] }),
    hover,
    keymap.of([{ key: "Shift-Alt-f", run: (view) => (void format(view), true) }]),
  ];
}

/** There may be other problems once it can be asked again, or has fetched what the source imports. */
function followed(session: LanguageSession): Extension {
  return ViewPlugin.define((view) => {
    let before = session.state.kind;
    const unsubscribe = session.subscribe(() => {
      const { kind } = session.state;
      const isOther = (kind === "ready" && before === "fetching") || (kind === "off" && before === "unavailable");
      before = kind;
      if (isOther) view.dispatch({ effects: lookAgain.of(null) });
    });
    return { destroy: unsubscribe };
  });
}

function completionOf(
  session: LanguageSession,
  { label, kind, detail, insert, replaces }: LanguageCompletion,
  { index, doc }: { readonly index: number; readonly doc: Text },
): Completion {
  return {
    label,
    type: KINDS[kind] ?? "text",
    ...(detail === "" ? {} : { detail }),
    apply(view, _completion, from, to) {
      const start = replaces === null ? from : Math.min(offsetOf(doc, replaces.from), from);
      view.dispatch({
        changes: { from: start, to, insert },
        selection: { anchor: start + insert.length },
        userEvent: "input.complete",
      });
    },
    async info() {
      const details = await session.ask({ what: "details", index });
      return details === undefined || details === null ? null : shown(details.markdown);
    },
  };
}

function diagnosticOf({ message, severity, from, to }: LanguageProblem, doc: Text): Diagnostic {
  const start = offsetOf(doc, from);
  return {
    from: start,
    to: Math.max(start, offsetOf(doc, to)),
    severity: SEVERITIES[severity],
    message,
    source: SOURCE,
  };
}

function placeAt(doc: Text, offset: number): LanguagePlace {
  const line = doc.lineAt(offset);
  return { line: line.number - 1, character: offset - line.from };
}

function offsetOf(doc: Text, { line, character }: LanguagePlace): number {
  const row = doc.line(Math.min(line + 1, doc.lines));
  return Math.min(row.from + character, row.to);
}

/** Code and paragraphs; whatever else markdown has stays as it is written. */
function shown(markdown: string): HTMLElement {
  const box = document.createElement("div");
  box.className = "language-tip";
  for (const [index, part] of markdown.split(/^```\w*$/m).entries()) {
    const text = part.trim();
    if (text === "") continue;
    const element = document.createElement(index % 2 === 1 ? "pre" : "p");
    element.textContent = text;
    box.append(element);
  }
  return box;
}

/**
 * An editor of several files, one of which is in sight: each keeps its history, its selection and where it was scrolled to.
 *
 * @module
 */
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import {
  bracketMatching,
  foldGutter,
  foldKeymap,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension, type Text } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  rectangularSelection,
} from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";
import type { BuildProblem } from "@fluxbase/sdk";
import { useEffect, useRef } from "react";
import { STYLE_NONCE } from "../../server.ts";
import { languageOf } from "./languages.ts";
import "./editor.css";

export interface CodeEditorProps {
  /** The file in sight. */
  readonly path: string;
  readonly value: string;
  readonly label: string;
  /** Without, it can only be read. */
  readonly onChange?: (value: string) => void;
  readonly problems?: readonly BuildProblem[];
  /** What else the file is edited with, such as a language service; asked once for each file. */
  readonly extrasOf?: (path: string) => Extension;
}

/** For every text, also where two are compared. */
export function basicsOf(path: string, isReadOnly: boolean): Extension {
  return [
    EditorView.cspNonce.of(STYLE_NONCE),
    lineNumbers(),
    highlightSpecialChars(),
    syntaxHighlighting(classHighlighter),
    languageOf(path),
    EditorState.tabSize.of(2),
    indentUnit.of("  "),
    EditorState.readOnly.of(isReadOnly),
    EditorView.editable.of(!isReadOnly),
  ];
}

/** What is typed over a selection: the browser would give it the style of what was there, which the page refuses. */
const typingOver: Extension = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { data, inputType, isComposing } = event;
    const { main } = view.state.selection;
    if (inputType !== "insertText" || data === null || main.empty || isComposing) return false;
    const typed = () =>
      view.state.update(view.state.replaceSelection(data), { userEvent: "input.type", scrollIntoView: true });
    const isHandled = view.state.facet(EditorView.inputHandler).some((handle) =>
      handle(view, main.from, main.to, data, typed)
    );
    if (!isHandled) view.dispatch(typed());
    event.preventDefault();
    return true;
  },
});

const WRITING: Extension = [
  typingOver,
  history(),
  foldGutter(),
  drawSelection(),
  indentOnInput(),
  bracketMatching(),
  closeBrackets(),
  autocompletion(),
  rectangularSelection(),
  highlightActiveLine(),
  highlightActiveLineGutter(),
  highlightSelectionMatches(),
  lintGutter(),
  keymap.of([
    ...closeBracketsKeymap,
    ...defaultKeymap,
    ...searchKeymap,
    ...historyKeymap,
    ...foldKeymap,
    ...completionKeymap,
    ...lintKeymap,
    indentWithTab,
  ]),
];

export function CodeEditor({ path, value, label, onChange, problems = [], extrasOf }: CodeEditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const states = useRef(new Map<string, EditorState>());
  const shown = useRef(path);
  const changed = useRef(onChange);
  changed.current = onChange;

  function stateOf(path: string, value: string): EditorState {
    const known = states.current.get(path);
    if (known !== undefined && known.doc.toString() === value) return known;
    return EditorState.create({
      doc: value,
      extensions: [
        basicsOf(path, changed.current === undefined),
        WRITING,
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", tabindex: "0", "data-path": path }),
        EditorView.updateListener.of(({ docChanged, state }) => {
          if (docChanged) changed.current?.(state.doc.toString());
        }),
        extrasOf?.(path) ?? [],
      ],
    });
  }

  useEffect(() => {
    if (place.current === null) return;
    const made = new EditorView({ state: stateOf(path, value), parent: place.current });
    view.current = made;
    shown.current = path;
    return () => {
      made.destroy();
      view.current = null;
    };
  }, []);

  useEffect(() => {
    const current = view.current;
    if (current === null) return;
    if (shown.current !== path) {
      states.current.set(shown.current, current.state);
      shown.current = path;
      current.setState(stateOf(path, value));
    } else if (current.state.doc.toString() !== value) {
      // From outside: another version was taken over.
      current.dispatch({ changes: { from: 0, to: current.state.doc.length, insert: value } });
    }
  }, [path, value]);

  useEffect(() => {
    const current = view.current;
    if (current === null) return;
    const { doc } = current.state;
    const found = problems.filter(({ file }) => file === path).map((problem) => diagnosticOf(problem, doc));
    current.dispatch(setDiagnostics(current.state, found));
  }, [path, problems]);

  return <div className="editor" ref={place} />;
}

function diagnosticOf({ line, column, message }: BuildProblem, doc: Text): Diagnostic {
  const row = doc.line(Math.min(Math.max(1, line ?? 1), doc.lines));
  const from = Math.min(row.to, row.from + Math.max(0, (column ?? 1) - 1));
  return { from, to: Math.max(from, Math.min(row.to, from + 1)), severity: "error", message, source: "build" };
}

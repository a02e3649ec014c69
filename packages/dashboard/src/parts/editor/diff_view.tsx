/**
 * What differs between two texts of one file.
 *
 * @module
 */
import { unifiedMergeView } from "@codemirror/merge";
import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { basicsOf } from "./code_editor.tsx";
import "./editor.css";

/** Lines around a difference that are shown. */
const MARGIN_LINES = 3;

export function DiffView(
  { path, before, after }: { readonly path: string; readonly before: string; readonly after: string },
) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (place.current === null) return;
    const view = new EditorView({
      parent: place.current,
      state: EditorState.create({
        doc: after,
        extensions: [
          basicsOf(path, true),
          EditorView.contentAttributes.of({ "aria-label": `Differences in ${path}`, tabindex: "0" }),
          unifiedMergeView({
            original: before,
            mergeControls: false,
            gutter: true,
            collapseUnchanged: { margin: MARGIN_LINES, minSize: 4 },
          }),
        ],
      }),
    });
    return () => view.destroy();
  }, [path, before, after]);
  return <div className="diff" ref={place} />;
}

export interface FileDifference {
  readonly path: string;
  readonly before: string;
  readonly after: string;
  readonly kind: "added" | "removed" | "changed";
}

type Files = Readonly<Record<string, string>>;

export function differencesOf(before: Files, after: Files): readonly FileDifference[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
    .filter((path) => before[path] !== after[path])
    .map((path) => ({
      path,
      before: before[path] ?? "",
      after: after[path] ?? "",
      kind: before[path] === undefined ? "added" : after[path] === undefined ? "removed" : "changed",
    }));
}

export function FileDifferences({ before, after }: { readonly before: Files; readonly after: Files }) {
  const found = differencesOf(before, after);
  if (found.length === 0) return <p className="muted">The source is the same.</p>;
  return (
    <div className="stack">
      {found.map(({ path, before, after, kind }) => (
        <section className="card" key={path}>
          <h3 className="card-head">
            <code className="break">{path}</code>
            {kind !== "changed" && <span className="small muted">{kind}</span>}
          </h3>
          <DiffView path={path} before={before} after={after} />
        </section>
      ))}
    </div>
  );
}

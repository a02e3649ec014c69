/**
 * Main task: change the code, deploy it with Ctrl-S, and see beside it what it answers.
 *
 * @module
 */
import type { FunctionDetails } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { CircleAlert, GitCompare, Rocket } from "lucide-react";
import { useEffect, useState } from "react";
import { functionQuery, pathOf } from "../../data/functions.ts";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { CodeEditor } from "../../parts/editor/code_editor.tsx";
import { FileDifferences } from "../../parts/editor/diff_view.tsx";
import { languageExtension } from "../../parts/editor/language.ts";
import { useLanguage, useLanguageWords } from "../../parts/editor/use_language.ts";
import { Segments } from "../../parts/segments.tsx";
import { useClient } from "../../session/use_session.ts";
import { Conflict } from "./conflict.tsx";
import { FileTree } from "./file_tree.tsx";
import { entryOf } from "./files.ts";
import { TestPanel } from "./test_panel.tsx";
import { useDraft } from "./use_draft.ts";
import "./code.css";

/** How soon one hears that somebody else has deployed. */
const LOOK_EVERY_MS = 5_000;

export function CodePage() {
  const place = useParams({ from: "/shell/functions/$namespace/$name" });
  const fn = useQuery({ ...functionQuery(useClient(), place), refetchInterval: LOOK_EVERY_MS }).data;
  return fn === undefined ? null : <Code fn={fn} />;
}

function Code({ fn }: { readonly fn: FunctionDetails }) {
  const client = useClient();
  const draft = useDraft(fn);
  const { files, isChanged, isDeploying } = draft;
  const [wanted, setOpen] = useState(() => entryOf(files));
  const [side, setSide] = useState<"code" | "test">("code");
  const [isComparing, setComparing] = useState(false);
  const language = useLanguage(fn.namespace, { entry: entryOf(files), files });
  const words = useLanguageWords(language);
  const isShared = fn.shared_modules.includes(wanted);
  const open = isShared || Object.hasOwn(files, wanted) ? wanted : entryOf(files);
  const shared = useQuery({
    queryKey: ["shared", fn.namespace, open],
    queryFn: () => client.functions.getSharedModule(open, { namespace: fn.namespace }),
    enabled: isShared,
  });
  // Those of the version that is shown, not of what is being written.
  const problems = fn.version === draft.base ? fn.bundle_problems : [];

  useEffect(() => {
    const save = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
      event.preventDefault();
      if (isChanged && !isDeploying) void draft.deploy();
    };
    addEventListener("keydown", save);
    return () => removeEventListener("keydown", save);
  });

  return (
    <div className="code" data-side={side}>
      <div className="code-bar">
        <span className="code-sides">
          <Segments
            label="Beside"
            value={side}
            options={[["code", "Code"], ["test", "Test"]]}
            onChange={setSide}
          />
        </span>
        <span className="small muted" role="status">
          {isDeploying ? "Deploying …" : isChanged ? "Not deployed yet" : `Version ${draft.base}`}
        </span>
        {words !== "" && <span className="small muted code-words" role="status">{words}</span>}
        <span className="spread row">
          <span className="code-changes">
            <Button kind="quiet" icon={GitCompare} disabled={!isChanged} onClick={() => setComparing(true)}>
              Changes
            </Button>
          </span>
          <Button
            kind="primary"
            icon={Rocket}
            busy={isDeploying}
            disabled={!isChanged}
            data-tip="Ctrl-S"
            onClick={() => void draft.deploy()}
          >
            Deploy
          </Button>
        </span>
      </div>
      <div className="code-files">
        <FileTree
          files={files}
          shared={fn.shared_modules}
          open={open}
          changedPaths={draft.changedPaths}
          brokenPaths={new Set(problems.map(({ file }) => file ?? ""))}
          onOpen={setOpen}
          onChange={(next, path) => {
            draft.set(next);
            setOpen(path);
          }}
        />
      </div>
      <div className="code-main">
        <Conflict draft={draft} />
        {isShared
          ? (
            <CodeEditor
              key="shared"
              path={open}
              value={shared.data?.content ?? ""}
              label={`${open}, to read`}
            />
          )
          : (
            <CodeEditor
              key="own"
              path={open}
              value={files[open] ?? ""}
              label={`Code of ${fn.name}`}
              problems={problems}
              extrasOf={(path) => languageExtension(language, path)}
              onChange={(text) => draft.set({ ...files, [open]: text })}
            />
          )}
        {problems.length > 0 && (
          <section className="problems" aria-label="Build problems">
            <p className="small">
              Version {fn.version} did not build;{" "}
              {fn.live_version === null ? "calls get an error" : `version ${fn.live_version} goes on serving calls`}.
            </p>
            <ul>
              {problems.map(({ message, file, line, column }, index) => (
                <li key={index}>
                  <button type="button" className="problem" onClick={() => file && setOpen(file)}>
                    <CircleAlert className="icon" aria-hidden />
                    <code>{file}{line !== null && `:${line}:${column ?? 1}`}</code>
                    <span className="break">{message}</span>
                  </button>
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
      <aside className="code-test" aria-label="Test">
        <TestPanel key={pathOf(fn)} fn={fn} />
      </aside>
      <Dialog
        wide
        title="Your changes"
        about={`Since version ${draft.base}.`}
        open={isComparing}
        onOpenChange={setComparing}
      >
        <FileDifferences before={draft.baseFiles} after={files} />
        <div className="dialog-actions">
          <Button kind="danger" onClick={() => (draft.set(draft.baseFiles), setComparing(false))}>Undo all</Button>
          <Button onClick={() => setComparing(false)}>Close</Button>
        </div>
      </Dialog>
    </div>
  );
}

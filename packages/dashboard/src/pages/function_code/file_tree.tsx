/**
 * The files of a function: open, add, rename, delete.
 *
 * @module
 */
import { Ellipsis, FileCode2, FilePlus2, Library, type LucideIcon, Pencil, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { Files } from "../../data/drafts.ts";
import { Button, IconButton } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { TextField } from "../../parts/field.tsx";
import { Menu } from "../../parts/menu.tsx";
import { addFile, isEntryOf, pathProblem, removeFile, renameFile } from "./files.ts";

export interface FileTreeProps {
  readonly files: Files;
  readonly shared: readonly string[];
  readonly open: string;
  readonly changedPaths: ReadonlySet<string>;
  readonly brokenPaths: ReadonlySet<string>;
  readonly onOpen: (path: string) => void;
  readonly onChange: (files: Files, open: string) => void;
}

type Asking = { readonly what: "add" } | { readonly what: "rename"; readonly path: string };

export function FileTree({ files, shared, open, changedPaths, brokenPaths, onOpen, onChange }: FileTreeProps) {
  const [asking, setAsking] = useState<Asking | null>(null);
  const paths = Object.keys(files).sort();
  return (
    <nav className="files" aria-label="Files">
      <div className="files-head">
        <h2>Files</h2>
        <IconButton small icon={FilePlus2} label="Add a file" onClick={() => setAsking({ what: "add" })} />
      </div>
      <ul>
        {paths.map((path) => (
          <li key={path} className="file" data-open={path === open || undefined}>
            <FileButton icon={FileCode2} path={path} {...{ open, onOpen }} isBroken={brokenPaths.has(path)}>
              {changedPaths.has(path) && <span className="file-mark" role="img" aria-label="not deployed" />}
            </FileButton>
            {!isEntryOf(path, files) && (
              <Menu
                trigger={
                  <button
                    type="button"
                    className="button file-more"
                    data-kind="quiet"
                    data-icon-only
                    data-small
                    aria-label={`More about ${path}`}
                  >
                    <Ellipsis className="icon" aria-hidden />
                  </button>
                }
                entries={[
                  { text: "Rename …", icon: Pencil, onSelect: () => setAsking({ what: "rename", path }) },
                  {
                    text: "Delete",
                    icon: Trash2,
                    danger: true,
                    onSelect: () => {
                      const rest = removeFile(files, path);
                      onChange(rest, path === open ? Object.keys(rest).sort()[0] ?? "" : open);
                    },
                  },
                ]}
              />
            )}
          </li>
        ))}
      </ul>
      {shared.length > 0 && (
        <>
          <div className="files-head">
            <h2>Shared (read-only)</h2>
          </div>
          <ul>
            {shared.map((path) => (
              <li key={path} className="file" data-open={path === open || undefined}>
                <FileButton icon={Library} path={path} {...{ open, onOpen }} />
              </li>
            ))}
          </ul>
        </>
      )}
      {asking && (
        <PathDialog
          key={asking.what === "rename" ? asking.path : ""}
          title={asking.what === "add" ? "Add a file" : `Rename ${asking.path}`}
          start={asking.what === "add" ? "" : asking.path}
          problemOf={(path) => pathProblem(path, files)}
          onClose={() => setAsking(null)}
          onDone={(path) => {
            onChange(asking.what === "add" ? addFile(files, path) : renameFile(files, asking.path, path), path);
            setAsking(null);
          }}
        />
      )}
    </nav>
  );
}

function PathDialog(
  { title, start, problemOf, onClose, onDone }: {
    readonly title: string;
    readonly start: string;
    readonly problemOf: (path: string) => string | undefined;
    readonly onClose: () => void;
    readonly onDone: (path: string) => void;
  },
) {
  const [path, setPath] = useState(start);
  const [problem, setProblem] = useState<string>();
  return (
    <Dialog title={title} open onOpenChange={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          const found = problemOf(path.trim());
          setProblem(found);
          if (found === undefined) onDone(path.trim());
        }}
      >
        <TextField
          label="Path"
          value={path}
          autoFocus
          autoComplete="off"
          spellCheck={false}
          placeholder="lib/format.ts"
          error={problem}
          hint="Import it as ./lib/format.ts"
          onChange={(event) => setPath(event.currentTarget.value)}
        />
        <div className="dialog-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit">{title.split(" ")[0]}</Button>
        </div>
      </form>
    </Dialog>
  );
}

function FileButton(
  { icon: Icon, path, open, onOpen, isBroken, children }: {
    readonly icon: LucideIcon;
    readonly path: string;
    /** The path that is shown in the editor. */
    readonly open: string;
    readonly onOpen: (path: string) => void;
    readonly isBroken?: boolean;
    readonly children?: ReactNode;
  },
) {
  return (
    <button
      type="button"
      className="file-name"
      aria-current={path === open || undefined}
      onClick={() => onOpen(path)}
    >
      <Icon className="icon" aria-hidden />
      <span className="file-text" data-broken={isBroken || undefined}>{path}</span>
      {children}
    </button>
  );
}

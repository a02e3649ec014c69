/**
 * Somebody else has deployed while one was writing: both are shown, and nothing is lost without being asked.
 *
 * @module
 */
import { useState } from "react";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { FileDifferences } from "../../parts/editor/diff_view.tsx";
import { Note } from "../../parts/note.tsx";
import { agoOf } from "../../parts/time.tsx";
import type { DraftOfFunction } from "./use_draft.ts";

export function Conflict({ draft }: { readonly draft: DraftOfFunction }) {
  const [isOpen, setOpen] = useState(false);
  const { theirs, files, isDeploying, deploy, takeTheirs } = draft;
  if (theirs === undefined) return null;
  return (
    <>
      <Note tone="warn">
        <span className="row row-wrap" role="alert">
          Somebody else has deployed version {theirs.version} {agoOf(theirs.updated_at)}; you began from version{" "}
          {draft.base}.
          <Button small onClick={() => setOpen(true)}>Compare and choose</Button>
        </span>
      </Note>
      <Dialog
        wide
        title={`Your text, and version ${theirs.version}`}
        about="Red is in their version only, green in yours."
        open={isOpen}
        onOpenChange={setOpen}
      >
        <FileDifferences before={theirs.files} after={files} />
        <div className="dialog-actions">
          <Button onClick={() => setOpen(false)}>Keep writing</Button>
          <Button
            kind="danger"
            onClick={() => {
              takeTheirs();
              setOpen(false);
            }}
          >
            Take theirs, drop mine
          </Button>
          <Button
            kind="primary"
            busy={isDeploying}
            onClick={() => void deploy({ over: theirs.version }).then(() => setOpen(false))}
          >
            Deploy mine over it
          </Button>
        </div>
      </Dialog>
    </>
  );
}

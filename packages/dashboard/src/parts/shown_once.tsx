/**
 * A value that can be seen now and never again.
 *
 * @module
 */
import { Button } from "./button.tsx";
import { CopyButton } from "./copyable.tsx";
import { Dialog } from "./dialog.tsx";
import { Note } from "./note.tsx";

export interface ShownOnce {
  readonly title: string;
  readonly value: string;
  readonly about: string;
}

export function ShownOnceDialog(
  { shown, onClose }: { readonly shown: ShownOnce | null; readonly onClose: () => void },
) {
  return (
    <Dialog
      title={shown?.title ?? ""}
      open={shown !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
    >
      <div className="row">
        <code className="code-block shown-once" data-wrap tabIndex={0} aria-label="The value">{shown?.value}</code>
        <CopyButton text={shown?.value ?? ""} />
      </div>
      <Note tone="warn">{shown?.about}</Note>
      <div className="dialog-actions">
        <Button kind="primary" onClick={onClose}>I have it</Button>
      </div>
    </Dialog>
  );
}

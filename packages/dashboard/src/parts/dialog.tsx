/**
 * Windows over the page: anything, and the question whether something is really meant.
 *
 * @module
 */
import { type ReactNode, useState } from "react";
import { Button } from "./button.tsx";
import { useLoaded } from "./loaded.ts";
import { ErrorNote } from "./states.tsx";

export interface DialogProps {
  readonly title: string;
  readonly about?: ReactNode;
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
  readonly wide?: boolean;
  readonly children?: ReactNode;
}

const loadRadix = () => import("@radix-ui/react-dialog");

export function Dialog({ title, about, open, onOpenChange, wide, children }: DialogProps) {
  const radix = useLoaded(open, loadRadix);
  if (radix === undefined) return null;
  return (
    <radix.Root open={open} onOpenChange={onOpenChange}>
      <radix.Portal>
        <radix.Overlay className="overlay" />
        <radix.Content
          className="dialog"
          data-wide={wide || undefined}
          {...(about === undefined ? { "aria-describedby": undefined } : {})}
        >
          <div>
            <radix.Title asChild>
              <h2>{title}</h2>
            </radix.Title>
            {about !== undefined && (
              <radix.Description asChild>
                <div className="muted break">{about}</div>
              </radix.Description>
            )}
          </div>
          {children}
        </radix.Content>
      </radix.Portal>
    </radix.Root>
  );
}

/** From the edge of the window, on a narrow one. */
export function Drawer(
  { title, open, onOpenChange, children }: Omit<DialogProps, "about" | "wide">,
) {
  const radix = useLoaded(open, loadRadix);
  if (radix === undefined) return null;
  return (
    <radix.Root open={open} onOpenChange={onOpenChange}>
      <radix.Portal>
        <radix.Overlay className="overlay" />
        <radix.Content className="drawer side" aria-describedby={undefined}>
          <radix.Title className="unseen">{title}</radix.Title>
          {children}
        </radix.Content>
      </radix.Portal>
    </radix.Root>
  );
}

/** Closes when the work is done; says why when it is not. */
export function ConfirmDialog(
  { action, danger, onConfirm, ...dialog }: Omit<DialogProps, "wide" | "children"> & {
    /** On the button. */
    readonly action: string;
    readonly danger?: boolean;
    readonly onConfirm: () => Promise<unknown>;
  },
) {
  const [state, setState] = useState<{ readonly busy: boolean; readonly error: unknown }>({ busy: false, error: null });
  const confirm = async () => {
    setState({ busy: true, error: null });
    try {
      await onConfirm();
      setState({ busy: false, error: null });
      dialog.onOpenChange(false);
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return (
    <Dialog {...dialog}>
      <ErrorNote error={state.error} />
      <div className="dialog-actions">
        <Button onClick={() => dialog.onOpenChange(false)}>Cancel</Button>
        <Button kind={danger ? "danger" : "primary"} busy={state.busy} onClick={() => void confirm()}>{action}</Button>
      </div>
    </Dialog>
  );
}

/** A question about one of many; while there is no subject, it is not asked. */
export function ConfirmAbout<Subject>(
  { subject, onClose, onConfirm, ...question }:
    & Omit<Parameters<typeof ConfirmDialog>[0], "open" | "onOpenChange" | "onConfirm">
    & {
      readonly subject: Subject | null;
      readonly onClose: () => void;
      readonly onConfirm: (subject: Subject) => Promise<unknown>;
    },
) {
  return (
    <ConfirmDialog
      {...question}
      open={subject !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      onConfirm={async () => {
        if (subject !== null) await onConfirm(subject);
      }}
    />
  );
}

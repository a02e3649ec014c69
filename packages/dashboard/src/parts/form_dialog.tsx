/**
 * A window with a form: sends it with Enter, says why it failed, and closes when it is done.
 *
 * @module
 */
import { type ReactNode, useEffect, useState } from "react";
import { Button } from "./button.tsx";
import { Dialog, type DialogProps } from "./dialog.tsx";
import { ErrorNote } from "./states.tsx";

export function FormDialog(
  { action, onSubmit, canSubmit = true, children, ...dialog }: DialogProps & {
    /** On the button. */
    readonly action: string;
    readonly canSubmit?: boolean;
    /** Closes when it resolves, unless with true. */
    readonly onSubmit: () => Promise<unknown>;
    readonly children: ReactNode;
  },
) {
  const [state, setState] = useState<{ readonly busy: boolean; readonly error: unknown }>({ busy: false, error: null });
  useEffect(() => {
    if (dialog.open) setState({ busy: false, error: null });
  }, [dialog.open]);
  const submit = async () => {
    setState({ busy: true, error: null });
    try {
      const staysOpen = await onSubmit() === true;
      setState({ busy: false, error: null });
      if (!staysOpen) dialog.onOpenChange(false);
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return (
    <Dialog {...dialog}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          // Of a form within a window over a form.
          event.stopPropagation();
          void submit();
        }}
      >
        {children}
        <ErrorNote error={state.error} />
        <div className="dialog-actions">
          <Button onClick={() => dialog.onOpenChange(false)}>Cancel</Button>
          <Button type="submit" kind="primary" busy={state.busy} disabled={!canSubmit}>{action}</Button>
        </div>
      </form>
    </Dialog>
  );
}

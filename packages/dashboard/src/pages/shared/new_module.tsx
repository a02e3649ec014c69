/**
 * The name of a module that is made.
 *
 * @module
 */
import { useEffect, useState } from "react";
import { TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { useClient } from "../../session/use_session.ts";

const FIRST_TEXT = `/** What functions import from here. */
export function greet(name: string): string {
  return \`Hello \${name}!\`;
}
`;

export function NewModule(
  { open, onClose, onMade }: {
    readonly open: boolean;
    readonly onClose: () => void;
    readonly onMade: (place: { readonly namespace: string; readonly path: string }) => Promise<unknown>;
  },
) {
  const client = useClient();
  const [name, setName] = useState("");
  const [namespace, setNamespace] = useState("");
  useEffect(() => {
    setName("");
    setNamespace("");
  }, [open]);
  const path = `_shared/${name.trim().replace(/^_shared\//, "")}`;
  return (
    <FormDialog
      title="New shared module"
      open={open}
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
      action="Create"
      canSubmit={name.trim() !== ""}
      onSubmit={async () => {
        const place = namespace.trim() === "" ? {} : { namespace: namespace.trim() };
        const made = await client.functions.createSharedModule({ module_path: path, content: FIRST_TEXT }, place);
        await onMade({ namespace: made.namespace, path: made.module_path });
      }}
    >
      <TextField
        label="Name"
        value={name}
        required
        autoFocus
        placeholder="cors.ts"
        hint={`Imported as "${name.trim() === "" ? "_shared/cors.ts" : path}"`}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <TextField
        label="Namespace"
        value={namespace}
        placeholder="default"
        hint="Functions of every namespace see modules of default."
        onChange={(event) => setNamespace(event.currentTarget.value)}
      />
    </FormDialog>
  );
}

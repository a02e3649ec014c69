/**
 * Environment variables of a function: one by one, or from a file. Values are write-only.
 *
 * @module
 */
import type { FunctionDetails } from "@fluxbase/sdk";
import { FileUp, Pencil, Plus, Trash2, Variable } from "lucide-react";
import { useEffect, useState } from "react";
import { Button, IconButton } from "../../parts/button.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { Field, TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { EmptyState } from "../../parts/states.tsx";
import { envOf } from "./fields.ts";
import { useChange } from "./use_change.ts";

export function Environment({ fn }: { readonly fn: FunctionDetails }) {
  const change = useChange(fn);
  /** A name: its value is replaced; "": a new one. */
  const [edited, setEdited] = useState<string | null>(null);
  const [toDelete, setToDelete] = useState<string | null>(null);
  const [isPasting, setPasting] = useState(false);
  const save = (env_changes: Readonly<Record<string, string | null>>) => change.mutateAsync({ env_changes });
  return (
    <section className="card" aria-label="Environment variables">
      <div className="card-head">
        <h2>Environment variables</h2>
        <span className="spread row">
          <Button small kind="quiet" icon={FileUp} onClick={() => setPasting(true)}>Paste .env</Button>
          <Button small icon={Plus} onClick={() => setEdited("")}>Add</Button>
        </span>
      </div>
      {fn.env.length === 0
        ? (
          <EmptyState icon={Variable} title="No variables yet">
            The function reads them with{" "}
            <code>Deno.env.get("NAME")</code>. For a value that several functions share, use a secret.
          </EmptyState>
        )
        : (
          <ul className="plain-list" aria-label="Variables">
            {fn.env.map((name) => (
              <li key={name} className="row">
                <code className="grow break">{name}</code>
                <span className="muted small">hidden</span>
                <IconButton small icon={Pencil} label={`Replace ${name}`} onClick={() => setEdited(name)} />
                <IconButton small icon={Trash2} label={`Delete ${name}`} onClick={() => setToDelete(name)} />
              </li>
            ))}
          </ul>
        )}
      <VariableDialog
        name={edited}
        taken={fn.env}
        onClose={() => setEdited(null)}
        onSave={(name, value) => save({ [name]: value })}
      />
      <PasteDialog open={isPasting} onOpenChange={setPasting} onSave={save} />
      <ConfirmAbout
        title={`Delete ${toDelete}?`}
        about="The function no longer sees it from its next version on, which is made now. Its value cannot be shown again."
        action="Delete"
        danger
        subject={toDelete}
        onClose={() => setToDelete(null)}
        onConfirm={(name) => save({ [name]: null })}
      />
    </section>
  );
}

function VariableDialog(
  { name, taken, onClose, onSave }: {
    readonly name: string | null;
    readonly taken: readonly string[];
    readonly onClose: () => void;
    readonly onSave: (name: string, value: string) => Promise<unknown>;
  },
) {
  const [typed, setTyped] = useState("");
  const [value, setValue] = useState("");
  useEffect(() => {
    setTyped(name ?? "");
    setValue("");
  }, [name]);
  const isNew = name === "";
  return (
    <FormDialog
      title={isNew ? "Add a variable" : `Replace ${name}`}
      about="Nobody can read the value afterwards. Saving makes a new version of the function."
      open={name !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      action="Save"
      canSubmit={typed.trim() !== ""}
      onSubmit={() => onSave(typed.trim(), value)}
    >
      {isNew && (
        <TextField
          label="Name"
          value={typed}
          required
          autoFocus
          autoComplete="off"
          spellCheck={false}
          placeholder="API_URL"
          hint={taken.includes(typed.trim()) ? "There is one already; its value is replaced." : undefined}
          onChange={(event) => setTyped(event.currentTarget.value)}
        />
      )}
      <Field label="Value">
        {(facts) => (
          <textarea
            {...facts}
            className="textarea mono"
            rows={3}
            autoFocus={!isNew}
            autoComplete="off"
            spellCheck={false}
            value={value}
            onChange={(event) => setValue(event.currentTarget.value)}
          />
        )}
      </Field>
    </FormDialog>
  );
}

function PasteDialog(
  { open, onOpenChange, onSave }: {
    readonly open: boolean;
    readonly onOpenChange: (open: boolean) => void;
    readonly onSave: (env: Readonly<Record<string, string>>) => Promise<unknown>;
  },
) {
  const [text, setText] = useState("");
  useEffect(() => setText(""), [open]);
  return (
    <FormDialog
      title="Paste a .env file"
      about="Variables that it names are added or replaced; the others stay."
      open={open}
      onOpenChange={onOpenChange}
      action="Save"
      canSubmit={text.trim() !== ""}
      onSubmit={() => onSave(envOf(text))}
    >
      <Field label="Lines of NAME=value">
        {(facts) => (
          <textarea
            {...facts}
            className="textarea mono"
            rows={8}
            autoFocus
            spellCheck={false}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
        )}
      </Field>
    </FormDialog>
  );
}

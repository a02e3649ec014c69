/**
 * A secret that is set: new, or with another value.
 *
 * @module
 */
import type { SecretView } from "@fluxbase/sdk";
import { useEffect, useState } from "react";
import { Field, TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

const DAY_MS = 86_400_000;
const ENDS = [["", "Never"], ["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "One year"]] as const;

export function SecretDialog(
  { edited, onClose, onSaved }: {
    readonly edited: SecretView | "new" | null;
    readonly onClose: () => void;
    readonly onSaved: () => Promise<unknown>;
  },
) {
  const client = useClient();
  const before = edited === "new" || edited === null ? undefined : edited;
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [description, setDescription] = useState("");
  const [namespace, setNamespace] = useState("");
  const [days, setDays] = useState("");
  useEffect(() => {
    if (edited === null) return;
    setName(before?.key ?? "");
    setValue("");
    setDescription(before?.description ?? "");
    setNamespace(before?.namespace ?? "");
    setDays("");
  }, [edited]);

  async function save(): Promise<void> {
    const about = description.trim() === "" ? null : description.trim();
    const end = days === "" ? {} : { expires_at: new Date(Date.now() + Number(days) * DAY_MS).toISOString() };
    if (before === undefined) {
      const place = namespace.trim() === "" ? {} : { scope: "namespace", namespace: namespace.trim() } as const;
      await client.secrets.create({ name: name.trim(), value, description: about, ...place, ...end });
    } else {await client.secrets.updateById(before.id, {
        ...(value === "" ? {} : { value }),
        description: about,
        ...end,
      });}
    toast.done(`Set ${name.trim()}`);
    await onSaved();
  }

  return (
    <FormDialog
      title={before === undefined ? "New secret" : before.key}
      about={before === undefined
        ? undefined
        : "The current value cannot be shown. Functions get a new value with their next call."}
      open={edited !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      action="Save"
      canSubmit={name.trim() !== "" && (before !== undefined || value !== "")}
      onSubmit={save}
    >
      {before === undefined && (
        <TextField
          label="Name"
          value={name}
          required
          autoFocus
          autoComplete="off"
          placeholder="STRIPE_SECRET_KEY"
          onChange={(event) => setName(event.currentTarget.value)}
        />
      )}
      <Field label={before === undefined ? "Value" : "New value"}>
        {(facts) => (
          <textarea
            {...facts}
            className="textarea mono"
            rows={3}
            value={value}
            spellCheck={false}
            autoComplete="off"
            onChange={(event) => setValue(event.currentTarget.value)}
          />
        )}
      </Field>
      <TextField
        label="Description"
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
      <div className="row row-wrap">
        {before === undefined && (
          <div className="grow">
            <TextField
              label="Namespace"
              value={namespace}
              placeholder="all namespaces"
              onChange={(event) => setNamespace(event.currentTarget.value)}
            />
          </div>
        )}
        <label className="field grow">
          <span className="field-label">Expires in</span>
          <select className="select" value={days} onChange={(event) => setDays(event.currentTarget.value)}>
            {ENDS.map(([key, text]) => (
              <option key={key} value={key}>{key === "" && before !== undefined ? "Unchanged" : text}</option>
            ))}
          </select>
        </label>
      </div>
    </FormDialog>
  );
}

/**
 * What a key is called, what it may do, where, and until when.
 *
 * @module
 */
import type { Key, NewKey } from "@fluxbase/sdk";
import { useEffect, useState } from "react";
import { TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";

export type KeyKind = "client" | "service";

const SCOPES = [
  ["functions:read", "See functions"],
  ["functions:write", "Deploy functions"],
  ["functions:invoke", "Call functions"],
  ["secrets:read", "See names of secrets"],
  ["secrets:write", "Set secrets"],
  ["tables:read", "Read rows"],
  ["tables:write", "Change rows"],
  ["metrics:read", "Read metrics"],
] as const;
const FIRST_SCOPES = ["functions:invoke"];
const DAY_MS = 86_400_000;
const ENDS = [["", "Never"], ["30", "30 days"], ["90", "90 days"], ["365", "One year"]] as const;

export function KeyDialog(
  { kind, edited, onClose, onSave }: {
    readonly kind: KeyKind;
    readonly edited: Key | "new" | null;
    readonly onClose: () => void;
    readonly onSave: (fields: NewKey) => Promise<void>;
  },
) {
  const before = edited === "new" || edited === null ? undefined : edited;
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [scopes, setScopes] = useState<readonly string[]>(FIRST_SCOPES);
  const [namespaces, setNamespaces] = useState("");
  const [perMinute, setPerMinute] = useState("");
  const [days, setDays] = useState("");
  useEffect(() => {
    if (edited === null) return;
    setName(before?.name ?? "");
    setDescription(before?.description ?? "");
    setScopes(before?.scopes ?? FIRST_SCOPES);
    setNamespaces(before?.namespaces?.join(", ") ?? "");
    setPerMinute(before?.rate_limit_per_minute?.toString() ?? "");
    setDays("");
  }, [edited]);
  // Others, such as functions:*, stay what they are.
  const known = SCOPES.map(([scope]) => scope as string);
  const all = [
    ...SCOPES,
    ...(before?.scopes ?? []).filter((one) => !known.includes(one)).map((one) => [one, one] as const),
  ];
  const places = namespaces.split(",").map((one) => one.trim()).filter((one) => one !== "");
  return (
    <FormDialog
      title={before === undefined ? `New ${kind} key` : `Edit ${before.name}`}
      open={edited !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      action={before === undefined ? "Make the key" : "Save"}
      canSubmit={name.trim() !== ""}
      onSubmit={() =>
        onSave({
          name: name.trim(),
          description: description.trim() === "" ? null : description.trim(),
          ...(kind === "client" ? { scopes } : {}),
          namespaces: places.length === 0 ? null : places,
          rate_limit_per_minute: perMinute === "" ? null : Number(perMinute),
          ...(days === "" ? {} : { expires_at: new Date(Date.now() + Number(days) * DAY_MS).toISOString() }),
        })}
    >
      <TextField
        label="Name"
        value={name}
        maxLength={200}
        required
        autoFocus
        placeholder="ci"
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <TextField
        label="What it is for"
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
      {kind === "client" && (
        <fieldset className="field">
          <legend className="field-label">May</legend>
          <div className="checks">
            {all.map(([scope, text]) => (
              <label key={scope} className="check" data-tip={scope}>
                <input
                  type="checkbox"
                  checked={scopes.includes(scope)}
                  onChange={({ currentTarget: { checked } }) =>
                    setScopes(checked ? [...scopes, scope] : scopes.filter((one) => one !== scope))}
                />
                {text}
              </label>
            ))}
          </div>
        </fieldset>
      )}
      <TextField
        label="Namespaces"
        value={namespaces}
        hint="Separated by commas. Without any, the key is good everywhere."
        onChange={(event) => setNamespaces(event.currentTarget.value)}
      />
      <div className="row row-wrap">
        <div className="grow">
          <TextField
            label="Requests a minute"
            type="number"
            min={1}
            value={perMinute}
            placeholder="no limit"
            onChange={(event) => setPerMinute(event.currentTarget.value)}
          />
        </div>
        {before === undefined && (
          <label className="field grow">
            <span className="field-label">Expires in</span>
            <select className="select" value={days} onChange={(event) => setDays(event.currentTarget.value)}>
              {ENDS.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
            </select>
          </label>
        )}
      </div>
    </FormDialog>
  );
}

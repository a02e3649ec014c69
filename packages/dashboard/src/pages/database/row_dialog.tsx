/**
 * One row, column by column.
 *
 * @module
 */
import type { FluxbaseClient } from "@fluxbase/sdk";
import { useEffect, useState } from "react";
import {
  type ColumnFacts,
  keyOf,
  NOTHING_CHANGED,
  type Row,
  rowsOf,
  type TableFacts,
  textOf,
  valueOf,
} from "../../data/tables.ts";
import { Field } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { toast } from "../../parts/toasts.tsx";

/** Undefined: left to the database; null: null. */
type Texts = Readonly<Record<string, string | null | undefined>>;

const LONG_CHARACTERS = 60;

export function RowDialog(
  { client, table, edited, onClose, onSaved }: {
    readonly client: FluxbaseClient;
    readonly table: TableFacts;
    readonly edited: Row | "new" | null;
    readonly onClose: () => void;
    readonly onSaved: () => Promise<unknown>;
  },
) {
  const before = edited === "new" || edited === null ? undefined : edited;
  const [texts, setTexts] = useState<Texts>({});
  useEffect(() => {
    if (edited !== null) setTexts(before === undefined ? {} : textsOf(table, before));
  }, [edited]);

  async function save(): Promise<void> {
    const known = before === undefined ? {} : textsOf(table, before);
    const changed = table.columns.filter(({ name }) => texts[name] !== undefined && texts[name] !== known[name]);
    const values = Object.fromEntries(
      changed.map((column) => [column.name, valueOf(column, texts[column.name] ?? null)]),
    );
    if (before === undefined) {
      const { error } = await rowsOf(client, table).insert(values);
      if (error !== null) throw error;
      toast.done("Made a row");
    } else if (changed.length > 0) {
      let query = rowsOf(client, table).update(values);
      for (const name of keyOf(table)) query = query.filter(name, "eq", textOf(before[name]));
      const { data, error } = await query.select();
      if (error !== null) throw error;
      if (data.length === 0) throw new Error(NOTHING_CHANGED);
      toast.done("Changed the row");
    }
    await onSaved();
  }

  return (
    <FormDialog
      title={before === undefined ? `New row of ${table.name}` : `A row of ${table.name}`}
      open={edited !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      action="Save"
      onSubmit={save}
    >
      {table.columns.map((column) => (
        <ColumnField
          key={column.name}
          column={column}
          text={texts[column.name]}
          onChange={(text) => setTexts((now) => ({ ...now, [column.name]: text }))}
        />
      ))}
    </FormDialog>
  );
}

function ColumnField(
  { column: { name, type, isNullable, hasDefault }, text, onChange }: {
    readonly column: ColumnFacts;
    readonly text: string | null | undefined;
    readonly onChange: (text: string | null) => void;
  },
) {
  const isLong = /^(text|jsonb?)$|\[\]$/.test(type) && (text?.length ?? 0) > LONG_CHARACTERS;
  const common = {
    value: text ?? "",
    placeholder: text === null ? "null" : hasDefault ? "by default" : "",
    spellCheck: false,
    autoComplete: "off",
  };
  return (
    <Field label={name} hint={`${type}${isNullable ? "" : ", never null"}`}>
      {(facts) => (
        <div className="row">
          {isLong
            ? (
              <textarea
                {...facts}
                {...common}
                className="textarea mono"
                rows={5}
                onChange={(event) => onChange(event.currentTarget.value)}
              />
            )
            : (
              <input
                {...facts}
                {...common}
                className="input mono"
                onChange={(event) => onChange(event.currentTarget.value)}
              />
            )}
          {isNullable && (
            <label className="check small">
              <input
                type="checkbox"
                aria-label={`${name} is null`}
                checked={text === null}
                onChange={(event) => onChange(event.currentTarget.checked ? null : "")}
              />
              null
            </label>
          )}
        </div>
      )}
    </Field>
  );
}

function textsOf({ columns }: TableFacts, row: Row): Texts {
  return Object.fromEntries(
    columns.map(({ name }) => [name, row[name] === null || row[name] === undefined ? null : textOf(row[name])]),
  );
}

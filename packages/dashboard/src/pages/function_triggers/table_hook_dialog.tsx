/**
 * A hook of a table that is added.
 *
 * @module
 */
import { useEffect, useState } from "react";
import type { FunctionPlace } from "../../data/functions.ts";
import { TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

const EVENTS = ["INSERT", "UPDATE", "DELETE"] as const;
type Event = typeof EVENTS[number];

export function TableHookDialog(
  { place: { namespace, name }, open, onClose, onSaved }: {
    readonly place: FunctionPlace;
    readonly open: boolean;
    readonly onClose: () => void;
    readonly onSaved: () => Promise<unknown>;
  },
) {
  const client = useClient();
  const [table, setTable] = useState("");
  const [events, setEvents] = useState<readonly Event[]>(EVENTS);
  const [columns, setColumns] = useState("");
  const [where, setWhere] = useState("");
  const [isOrdered, setOrdered] = useState(false);
  useEffect(() => {
    setTable("");
    setEvents(EVENTS);
    setColumns("");
    setWhere("");
    setOrdered(false);
  }, [open]);
  const names = columns.split(",").map((one) => one.trim()).filter((one) => one !== "");
  return (
    <FormDialog
      title="New table hook"
      about="The function gets whole rows, whatever the policies of the table say."
      open={open}
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
      action="Add"
      canSubmit={table.trim() !== "" && events.length > 0}
      onSubmit={async () => {
        await client.admin.hooks.database.create({
          function: name,
          namespace,
          table: table.trim(),
          events,
          columns: names.length === 0 ? null : names,
          where: where.trim() === "" ? null : where.trim(),
          ordered: isOrdered,
        });
        toast.done(`Added the hook of ${table.trim()}`);
        await onSaved();
      }}
    >
      <TextField
        label="Table"
        value={table}
        required
        autoFocus
        autoComplete="off"
        spellCheck={false}
        placeholder="public.orders"
        onChange={(event) => setTable(event.currentTarget.value)}
      />
      <fieldset className="row row-wrap">
        <legend className="field-label">Changes</legend>
        {EVENTS.map((one) => (
          <label key={one} className="check">
            <input
              type="checkbox"
              checked={events.includes(one)}
              onChange={(event) =>
                setEvents(event.currentTarget.checked ? [...events, one] : events.filter((other) => other !== one))}
            />
            {one}
          </label>
        ))}
      </fieldset>
      <TextField
        label="Columns"
        value={columns}
        spellCheck={false}
        placeholder="status, amount"
        hint="An update counts when one of them changes. Empty: any."
        onChange={(event) => setColumns(event.currentTarget.value)}
      />
      <TextField
        label="Conditions"
        value={where}
        spellCheck={false}
        placeholder="status=eq.paid&amount=gt.100"
        hint="Of the new row; of the old one for DELETE. Empty: every row."
        onChange={(event) => setWhere(event.currentTarget.value)}
      />
      <label className="check">
        <input type="checkbox" checked={isOrdered} onChange={(event) => setOrdered(event.currentTarget.checked)} />
        One event at a time, in order; one that fails holds up the others
      </label>
    </FormDialog>
  );
}

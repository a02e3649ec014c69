/**
 * A schedule that is added or changed.
 *
 * @module
 */
import type { Schedule } from "@fluxbase/sdk";
import { useEffect, useState } from "react";
import type { FunctionPlace } from "../../data/functions.ts";
import { Field, TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

type Overlap = Schedule["overlap"];
type CatchUp = Schedule["catch_up"];

const OVERLAPS: readonly (readonly [Overlap, string])[] = [
  ["skip", "skip the run"],
  ["queue", "run after it"],
  ["allow", "run beside it"],
];
const CATCH_UPS: readonly (readonly [CatchUp, string])[] = [
  ["once", "one run for all that were missed"],
  ["all", "every run that was missed, at most 100"],
  ["none", "nothing"],
];

export function ScheduleDialog(
  { place: { namespace, name }, edited, onClose, onSaved }: {
    readonly place: FunctionPlace;
    readonly edited: Schedule | "new" | null;
    readonly onClose: () => void;
    readonly onSaved: () => Promise<unknown>;
  },
) {
  const client = useClient();
  const [cron, setCron] = useState("");
  const [zone, setZone] = useState("");
  const [overlap, setOverlap] = useState<Overlap>("skip");
  const [catchUp, setCatchUp] = useState<CatchUp>("once");
  const before = edited === "new" ? null : edited;
  useEffect(() => {
    if (edited === null) return;
    setCron(before?.cron ?? "");
    setZone(before?.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
    setOverlap(before?.overlap ?? "skip");
    setCatchUp(before?.catch_up ?? "once");
  }, [edited]);
  return (
    <FormDialog
      title={before === null ? "New schedule" : `Change ${before.name}`}
      about="It stays when the function is deployed again."
      open={edited !== null}
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
      action={before === null ? "Add" : "Save"}
      canSubmit={cron.trim() !== ""}
      onSubmit={async () => {
        const place = zone.trim() === "" ? {} : { time_zone: zone.trim() };
        const fields = { cron: cron.trim(), ...place, overlap, catch_up: catchUp };
        if (before === null) await client.schedules.add(name, fields, { namespace });
        else await client.schedules.update(name, before.id, fields, { namespace });
        toast.done(before === null ? "Added the schedule" : "Changed the schedule");
        await onSaved();
      }}
    >
      <TextField
        label="When"
        value={cron}
        required
        autoFocus
        autoComplete="off"
        placeholder="0 9 * * MON-FRI"
        hint="Minute, hour, day of the month, month, day of the week; or @hourly, @daily."
        onChange={(event) => setCron(event.currentTarget.value)}
      />
      <TextField
        label="Time zone"
        value={zone}
        placeholder="UTC"
        onChange={(event) => setZone(event.currentTarget.value)}
      />
      <Choice label="If the run before has not ended" value={overlap} options={OVERLAPS} onChange={setOverlap} />
      <Choice label="After the server was down" value={catchUp} options={CATCH_UPS} onChange={setCatchUp} />
    </FormDialog>
  );
}

function Choice<Value extends string>(
  { label, value, options, onChange }: {
    readonly label: string;
    readonly value: Value;
    readonly options: readonly (readonly [Value, string])[];
    readonly onChange: (value: Value) => void;
  },
) {
  return (
    <Field label={label}>
      {(facts) => (
        <select
          {...facts}
          className="select"
          value={value}
          onChange={(event) => {
            const chosen = options.find(([one]) => one === event.currentTarget.value);
            if (chosen !== undefined) onChange(chosen[0]);
          }}
        >
          {options.map(([one, text]) => <option key={one} value={one}>{text}</option>)}
        </select>
      )}
    </Field>
  );
}

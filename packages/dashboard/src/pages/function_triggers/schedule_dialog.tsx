/**
 * A schedule that is added.
 *
 * @module
 */
import { useEffect, useState } from "react";
import type { FunctionPlace } from "../../data/functions.ts";
import { TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

export function ScheduleDialog(
  { place: { namespace, name }, open, onClose, onSaved }: {
    readonly place: FunctionPlace;
    readonly open: boolean;
    readonly onClose: () => void;
    readonly onSaved: () => Promise<unknown>;
  },
) {
  const client = useClient();
  const [cron, setCron] = useState("");
  const [zone, setZone] = useState("");
  useEffect(() => {
    setCron("");
    setZone(Intl.DateTimeFormat().resolvedOptions().timeZone);
  }, [open]);
  return (
    <FormDialog
      title="New schedule"
      about="It stays when the function is deployed again."
      open={open}
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
      action="Add"
      canSubmit={cron.trim() !== ""}
      onSubmit={async () => {
        const place = zone.trim() === "" ? {} : { time_zone: zone.trim() };
        await client.schedules.add(name, { cron: cron.trim(), ...place }, { namespace });
        toast.done("Added the schedule");
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
    </FormDialog>
  );
}

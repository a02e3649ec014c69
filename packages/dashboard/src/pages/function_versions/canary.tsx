/**
 * Two versions share the calls: a canary beside the live version, until it gets all of them or none.
 *
 * @module
 */
import type { FunctionVersion } from "@fluxbase/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { type FunctionPlace, FUNCTIONS_KEY, pathOf } from "../../data/functions.ts";
import { Button, ButtonLink } from "../../parts/button.tsx";
import { TextField } from "../../parts/field.tsx";
import { FormDialog } from "../../parts/form_dialog.tsx";
import { Note } from "../../parts/note.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";

export function useVersionChange(place: FunctionPlace) {
  const queries = useQueryClient();
  return async () => {
    await queries.invalidateQueries({ queryKey: ["function", place.namespace, place.name] });
    await queries.invalidateQueries({ queryKey: FUNCTIONS_KEY });
  };
}

export function Canary(
  { place, versions, onChange }: {
    readonly place: FunctionPlace;
    readonly versions: readonly FunctionVersion[];
    readonly onChange: (version: number) => void;
  },
) {
  const client = useClient();
  const refresh = useVersionChange(place);
  const [isEnding, setEnding] = useState(false);
  const live = versions.find(({ is_live: isLive }) => isLive);
  const canary = versions.find((one) => !one.is_live && one.traffic_percent > 0);
  if (canary === undefined || live === undefined) return null;
  const end = async () => {
    setEnding(true);
    try {
      await client.functions.endCanary(pathOf(place));
      toast.done(`Version ${live.version} gets all calls`);
    } catch (error) {
      toast.failed("Cannot end the split", error);
    }
    setEnding(false);
    await refresh();
  };
  return (
    <Note>
      <div className="row row-wrap" role="status">
        <span className="grow">
          Version {canary.version} gets {canary.traffic_percent} % of the calls over HTTP, version {live.version}{" "}
          the others. {canary.version > live.version && "A deployment replaces the canary and leaves the live version."}
        </span>
        <ButtonLink small to="/functions/$namespace/$name/metrics" params={place} search={{ by: "version" }}>
          Compare
        </ButtonLink>
        <Button small onClick={() => onChange(canary.version)}>Change share</Button>
        <Button small busy={isEnding} onClick={() => void end()}>End split</Button>
      </div>
    </Note>
  );
}

/** `version`: null while it is closed. */
export function CanaryDialog(
  { place, versions, version, onClose }: {
    readonly place: FunctionPlace;
    readonly versions: readonly FunctionVersion[];
    readonly version: number | null;
    readonly onClose: () => void;
  },
) {
  const client = useClient();
  const refresh = useVersionChange(place);
  const [percent, setPercent] = useState("");
  const share = versions.find((one) => one.version === version)?.traffic_percent ?? 0;
  useEffect(() => setPercent(share > 0 ? String(share) : "10"), [version]);
  const live = versions.find(({ is_live: isLive }) => isLive);
  return (
    <FormDialog
      title={`Split calls with version ${version}`}
      about={`Each call over HTTP goes to one of the two by chance; version ${
        live?.version ?? "–"
      } gets the others. Tasks, schedules and hooks stay with it.`}
      open={version !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      action="Split"
      onSubmit={async () => {
        await client.functions.setCanary(pathOf(place), { version: version ?? 0, percent: Number(percent) });
        toast.done(`Version ${version} gets ${percent} % of the calls`);
        await refresh();
      }}
    >
      <TextField
        label="Share of the calls"
        value={percent}
        required
        autoFocus
        type="number"
        min={1}
        max={99}
        step={1}
        hint="Percent, 1 to 99."
        onChange={(event) => setPercent(event.currentTarget.value)}
      />
    </FormDialog>
  );
}

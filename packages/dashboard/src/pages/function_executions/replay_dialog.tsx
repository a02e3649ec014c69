/**
 * A captured request is run again, on any version, and its answer is compared with the one it had.
 *
 * @module
 */
import type { ExecutionDetails, ReplayAnswer } from "@fluxbase/sdk";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { RotateCcw } from "lucide-react";
import { useState } from "react";
import { functionQuery, versionsQuery } from "../../data/functions.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Field } from "../../parts/field.tsx";
import { ErrorNote } from "../../parts/states.tsx";
import { bytesText } from "../../parts/time.tsx";
import { useClient } from "../../session/use_session.ts";

export function ReplayDialog(
  { one, open, onClose }: { readonly one: ExecutionDetails; readonly open: boolean; readonly onClose: () => void },
) {
  const client = useClient();
  const queries = useQueryClient();
  const place = { namespace: one.namespace, name: one.function_name };
  const versions = useQuery({ ...versionsQuery(client, place), enabled: open }).data ?? [];
  const live = useQuery({ ...functionQuery(client, place), enabled: open }).data?.live_version ?? null;
  const [chosen, setChosen] = useState("");
  const run = useMutation({
    mutationFn: () => client.admin.functions.replay(one.id, chosen === "" ? {} : { version: Number(chosen) }),
    onSuccess: () =>
      queries.invalidateQueries({ queryKey: ["function", one.namespace, one.function_name, "executions"] }),
  });
  return (
    <Dialog
      wide
      title="Replay this call"
      about="The request is sent to the function again, without the credentials that were removed from it. What the function does, such as sending a mail, it does again."
      open={open}
      onOpenChange={(isOpen) => {
        if (isOpen) return;
        run.reset();
        onClose();
      }}
    >
      <form
        className="row row-wrap replay-form"
        onSubmit={(event) => {
          event.preventDefault();
          run.mutate();
        }}
      >
        <Field label="Version">
          {(facts) => (
            <select
              {...facts}
              className="select"
              value={chosen}
              onChange={(event) => setChosen(event.currentTarget.value)}
            >
              <option value="">Live version{live === null ? "" : ` (${live})`}</option>
              {versions.filter(({ is_bundled: isBuilt }) => isBuilt).map(({ version }) => (
                <option key={version} value={version}>
                  Version {version}
                  {version === one.version ? ", which served the call" : ""}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Button type="submit" kind="primary" icon={RotateCcw} busy={run.isPending}>Run</Button>
      </form>
      <ErrorNote error={run.error} />
      {run.data && <Comparison answer={run.data} place={place} onLeave={onClose} />}
    </Dialog>
  );
}

function Comparison(
  { answer, place, onLeave }: {
    readonly answer: ReplayAnswer;
    readonly place: { readonly namespace: string; readonly name: string };
    readonly onLeave: () => void;
  },
) {
  const { comparison, version, execution_id: id, headers, body, removed } = answer;
  const { status, error_code: code, headers: names, body: bodies } = comparison;
  const sizeOf = (bytes: number | null) => bytes === null ? "streamed" : bytesText(bytes);
  const rows: readonly (readonly [name: string, before: string, after: string, same: boolean | null])[] = [
    ["Status", String(status.before), String(status.after), status.same],
    ...(code.before === null && code.after === null
      ? []
      : [["Error code", code.before ?? "none", code.after ?? "none", code.same] as const]),
    ["Headers", "", names.same ? "" : names.differing.join(", "), names.same],
    ["Body", sizeOf(bodies.before_bytes), sizeOf(bodies.after_bytes ?? body.bytes), bodies.same],
  ];
  return (
    <section className="stack" aria-label="Comparison">
      <p className="row row-wrap" role="status">
        <Badge tone={comparison.same ? "good" : "warn"}>{comparison.same ? "Same answer" : "Different answer"}</Badge>
        <span>from version {version}.</span>
        <Link
          className="link"
          to="/functions/$namespace/$name/executions/$id"
          params={{ ...place, id }}
          onClick={onLeave}
        >
          Open the new execution
        </Link>
      </p>
      <div className="table-frame">
        <table className="table" aria-label="Answers">
          <thead>
            <tr>
              {["", "Then", "Now", "Compared"].map((name) => (
                <th key={name} scope="col">{name || <span className="unseen">Part</span>}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, before, after, same]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td className="mono">{before}</td>
                <td className="mono break">{after}</td>
                <td>
                  <Badge tone={same === null ? "plain" : same ? "good" : "warn"}>
                    {same === null ? "not compared" : same ? "same" : "different"}
                  </Badge>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {removed.length > 0 && (
        <p className="small muted break">Credentials are not kept, so the request had no {removed.join(", ")}.</p>
      )}
      <details>
        <summary>Headers of the answer ({headers.length})</summary>
        <pre className="code-block" data-wrap tabIndex={0} aria-label="Headers of the answer">
          {headers.map(([name, value]) => `${name}: ${value}`).join("\n")}
        </pre>
      </details>
      {body.encoding === "base64"
        ? <p className="muted">A body of {bytesText(body.bytes)} that is not text.</p>
        : (
          <pre className="code-block execution-body" data-wrap tabIndex={0} aria-label="Body of the answer">
            {body.content === "" ? "No body" : body.content}
            {body.is_cut ? "\n…" : ""}
          </pre>
        )}
    </section>
  );
}

/**
 * A task in full: what was sent, and what was answered last.
 *
 * @module
 */
import type { TaskBody } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { Copyable } from "../../parts/copyable.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { ErrorState, Skeleton } from "../../parts/states.tsx";
import { exactTime } from "../../parts/time.tsx";
import { useClient } from "../../session/use_session.ts";

export function TaskDialog({ id, onClose }: { readonly id: string | null; readonly onClose: () => void }) {
  const client = useClient();
  const { data: task, error } = useQuery({
    queryKey: ["tasks", "one", id],
    queryFn: () => client.tasks.get(id ?? ""),
    enabled: id !== null,
  });
  return (
    <Dialog
      title={`Task of ${task?.function_name ?? "…"}`}
      wide
      open={id !== null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
    >
      {error && <ErrorState error={error} />}
      {task === undefined && !error && <Skeleton />}
      {task !== undefined && (
        <>
          <dl className="facts">
            <dt>Id</dt>
            <dd>
              <Copyable text={task.id} label="Copy the id" />
            </dd>
            <dt>State</dt>
            <dd>{task.state}, attempt {task.attempts} of {task.retries + 1}</dd>
            <dt>Made</dt>
            <dd>
              {exactTime(task.created_at)}
              {task.created_by !== null && <span className="muted">by {task.created_by}</span>}
            </dd>
            {task.execution_id !== null && (
              <>
                <dt>Execution</dt>
                <dd>
                  <Copyable text={task.execution_id} label="Copy the id of the execution" />
                </dd>
              </>
            )}
            {task.error !== null && (
              <>
                <dt>Error</dt>
                <dd>{task.error}</dd>
              </>
            )}
          </dl>
          <Body title="What was sent" body={task.payload.body} headers={task.payload.headers} />
          <Body title="What was answered" body={task.answer} />
        </>
      )}
    </Dialog>
  );
}

function Body(
  { title, body, headers = {} }: {
    readonly title: string;
    readonly body: TaskBody | null;
    readonly headers?: Readonly<Record<string, string>>;
  },
) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const text = body === null ? "" : body.content;
  if (lines.length === 0 && text === "") return null;
  return (
    <section className="stack-small">
      <h3>{title}</h3>
      {lines.length > 0 && <pre className="code-block" data-wrap tabIndex={0}>{lines.join("\n")}</pre>}
      {text !== "" && <pre className="code-block" data-wrap tabIndex={0}>{text}</pre>}
      {body?.encoding === "base64" && <p className="muted small">It is no text: shown as base64.</p>}
      {body?.is_cut && <p className="muted small">Only its first 64 KB are kept.</p>}
    </section>
  );
}

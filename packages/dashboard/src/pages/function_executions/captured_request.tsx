/**
 * The request of an execution, where it was kept: shown when somebody asks for it, since that is written down.
 *
 * @module
 */
import type { CapturedRequestView, ExecutionDetails } from "@fluxbase/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Eye, Trash2 } from "lucide-react";
import { useState } from "react";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { CopyButton } from "../../parts/copyable.tsx";
import { ConfirmDialog } from "../../parts/dialog.tsx";
import { ErrorNote, Skeleton } from "../../parts/states.tsx";
import { bytesText } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient, useWho } from "../../session/use_session.ts";
import { capturedRequestQuery } from "./queries.ts";

export function CapturedRequest({ one }: { readonly one: ExecutionDetails }) {
  const isAdmin = useWho()?.kind === "admin";
  if (one.is_captured && isAdmin) return <Kept one={one} />;
  return (
    <section className="card" aria-label="Request">
      <h3 className="card-head">Request</h3>
      <p className="card-body muted">
        {one.is_captured ? "Headers and body were kept. Only admins see them." : (
          <>
            Headers and body were not kept.{" "}
            <Link
              className="link"
              to="/functions/$namespace/$name/settings"
              params={{ namespace: one.namespace, name: one.function_name }}
              hash="capture"
            >
              Keep requests
            </Link>{" "}
            to see them here and to replay calls.
          </>
        )}
      </p>
    </section>
  );
}

function Kept({ one }: { readonly one: ExecutionDetails }) {
  const client = useClient();
  const queries = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  const { data, error } = useQuery({ ...capturedRequestQuery(client, one.id), enabled: isOpen });
  return (
    <section className="card" aria-label="Request">
      <div className="card-head">
        <h3>Request</h3>
        <Badge>kept without credentials</Badge>
        <span className="spread row">
          {!isOpen && <Button small icon={Eye} onClick={() => setOpen(true)}>Show</Button>}
          <Button small kind="quiet" icon={Trash2} onClick={() => setDeleting(true)}>Delete</Button>
        </span>
      </div>
      <div className="card-body stack">
        <ErrorNote error={error} />
        {!isOpen && <p className="muted">Opening it is written to the audit log.</p>}
        {isOpen && data === undefined && !error && <Skeleton lines={3} />}
        {isOpen && data !== undefined && <Shown request={data} />}
      </div>
      <ConfirmDialog
        title="Delete this request?"
        about="Its headers and body are gone at once, and the call can no longer be replayed. The record of the call stays."
        action="Delete"
        danger
        open={isDeleting}
        onOpenChange={setDeleting}
        onConfirm={async () => {
          await client.admin.functions.deleteCapturedRequest(one.id);
          toast.done("Deleted the request");
          setOpen(false);
          await queries.invalidateQueries({ queryKey: ["function", one.namespace, one.function_name, "execution"] });
          await queries.invalidateQueries({ queryKey: ["function", one.namespace, one.function_name, "executions"] });
        }}
      />
    </section>
  );
}

function Shown({ request: { method, target, headers, body, removed } }: { readonly request: CapturedRequestView }) {
  const head = [`${method} ${target}`, ...headers.map(([name, value]) => `${name}: ${value}`)].join("\n");
  return (
    <>
      <pre className="code-block" data-wrap tabIndex={0} aria-label="Head of the request">{head}</pre>
      {body.is_cut
        ? <p className="muted">The body was longer than 256 KB, or was not read to its end, so it was not kept.</p>
        : body.bytes === 0
        ? <p className="muted">No body.</p>
        : body.encoding === "base64"
        ? <p className="muted">A body of {bytesText(body.bytes)} that is not text.</p>
        : (
          <div className="row">
            <pre className="code-block grow execution-body" data-wrap tabIndex={0} aria-label="Body of the request">
              {body.content}
            </pre>
            <CopyButton text={body.content} label="Copy the body" />
          </div>
        )}
      {removed.length > 0 && <p className="small muted break">Removed before it was kept: {removed.join(", ")}</p>}
    </>
  );
}

/**
 * Main task: understand one call: what was asked, where its time went, what it logged, and why it failed.
 *
 * @module
 */
import type { ExecutionDetails, RelatedExecution, RelatedTask } from "@fluxbase/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { ArrowLeft, RotateCcw, Terminal } from "lucide-react";
import { type ReactNode, useState } from "react";
import { pathOf } from "../../data/functions.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button, ButtonLink } from "../../parts/button.tsx";
import { Copyable } from "../../parts/copyable.tsx";
import { LogLines } from "../../parts/log_lines.tsx";
import { ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago, bytesText, durationText, exactTime } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient, useWho } from "../../session/use_session.ts";
import { CapturedRequest } from "./captured_request.tsx";
import { curlOf } from "./curl.ts";
import { capturedRequestQuery } from "./queries.ts";
import { ReplayDialog } from "./replay_dialog.tsx";
import { StatusBadge } from "./status_badge.tsx";
import "./executions.css";

const LOOK_EVERY_MS = 2_000;

export function ExecutionPage() {
  const { namespace, name, id } = useParams({ from: "/shell/functions/$namespace/$name/executions/$id" });
  const client = useClient();
  const query = useQuery({
    queryKey: ["function", namespace, name, "execution", id],
    queryFn: () => client.functions.getExecution(pathOf({ namespace, name }), id),
    refetchInterval: ({ state }) => state.data?.status === "running" ? LOOK_EVERY_MS : false,
  });
  return (
    <div className="page">
      <div className="row">
        <ButtonLink
          kind="quiet"
          icon={ArrowLeft}
          to="/functions/$namespace/$name/executions"
          params={{ namespace, name }}
        >
          Executions
        </ButtonLink>
      </div>
      {query.data !== undefined
        ? <Story one={query.data} />
        : query.error
        ? <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        : <Skeleton />}
    </div>
  );
}

function Story({ one }: { readonly one: ExecutionDetails }) {
  const client = useClient();
  const queries = useQueryClient();
  const isAdmin = useWho()?.kind === "admin";
  const [isReplaying, setReplaying] = useState(false);
  const copy = async () => {
    try {
      const request = one.is_captured && isAdmin
        ? await queries.fetchQuery(capturedRequestQuery(client, one.id))
        : undefined;
      await navigator.clipboard.writeText(curlOf(one, request));
      toast.done(request === undefined ? "Copied, without headers and body: they were not kept" : "Copied");
    } catch (error) {
      toast.failed("Cannot copy the call", error);
    }
  };
  return (
    <>
      <div className="row row-wrap">
        <StatusBadge execution={one} />
        <h2 className="mono break">{one.method} {one.path || "/"}</h2>
        <span className="spread row row-wrap">
          <Button icon={Terminal} onClick={() => void copy()}>Copy as curl</Button>
          {isAdmin && (
            <Button
              icon={RotateCcw}
              disabled={!one.is_captured}
              data-tip={one.is_captured ? "Run the request again and compare the answers" : "The request was not kept"}
              onClick={() => setReplaying(true)}
            >
              Replay
            </Button>
          )}
        </span>
      </div>
      <ReplayDialog one={one} open={isReplaying} onClose={() => setReplaying(false)} />
      <div className="execution">
        <div className="stack">
          <section className="card" aria-label="Time">
            <h3 className="card-head">
              Time <span className="muted number">{durationText(one.duration_ms)}</span>
            </h3>
            <div className="card-body">
              <Timeline one={one} />
            </div>
          </section>
          <Failure one={one} />
          <section className="card" aria-label="Log">
            <h3 className="card-head">Log</h3>
            {one.log_entries.length === 0
              ? <p className="card-body muted">No log lines.</p>
              : <LogLines lines={one.log_entries} label="Log lines" />}
          </section>
          <CapturedRequest one={one} />
          <Related title="Called by" all={one.parent === null ? [] : [one.parent]} />
          <Related title="Calls to other functions" all={one.calls} />
          <Tasks all={one.tasks} />
        </div>
        <Facts one={one} />
      </div>
    </>
  );
}

const PHASES: Readonly<Record<string, string>> = {
  queue: "waiting",
  start: "starting",
  load: "loading",
  handler: "handler",
  answer: "answer",
};

function Timeline({ one: { timeline, duration_ms: whole } }: { readonly one: ExecutionDetails }) {
  const end = Math.max(whole ?? 0, ...timeline.map(({ to_ms }) => to_ms), 0.001);
  if (timeline.length === 0) return <p className="muted">Not recorded.</p>;
  return (
    <ol className="timeline">
      {timeline.map(({ phase, from_ms: from, to_ms: to }) => (
        <li className="timeline-row" key={phase}>
          <span className="muted">{PHASES[phase] ?? phase}</span>
          <span className="timeline-track">
            <span
              className="timeline-bar"
              data-part={phase === "handler" ? "handler" : phase === "answer" ? "answer" : "waiting"}
              style={{ insetInlineStart: `${(100 * from) / end}%`, width: `${(100 * (to - from)) / end}%` }}
            />
          </span>
          <span className="number">{durationText(to - from)}</span>
        </li>
      ))}
    </ol>
  );
}

function Failure({ one: { failure, error_message: message } }: { readonly one: ExecutionDetails }) {
  if (failure === null && message === null) return null;
  return (
    <section className="card" aria-label="Failure">
      <h3 className="card-head">
        Failure {failure?.code && <code className="muted">{failure.code}</code>}
      </h3>
      <div className="card-body stack">
        <p className="break">{failure?.message ?? message}</p>
        {failure?.code_frame && <pre className="code-block" tabIndex={0} aria-label="Code">{failure.code_frame}</pre>}
        {failure?.stack && <pre className="code-block" data-wrap tabIndex={0} aria-label="Stack">{failure.stack}</pre>}
        {failure?.related.map(({ kind, stack }, index) => (
          <div key={index}>
            <p className="small muted">{kind === "cause" ? "Caused by" : "One of its errors"}</p>
            <pre className="code-block" data-wrap tabIndex={0} aria-label="Stack">{stack}</pre>
          </div>
        ))}
      </div>
    </section>
  );
}

function Related({ title, all }: { readonly title: string; readonly all: readonly RelatedExecution[] }) {
  if (all.length === 0) return null;
  return (
    <section className="card" aria-label={title}>
      <h3 className="card-head">{title}</h3>
      <ul className="card-body stack">
        {all.map((one) => (
          <li key={one.id} className="row">
            <StatusBadge execution={one} />
            <Link
              className="function-name break"
              to="/functions/$namespace/$name/executions/$id"
              params={{ namespace: one.namespace, name: one.function_name, id: one.id }}
            >
              {one.namespace}/{one.function_name}
            </Link>
            <span className="spread muted number">{durationText(one.duration_ms)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Tasks({ all }: { readonly all: readonly RelatedTask[] }) {
  if (all.length === 0) return null;
  return (
    <section className="card" aria-label="Tasks">
      <h3 className="card-head">Tasks created</h3>
      <ul className="card-body stack">
        {all.map(({ id, namespace, function_name: name, state, created_at: at }) => (
          <li key={id} className="row">
            <Badge tone={state === "dead" ? "bad" : "plain"}>{state}</Badge>
            <Link className="function-name break" to="/tasks" search={{ function: `${namespace}/${name}` }}>
              {namespace}/{name}
            </Link>
            <span className="spread muted">
              <Ago at={at} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Facts({ one }: { readonly one: ExecutionDetails }) {
  const { caller, limits, sandbox } = one;
  const facts: readonly (readonly [string, ReactNode])[] = [
    ["Started", exactTime(one.started_at)],
    ["Version", String(one.version)],
    ["Trigger", one.trigger_type],
    ...(one.replay_of === null ? [] : [
      [
        "Replay of",
        <Link
          key="replay"
          className="link break"
          to="/functions/$namespace/$name/executions/$id"
          params={{ namespace: one.namespace, name: one.function_name, id: one.replay_of }}
        >
          {one.replay_of}
        </Link>,
      ] as const,
    ]),
    ...(one.task_id === null
      ? []
      : [[`Task, attempt ${one.task_attempt ?? "–"}`, <Copyable key="task" text={one.task_id} />] as const]),
    ["Caller", caller === null ? "–" : [caller.kind, caller.user_id ?? caller.key_id ?? ""].join(" ")],
    [
      "Sandbox",
      sandbox === null
        ? "none"
        : sandbox.cold
        ? "cold: started for this call"
        : `warm: ${durationText(sandbox.age_ms)} old, call ${sandbox.request_number}`,
    ],
    ["Processor", one.cpu_ms === null ? "too short to tell" : durationText(one.cpu_ms)],
    [
      "Memory",
      one.memory_mb === null
        ? "–"
        : `${one.memory_mb < 10 ? one.memory_mb.toFixed(1) : Math.round(one.memory_mb)} of ${
          limits === null ? "?" : limits.memory_mb
        } MB`,
    ],
    ["Time limit", limits === null ? "–" : durationText(limits.timeout_ms)],
    ["Request, response", `${bytesText(one.bytes_in)}, ${bytesText(one.bytes_out)}`],
    ["Server", one.node ?? "–"],
    ["Execution", <Copyable key="id" text={one.id} label="Copy the id" />],
    ["Request", <Copyable key="request" text={one.request_id} label="Copy the request id" />],
    ...(one.trace_id === null
      ? []
      : [["Trace", <Copyable key="trace" text={one.trace_id} label="Copy the trace id" />] as const]),
  ];
  return (
    <aside className="card" aria-label="Facts">
      <dl className="card-body facts">
        {facts.map(([name, value]) => (
          <div key={name} className="contents">
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}

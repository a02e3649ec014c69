/**
 * Main task: see what calls the function, when it is called next, and call it now.
 *
 * @module
 */
import type { FunctionDetails, Schedule } from "@fluxbase/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { CalendarClock, Pause, Play, Plus, Trash2, Webhook, Zap } from "lucide-react";
import { useState } from "react";
import { functionQuery } from "../../data/functions.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button, IconButton } from "../../parts/button.tsx";
import { Copyable, CopyButton } from "../../parts/copyable.tsx";
import { ConfirmAbout } from "../../parts/dialog.tsx";
import { Segments } from "../../parts/segments.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago, exactTime } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { SERVER_URL } from "../../server.ts";
import { useClient, useWho } from "../../session/use_session.ts";
import { ScheduleDialog } from "./schedule_dialog.tsx";

export function TriggersPage() {
  const place = useParams({ from: "/shell/functions/$namespace/$name" });
  const isAdmin = useWho()?.kind === "admin";
  const fn = useQuery(functionQuery(useClient(), place)).data;
  if (fn === undefined) return null;
  return (
    <div className="page">
      <Schedules fn={fn} />
      {isAdmin && <Hooks fn={fn} />}
      <Address fn={fn} />
    </div>
  );
}

function Schedules({ fn: { namespace, name } }: { readonly fn: FunctionDetails }) {
  const client = useClient();
  const queries = useQueryClient();
  const [isMaking, setMaking] = useState(false);
  const [toRemove, setToRemove] = useState<Schedule | null>(null);
  const queryKey = ["function", namespace, name, "schedules"];
  const { data, error, refetch } = useQuery({
    queryKey,
    queryFn: () => client.schedules.list(name, { namespace }),
    refetchInterval: 10_000,
  });
  const refresh = () => queries.invalidateQueries({ queryKey });
  const change = async (what: string, work: () => Promise<unknown>) => {
    try {
      await work();
      toast.done(what);
    } catch (error) {
      toast.failed("Cannot change the schedule", error);
    }
    await refresh();
  };
  return (
    <section className="card">
      <div className="card-head">
        <h2>Schedules</h2>
        <span className="spread">
          <Button small icon={Plus} onClick={() => setMaking(true)}>New schedule</Button>
        </span>
      </div>
      {error && data === undefined && <ErrorState error={error} onRetry={() => void refetch()} />}
      {data === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={3} />
        </div>
      )}
      {data?.length === 0 && (
        <EmptyState icon={CalendarClock} title="No schedule calls it">
          Add one here, or write <code>@fluxbase:cron 0 9 * * *</code> in its first comment.
        </EmptyState>
      )}
      {data !== undefined && data.length > 0 && (
        <ul className="plain-list" aria-label="Schedules">
          {data.map((one) => (
            <li key={one.id} className="row row-wrap">
              <div className="grow">
                <div className="cell-main">
                  <code>{one.cron ?? (one.run_at === null ? one.name : exactTime(one.run_at))}</code>{" "}
                  <span className="muted small">{one.time_zone}{one.name !== one.cron && `, ${one.name}`}</span>
                </div>
                <div className="cell-about">
                  {one.paused ? "Paused: instants go by." : one.next_runs[0] === undefined ? "It is over." : (
                    <>
                      Next <Ago at={one.next_runs[0]} />, {exactTime(one.next_runs[0])}
                    </>
                  )}
                </div>
              </div>
              <LastTick schedule={one} />
              <span className="row">
                <IconButton
                  icon={Zap}
                  label={`Run ${one.name} now`}
                  onClick={() => void change("It runs now", () => client.schedules.run(name, one.id, { namespace }))}
                />
                {one.paused
                  ? (
                    <IconButton
                      icon={Play}
                      label={`Resume ${one.name}`}
                      onClick={() => void change("Resumed", () => client.schedules.resume(name, one.id, { namespace }))}
                    />
                  )
                  : (
                    <IconButton
                      icon={Pause}
                      label={`Pause ${one.name}`}
                      onClick={() => void change("Paused", () => client.schedules.pause(name, one.id, { namespace }))}
                    />
                  )}
                <IconButton
                  icon={Trash2}
                  label={`Remove ${one.name}`}
                  disabled={one.source !== "api"}
                  data-tip={one.source === "api" ? "Remove" : "It is written in the source of the function"}
                  onClick={() => setToRemove(one)}
                />
              </span>
            </li>
          ))}
        </ul>
      )}
      <ScheduleDialog place={{ namespace, name }} open={isMaking} onClose={() => setMaking(false)} onSaved={refresh} />
      <ConfirmAbout
        title={`Remove ${toRemove?.name}?`}
        about="The function is not called by it any more."
        action="Remove"
        danger
        subject={toRemove}
        onClose={() => setToRemove(null)}
        onConfirm={async (schedule) => {
          await client.schedules.remove(name, schedule.id, { namespace });
          await refresh();
        }}
      />
    </section>
  );
}

function LastTick({ schedule: { last_tick: tick } }: { readonly schedule: Schedule }) {
  if (tick === null) return <span className="muted small">has not run yet</span>;
  return (
    <span className="row small">
      {tick.skipped !== null
        ? <Badge tone="warn">left out: {tick.skipped}</Badge>
        : tick.error !== null || (tick.status_code ?? 0) >= 400
        ? <Badge tone="bad">{tick.status_code ?? "failed"}</Badge>
        : <Badge tone="good">{tick.status_code ?? tick.task_state ?? "done"}</Badge>}
      <span className="muted">
        <Ago at={tick.scheduled_at} />
      </span>
    </span>
  );
}

function Hooks({ fn: { namespace, name } }: { readonly fn: FunctionDetails }) {
  const client = useClient();
  const path = `${namespace}/${name}`;
  const { data, error } = useQuery({
    queryKey: ["hooks"],
    queryFn: async () => ({ tables: await client.admin.hooks.database.list(), auth: await client.admin.hooks.list() }),
  });
  const tables = data?.tables.filter((one) => one.function === path) ?? [];
  const auth = data?.auth.filter(({ functions }) => functions.includes(path)) ?? [];
  return (
    <section className="card">
      <div className="card-head">
        <h2>Hooks</h2>
      </div>
      {error && <ErrorState error={error} />}
      {data === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={2} />
        </div>
      )}
      {data !== undefined && tables.length + auth.length === 0 && (
        <EmptyState icon={Webhook} title="No hook calls it">
          Add one for changes of rows: <code>fluxbase hooks db add {name} orders --event INSERT</code>.
        </EmptyState>
      )}
      {tables.length + auth.length > 0 && (
        <ul className="plain-list" aria-label="Hooks">
          {tables.map(({ id, table, events, where, waiting, dead, problem }) => (
            <li key={id} className="row row-wrap">
              <span className="cell-main break">{events.join(", ")} in {table}</span>
              {where !== null && <code className="muted break">{where}</code>}
              <span className="spread row">
                {problem !== null && <Badge tone="bad">{problem}</Badge>}
                {waiting > 0 && <Badge>{waiting} wait</Badge>}
                {dead > 0 && <Badge tone="bad">{dead} dead</Badge>}
              </span>
            </li>
          ))}
          {auth.map(({ event, enabled, waiting, dead }) => (
            <li key={event} className="row row-wrap">
              <span className="cell-main break">{event} of users</span>
              <span className="spread row">
                {!enabled && <Badge tone="warn">switched off</Badge>}
                {waiting > 0 && <Badge>{waiting} wait</Badge>}
                {dead > 0 && <Badge tone="bad">{dead} dead</Badge>}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const FORMS = [["curl", "curl"], ["fetch", "fetch"], ["sdk", "SDK"]] as const;
type Form = typeof FORMS[number][0];

/** Where callers reach it, as they would write it. */
function Address({ fn }: { readonly fn: FunctionDetails }) {
  const [form, setForm] = useState<Form>("curl");
  const { namespace, name } = fn;
  const path = namespace === "default" ? name : `${namespace}/${name}`;
  const url = `${SERVER_URL}/api/v1/functions/${path}/invoke`;
  const text = snippetOf(form, { url, path, isOpen: fn.allow_unauthenticated });
  return (
    <section className="card">
      <div className="card-head">
        <h2>Over HTTP</h2>
        <span className="spread">
          <Segments label="Written as" value={form} options={FORMS} onChange={setForm} />
        </span>
      </div>
      <div className="card-body stack">
        <Copyable text={url} label="Copy the URL" />
        <div className="row">
          <pre className="code-block grow" data-wrap tabIndex={0}>{text}</pre>
          <CopyButton text={text} />
        </div>
        <p className="muted">
          {fn.allow_unauthenticated ? "Anybody may call it. " : "Callers show a key or a token. "}
          A call with <code>Prefer: respond-async</code> becomes a <Link className="link" to="/tasks">task</Link>.
        </p>
      </div>
    </section>
  );
}

function snippetOf(
  form: Form,
  { url, path, isOpen }: { readonly url: string; readonly path: string; readonly isOpen: boolean },
): string {
  switch (form) {
    case "curl":
      return `curl ${url}${
        isOpen ? "" : ` \\\n  -H "Authorization: Bearer $FLUXBASE_CLIENT_KEY"`
      } \\\n  -H "Content-Type: application/json" \\\n  -d '{"name": "Alice"}'`;
    case "fetch":
      return `const response = await fetch("${url}", {
  method: "POST",
  headers: { ${isOpen ? "" : "authorization: `Bearer ${key}`, "}"content-type": "application/json" },
  body: JSON.stringify({ name: "Alice" }),
});`;
    case "sdk":
      return `import { createClient } from "@fluxbase/sdk";

const client = createClient("${SERVER_URL}", key);
const result = await client.functions.invoke("${path}", { name: "Alice" });`;
  }
}

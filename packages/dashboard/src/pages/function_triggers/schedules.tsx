/**
 * The schedules of a function: when each runs next, what became of the last runs, run now, pause, change, remove.
 *
 * @module
 */
import type { FunctionDetails, Schedule, ScheduleTick } from "@fluxbase/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CalendarClock, History, Pause, Pencil, Play, Plus, Trash2, Zap } from "lucide-react";
import { useState } from "react";
import { Badge } from "../../parts/badge.tsx";
import { Button, IconButton } from "../../parts/button.tsx";
import { ConfirmAbout, Dialog } from "../../parts/dialog.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago, exactTime } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useClient } from "../../session/use_session.ts";
import { ScheduleDialog } from "./schedule_dialog.tsx";

export function Schedules({ fn: { namespace, name } }: { readonly fn: FunctionDetails }) {
  const client = useClient();
  const queries = useQueryClient();
  const [edited, setEdited] = useState<Schedule | "new" | null>(null);
  const [looked, setLooked] = useState<Schedule | null>(null);
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
          <Button small icon={Plus} onClick={() => setEdited("new")}>New schedule</Button>
        </span>
      </div>
      {error && data === undefined && <ErrorState error={error} onRetry={() => void refetch()} />}
      {data === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={3} />
        </div>
      )}
      {data?.length === 0 && (
        <EmptyState icon={CalendarClock} title="No schedules">
          Add one here, or write <code>@fluxbase:schedule 0 9 * * * Europe/Paris</code>{" "}
          in the first comment of the source.
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
                  {one.paused ? "Paused" : one.next_runs[0] === undefined ? "Done: it runs no more" : (
                    <>
                      Next <Ago at={one.next_runs[0]} />, {exactTime(one.next_runs[0])}
                    </>
                  )}
                </div>
              </div>
              <LastTick schedule={one} />
              <span className="row">
                <IconButton icon={History} label={`Runs of ${one.name}`} onClick={() => setLooked(one)} />
                <IconButton
                  icon={Zap}
                  label={`Run ${one.name} now`}
                  onClick={() => void change("Started a run", () => client.schedules.run(name, one.id, { namespace }))}
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
                  icon={Pencil}
                  label={`Change ${one.name}`}
                  disabled={one.source !== "api"}
                  data-tip={one.source === "api" ? "Change" : "It is written in the source of the function"}
                  onClick={() => setEdited(one)}
                />
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
      <ScheduleDialog
        place={{ namespace, name }}
        edited={edited}
        onClose={() => setEdited(null)}
        onSaved={refresh}
      />
      <Dialog
        title={`Runs of ${looked?.name}`}
        open={looked !== null}
        onOpenChange={(open) => {
          if (!open) setLooked(null);
        }}
      >
        {looked !== null && <Runs schedule={looked} />}
      </Dialog>
      <ConfirmAbout
        title={`Remove ${toRemove?.name}?`}
        about="The schedule no longer calls the function. Runs that have begun go on."
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
  if (tick === null) return <span className="muted small">not run yet</span>;
  return (
    <span className="row small">
      <TickBadge tick={tick} />
      <span className="muted">
        <Ago at={tick.scheduled_at} />
      </span>
    </span>
  );
}

const SKIPPED: Readonly<Record<NonNullable<ScheduleTick["skipped"]>, string>> = {
  overlap: "the run before went on",
  disabled: "the function was disabled",
  queue_full: "the queue was full",
};

function TickBadge({ tick }: { readonly tick: ScheduleTick }) {
  return (
    <>
      {tick.skipped !== null
        ? <Badge tone="warn">skipped: {SKIPPED[tick.skipped]}</Badge>
        : tick.error !== null || (tick.status_code ?? 0) >= 400
        ? <Badge tone="bad">{tick.status_code ?? "failed"}</Badge>
        : <Badge tone="good">{tick.status_code ?? tick.task_state ?? "done"}</Badge>}
    </>
  );
}

function Runs({ schedule: { id, function_name: name, namespace } }: { readonly schedule: Schedule }) {
  const client = useClient();
  const { data, error } = useQuery({
    queryKey: ["function", namespace, name, "schedule", id],
    queryFn: () => client.schedules.get(name, id, { namespace }),
    refetchInterval: 5_000,
  });
  if (error && data === undefined) return <ErrorState error={error} />;
  if (data === undefined) return <Skeleton lines={4} />;
  return (
    <div className="stack">
      <section aria-label="Next runs">
        <h3>Next</h3>
        {data.next_runs.length === 0
          ? <p className="muted">{data.paused ? "None while it is paused." : "None."}</p>
          : (
            <ol className="plain-list">
              {data.next_runs.map((at) => (
                <li key={at} className="row">
                  <span className="number">{exactTime(at)}</span>
                  <span className="spread muted">
                    <Ago at={at} />
                  </span>
                </li>
              ))}
            </ol>
          )}
      </section>
      <section aria-label="Last runs">
        <h3>Last</h3>
        {data.ticks.length === 0 ? <p className="muted">It has not run yet.</p> : (
          <ol className="plain-list">
            {data.ticks.map((tick) => (
              <li key={`${tick.scheduled_at} ${tick.task_id}`} className="row row-wrap">
                <TickBadge tick={tick} />
                {tick.error !== null && <span className="muted break">{tick.error}</span>}
                <span className="spread row">
                  <Ago at={tick.scheduled_at} />
                  {tick.execution_id !== null && (
                    <Link
                      className="link"
                      to="/functions/$namespace/$name/executions/$id"
                      params={{ namespace, name, id: tick.execution_id }}
                    >
                      Execution
                    </Link>
                  )}
                </span>
              </li>
            ))}
          </ol>
        )}
      </section>
    </div>
  );
}

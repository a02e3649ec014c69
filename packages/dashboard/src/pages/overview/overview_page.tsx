/**
 * Main task: see at a glance whether everything is well, and go to what is not.
 *
 * @module
 */
import type { MetricsStep } from "@fluxbase/sdk";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { CircleCheck, History, ListX } from "lucide-react";
import type { ReactNode } from "react";
import { readinessQuery } from "../../data/server.ts";
import { Badge } from "../../parts/badge.tsx";
import { Bars, failedIn } from "../../parts/bars.tsx";
import { Page } from "../../parts/page.tsx";
import { Segments } from "../../parts/segments.tsx";
import { Stat } from "../../parts/stat.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../parts/states.tsx";
import { Ago, countText, durationText, shareText } from "../../parts/time.tsx";
import { useClient } from "../../session/use_session.ts";
import "./overview.css";

const MIN_MS = 60_000, HOUR_MS = 60 * MIN_MS, DAY_MS = 24 * HOUR_MS;
const RANGES = {
  "1h": { text: "1 h", ms: HOUR_MS, step: "1m", stepMs: MIN_MS },
  "24h": { text: "24 h", ms: DAY_MS, step: "15m", stepMs: 15 * MIN_MS },
  "7d": { text: "7 days", ms: 7 * DAY_MS, step: "6h", stepMs: 6 * HOUR_MS },
  "30d": { text: "30 days", ms: 30 * DAY_MS, step: "6h", stepMs: 6 * HOUR_MS },
} as const satisfies Record<string, { text: string; ms: number; step: MetricsStep; stepMs: number }>;
type RangeName = keyof typeof RANGES;
const REFETCH_MS = 10_000;
const SHOWN_COUNT = 6;
const MB_IN_GB = 1024;

export function OverviewPage() {
  const client = useClient();
  const { range: named } = useSearch({ from: "/shell/overview" });
  const navigate = useNavigate({ from: "/overview" });
  const name: RangeName = named !== undefined && named in RANGES ? named as RangeName : "24h";
  const { ms, step, stepMs } = RANGES[name];
  const metrics = useQuery({
    queryKey: ["overview", name],
    queryFn: async () => {
      const toMs = Date.now();
      const from = new Date(toMs - ms).toISOString();
      const { series } = await client.admin.metrics.get({ from, step });
      return { total: series[0]?.total, points: series[0]?.points ?? [], range: { fromMs: toMs - ms, toMs, stepMs } };
    },
    refetchInterval: REFETCH_MS,
    placeholderData: (before) => before,
  });
  const readiness = useQuery({ ...readinessQuery(client), refetchInterval: REFETCH_MS }).data;
  const total = metrics.data?.total;
  const calls = total?.calls ?? 0;
  const failed = total === undefined ? 0 : failedIn(total);
  const killed = total?.statuses.killed ?? 0;
  return (
    <Page
      title="Overview"
      actions={
        <Segments
          label="Time"
          value={name}
          options={(Object.keys(RANGES) as RangeName[]).map((key) => [key, RANGES[key].text] as const)}
          onChange={(range) => void navigate({ search: { range }, replace: true })}
        />
      }
    >
      {metrics.error && metrics.data === undefined
        ? <ErrorState error={metrics.error} onRetry={() => void metrics.refetch()} />
        : (
          <>
            <dl className="stats">
              <Stat name="Calls" about={total === undefined ? "…" : `${countText(total.cold_starts)} cold starts`}>
                {countText(calls)}
              </Stat>
              <Stat name="Failed" tone={failed > 0 ? "bad" : "plain"} about={`${countText(failed)} calls`}>
                {shareText(failed, calls)}
              </Stat>
              <Stat name="p95" about={`median ${durationText(total?.duration_ms?.p50 ?? null)}`}>
                {durationText(total?.duration_ms?.p95 ?? null)}
              </Stat>
              <Stat name="Killed" tone={killed > 0 ? "warn" : "plain"} about="too slow, too large">
                {countText(killed)}
              </Stat>
              <Stat
                name="Sandboxes now"
                about={readiness === undefined
                  ? "…"
                  : `${readiness.sandboxes.busy} busy, ${memoryText(readiness.sandboxes.memory_mib)}`}
              >
                {readiness === undefined ? "–" : countText(readiness.sandboxes.count)}
              </Stat>
            </dl>
            <section className="card" aria-label="Calls over time">
              {metrics.data === undefined
                ? (
                  <div className="card-body">
                    <Skeleton lines={5} />
                  </div>
                )
                : <Bars label="Calls over time" points={metrics.data.points} range={metrics.data.range} />}
            </section>
          </>
        )}
      <div className="overview-lists">
        <Failing />
        <DeadTasks />
        <LastChanges />
        <ServerCard />
      </div>
    </Page>
  );
}

function memoryText(mib: number): string {
  return mib < MB_IN_GB ? `${Math.round(mib)} MB` : `${(mib / MB_IN_GB).toFixed(1)} GB`;
}

function Card({ title, children }: { readonly title: ReactNode; readonly children: ReactNode }) {
  return (
    <section className="card">
      <div className="card-head">
        <h2>{title}</h2>
      </div>
      {children}
    </section>
  );
}

/** Of the last hour, those with the most failures first. */
function Failing() {
  const client = useClient();
  const { data, error } = useQuery({
    queryKey: ["overview", "failing"],
    queryFn: async () => {
      const { functions } = await client.admin.metrics.top({ limit: 1_000 });
      return functions.filter((one) => failedIn(one) > 0).sort((a, b) => failedIn(b) - failedIn(a)).slice(
        0,
        SHOWN_COUNT,
      );
    },
    refetchInterval: REFETCH_MS,
  });
  return (
    <Card title="Failing in the last hour">
      {error && <ErrorState error={error} />}
      {data === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={3} />
        </div>
      )}
      {data?.length === 0 && <EmptyState icon={CircleCheck} title="No function failed" />}
      {data !== undefined && data.length > 0 && (
        <ul className="plain-list">
          {data.map((one) => (
            <li key={one.function_id} className="row">
              <Link
                className="break cell-main"
                to="/functions/$namespace/$name/executions"
                params={{ namespace: one.namespace, name: one.name }}
              >
                {one.namespace !== "default" && <span className="muted">{one.namespace}/</span>}
                {one.name}
              </Link>
              <span className="spread row">
                <span className="muted small number">{countText(failedIn(one))} of {countText(one.calls)}</span>
                <Badge tone="bad">{shareText(failedIn(one), one.calls)}</Badge>
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function DeadTasks() {
  const client = useClient();
  const { data, error } = useQuery({
    queryKey: ["overview", "dead"],
    queryFn: () => client.tasks.list({ state: "dead", limit: SHOWN_COUNT }),
    refetchInterval: REFETCH_MS,
  });
  return (
    <Card title="Dead tasks">
      {error && <ErrorState error={error} />}
      {data === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={3} />
        </div>
      )}
      {data?.length === 0 && <EmptyState icon={ListX} title="No task has used its attempts up" />}
      {data !== undefined && data.length > 0 && (
        <ul className="plain-list">
          {data.map((task) => (
            <li key={task.id} className="row">
              <Link className="break cell-main" to="/tasks" search={{ state: "dead", function: task.function_name }}>
                {task.function_name}
              </Link>
              <span className="muted small break">{task.error}</span>
              <span className="spread muted small">
                <Ago at={task.finished_at ?? task.created_at} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

const CHANGES_READ_COUNT = 100;

/** Who deployed, changed or deleted something last. */
function LastChanges() {
  const client = useClient();
  const { data, error } = useQuery({
    queryKey: ["overview", "changes"],
    queryFn: async () => {
      const entries = await client.admin.auditLog.list({ limit: CHANGES_READ_COUNT });
      return entries.filter(({ action, code }) => code === null && action.includes("/functions")).slice(0, SHOWN_COUNT);
    },
    refetchInterval: REFETCH_MS,
  });
  return (
    <Card title="Last changes">
      {error && <ErrorState error={error} />}
      {data === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={3} />
        </div>
      )}
      {data?.length === 0 && <EmptyState icon={History} title="Nothing was deployed lately" />}
      {data !== undefined && data.length > 0 && (
        <ul className="plain-list">
          {data.map((entry) => (
            <li key={entry.id} className="row">
              <Badge>{VERBS[entry.action.split(" ")[0] ?? ""] ?? "changed"}</Badge>
              <span className="break cell-main">{entry.target ?? entry.action}</span>
              <span className="spread muted small">
                <Ago at={entry.timestamp} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

const VERBS: Readonly<Record<string, string>> = { POST: "made", PUT: "changed", PATCH: "changed", DELETE: "deleted" };

function ServerCard() {
  const client = useClient();
  const { data, error } = useQuery(readinessQuery(client));
  return (
    <Card title={<Link to="/system">Server</Link>}>
      {error && <ErrorState error={error} />}
      {data === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={3} />
        </div>
      )}
      {data !== undefined && (
        <div className="card-body">
          <dl className="facts">
            <dt>State</dt>
            <dd>
              <Badge tone={data.status === "ready" ? "good" : "bad"}>
                {data.status === "ready" ? "ready" : "not ready"}
              </Badge>
            </dd>
            <dt>Database</dt>
            <dd>
              <Badge tone={data.database === "ok" ? "good" : "bad"}>{data.database}</Badge>
            </dd>
            <dt>Fences</dt>
            <dd>
              {data.fences.missing.length === 0
                ? <Badge tone="good">all {data.fences.standing.length} stand</Badge>
                : <Badge tone="warn">missing: {data.fences.missing.join(", ")}</Badge>}
            </dd>
          </dl>
        </div>
      )}
    </Card>
  );
}

/**
 * Main task: see whether the server is whole, and what it is set to.
 *
 * @module
 */
import type { NodeView } from "@fluxbase/sdk";
import { LOG_LEVELS } from "@fluxbase/contract";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { CircleCheck, Server, TriangleAlert } from "lucide-react";
import { readinessQuery } from "../../data/server.ts";
import { Badge } from "../../parts/badge.tsx";
import { Select } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useWholeList } from "../../parts/whole_list.ts";
import { useClient } from "../../session/use_session.ts";
import { Backups } from "./backups.tsx";
import { findingsOf } from "./findings.ts";
import { Settings } from "./settings.tsx";
import "./system.css";

const REFETCH_MS = 10_000;

export function SystemPage() {
  return (
    <Page title="System">
      <div className="system">
        <Health />
        <div className="stack">
          <LogLevel />
          <Backups />
        </div>
      </div>
      <Nodes />
      <Settings />
    </Page>
  );
}

function Health() {
  const client = useClient();
  const { data, error, refetch } = useQuery({ ...readinessQuery(client), refetchInterval: REFETCH_MS });
  return (
    <section className="card">
      <div className="card-head">
        <h2>Health</h2>
        {data !== undefined && (
          <span className="spread">
            <Badge tone={data.status === "ready" ? "good" : "bad"}>
              {data.status === "ready" ? "ready" : "not ready"}
            </Badge>
          </span>
        )}
      </div>
      {error && data === undefined && <ErrorState error={error} onRetry={() => void refetch()} />}
      {data === undefined && !error && (
        <div className="card-body">
          <Skeleton lines={5} />
        </div>
      )}
      {data !== undefined && (
        <ul className="plain-list findings">
          {findingsOf(data).map(({ level, text, remedy }) => (
            <li key={text} className="row" data-level={level}>
              {level === "ok"
                ? <CircleCheck className="icon" aria-label="OK" />
                : <TriangleAlert className="icon" aria-label={level === "warn" ? "warning" : "problem"} />}
              <div className="break">
                {text}
                {remedy !== undefined && <div className="cell-about">{remedy}</div>}
              </div>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const NODE_COLUMNS = [
  { name: "Server" },
  { name: "State" },
  { name: "Version" },
  { name: "Sandboxes", end: true },
  { name: "Memory", end: true },
  { name: "Load", end: true },
  { name: "Started" },
  { name: "Leases" },
];

/** Those that share the database. */
function Nodes() {
  const pages = useWholeList<NodeView>({
    queryKey: ["nodes"],
    read: ({ admin }) => admin.nodes.list(),
    refetchEveryMs: REFETCH_MS,
  });
  return (
    <>
      <h2>Servers</h2>
      <PagedTable
        label="Servers"
        columns={NODE_COLUMNS}
        pages={pages}
        empty={<EmptyState icon={Server} title="No server was seen in the last 24 hours" />}
        row={({ id, name, status, version, load, started_at, seen_at, leases }) => (
          <tr key={id}>
            <td className="cell-main">{name}</td>
            <td className="nowrap">
              <Badge tone={status === "alive" ? "good" : "bad"}>{status}</Badge>
              {status === "lost" && (
                <span className="muted small">
                  <Ago at={seen_at} />
                </span>
              )}
            </td>
            <td>{version}</td>
            <td className="end number nowrap">
              {load.sandboxes} <span className="muted">({load.busy} busy)</span>
            </td>
            <td className="end number nowrap">{Math.round(load.memory_mb)} MB</td>
            <td className="end number">{load.machine_load.toFixed(2)}</td>
            <td className="nowrap">
              <Ago at={started_at} />
            </td>
            <td className="break muted">{leases.join(", ") || "–"}</td>
          </tr>
        )}
      />
    </>
  );
}

function LogLevel() {
  const client = useClient();
  const queries = useQueryClient();
  const queryKey = ["log-level"];
  const { data, error } = useQuery({ queryKey, queryFn: () => client.admin.logLevel.get() });
  const set = async (level: string) => {
    try {
      await client.admin.logLevel.set(LOG_LEVELS.find((one) => one === level) ?? null);
      toast.done(level === "" ? "Log level is as configured" : `Log level is ${level}`);
    } catch (error) {
      toast.failed("Cannot change the log level", error);
    }
    await queries.invalidateQueries({ queryKey });
  };
  return (
    <section className="card">
      <div className="card-head">
        <h2>Server log</h2>
      </div>
      <div className="card-body stack">
        {error && <ErrorState error={error} />}
        {data === undefined && !error && <Skeleton lines={2} />}
        {data !== undefined && (
          <>
            <Select
              label="Log level"
              value={data.level === data.configured ? "" : data.level}
              options={[
                ["", `As configured (${data.configured})`],
                ...LOG_LEVELS.map((level) => [level, level] as const),
              ]}
              onChange={(level) => void set(level)}
            />
            <p className="muted">Applies to all servers at once, until you set it back.</p>
          </>
        )}
      </div>
    </section>
  );
}

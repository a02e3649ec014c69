/**
 * Main task: see whether the server is whole, and what it is set to.
 *
 * @module
 */
import type { NodeView } from "@fluxbase/sdk";
import { LIMITS, LOG_LEVELS } from "@fluxbase/contract";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { CircleCheck, Server, TriangleAlert } from "lucide-react";
import { readinessQuery } from "../../data/server.ts";
import { Badge } from "../../parts/badge.tsx";
import { SearchField, Select } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { EmptyState, ErrorState, NothingFits, Skeleton } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { toast } from "../../parts/toasts.tsx";
import { useWholeList } from "../../parts/whole_list.ts";
import { useClient } from "../../session/use_session.ts";
import { findingsOf } from "./findings.ts";
import "./system.css";

const REFETCH_MS = 10_000;

export function SystemPage() {
  return (
    <Page title="System">
      <div className="system">
        <Health />
        <LogLevel />
      </div>
      <Nodes />
      <Limits />
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
                ? <CircleCheck className="icon" aria-label="well" />
                : <TriangleAlert className="icon" aria-label={level === "warn" ? "could be better" : "broken"} />}
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
  { name: "Does alone" },
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
        empty={<EmptyState icon={Server} title="No server was seen in the last day" />}
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
      toast.done(level === "" ? "Servers log as each is configured" : `Servers log from ${level} on`);
    } catch (error) {
      toast.failed("Cannot change what is logged", error);
    }
    await queries.invalidateQueries({ queryKey });
  };
  return (
    <section className="card">
      <div className="card-head">
        <h2>The server's own log</h2>
      </div>
      <div className="card-body stack">
        {error && <ErrorState error={error} />}
        {data === undefined && !error && <Skeleton lines={2} />}
        {data !== undefined && (
          <>
            <Select
              label="The least important lines that are logged"
              value={data.level === data.configured ? "" : data.level}
              options={[
                ["", `As configured (${data.configured})`],
                ...LOG_LEVELS.map((level) => [level, `From ${level} on`] as const),
              ]}
              onChange={(level) => void set(level)}
            />
            <p className="muted">It counts on all servers at once, until it is set back.</p>
          </>
        )}
      </div>
    </section>
  );
}

interface LimitRow {
  readonly name: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly byDefault: number | undefined;
}

const COLUMNS = [
  { name: "Limit" },
  { name: "Value", end: true },
  { name: "From" },
  { name: "Possible", end: true },
];

function Limits() {
  const { text } = useSearch({ from: "/shell/system" });
  const navigate = useNavigate({ from: "/system" });
  const pages = useWholeList<LimitRow>({
    queryKey: ["limits"],
    read: async (client) =>
      Object.entries(await client.admin.limits.list()).map(([name, limit]) => ({
        ...limit,
        name,
        byDefault: Object.hasOwn(LIMITS, name) ? LIMITS[name as keyof typeof LIMITS].default : undefined,
      })),
    keep: ({ name }) =>
      text === undefined || settingOf(name).toLowerCase().includes(text.toLowerCase()) ||
      name.toLowerCase().includes(text.toLowerCase()),
  });
  return (
    <>
      <div className="filters">
        <h2>Limits</h2>
        <span className="spread" />
        <SearchField
          label="Search limits"
          value={text ?? ""}
          onChange={(value) => void navigate({ search: { text: value }, replace: true })}
        />
      </div>
      <PagedTable
        label="Limits"
        columns={COLUMNS}
        pages={pages}
        empty={<NothingFits what="limit" />}
        row={({ name, value, min, max, byDefault }) => (
          <tr key={name}>
            <td className="cell-wide">
              <div className="cell-main">{wordsOf(name)}</div>
              <div className="cell-about mono">{settingOf(name)}</div>
            </td>
            <td className="end number">{value.toLocaleString("en")}</td>
            <td>
              {value === byDefault
                ? <span className="muted">the default</span>
                : <Badge tone="accent">settings; {byDefault?.toLocaleString("en") ?? "–"} by default</Badge>}
            </td>
            <td className="end number muted nowrap">{min.toLocaleString("en")} – {max.toLocaleString("en")}</td>
          </tr>
        )}
      />
    </>
  );
}

/** `wallMaxMs` is set with FLUXBASE_LIMITS_WALL_MAX_MS. */
function settingOf(name: string): string {
  return `FLUXBASE_LIMITS_${name.replaceAll(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()}`;
}

const UNITS: Readonly<Record<string, string>> = {
  Ms: "ms",
  Sec: "s",
  Bytes: "bytes",
  MiB: "MiB",
  Count: "",
  Percent: "%",
  PerSec: "in a second",
};

function wordsOf(name: string): string {
  const [, stem = name, unit = ""] = /^(.*?)(BytesPerSec|PerSec|Ms|Sec|Bytes|MiB|Count|Percent)$/.exec(name) ?? [];
  const words = stem.replaceAll(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  const shown = unit === "BytesPerSec" ? "bytes in a second" : UNITS[unit] ?? "";
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${shown === "" ? "" : `, ${shown}`}`;
}
